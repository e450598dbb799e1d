"""Which tool is used: the one present, the upstream release, or our own build."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import tools, upstream
from toolchain.errors import ToolchainError
from toolchain.files import digest, is_stamped, link_or_copy, new_directory, write_text
from toolchain.paths import Paths
from toolchain.tools import TOOLS, find_present, read_records, record, tool_path
from toolchain.versions import at_least, parse_version, within


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path / "clone", cache=tmp_path / "cache", run=tmp_path / "run")


def fake_tool(directory: Path, name: str, prints: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.274.1", (3, 274, 1)),
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("Docker version 20.10.24+dfsg1, build 297e128", (20, 10, 24)),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", (7, 2, 22)),
        ("stripe-mock 0.203.0", (0, 203, 0)),
        ("3.200.0-dev.0", (3, 200, 0)),
        ("no version", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_tools_print(
    text: str, version: tuple[int, ...] | None
) -> None:
    assert parse_version(text) == version


def test_versions_compare_as_numbers() -> None:
    assert at_least("v3.100.0", "3.99")
    assert not at_least("v3.9", "3.10")
    assert not at_least("nothing", "0.1")
    assert within("3.274.1", "3.250", "4.0")
    assert not within("4.0.0", "3.250", "4.0")


def test_a_present_tool_is_used_if_its_version_will_do(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool(tmp_path / "old", "pulumi", "v3.90.0")
    good = fake_tool(tmp_path / "good", "pulumi", "v3.260.0")
    monkeypatch.setattr(tools, "SEARCH_PATH", f"{tmp_path / 'old'}:{tmp_path / 'good'}")
    assert find_present(paths, TOOLS["pulumi"]) == (good, "3.260.0")
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path / "old"))
    assert find_present(paths, TOOLS["pulumi"]) is None


def test_our_own_copies_do_not_count_as_present(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "another-clone" / ".triptych" / "bin"
    fake_tool(paths.bin, "pulumi", "v3.274.1")
    fake_tool(other, "pulumi", "v3.274.1")
    cached = fake_tool(paths.tools / "pulumi" / "3.274.1", "pulumi", "v3.274.1")
    monkeypatch.setattr(tools, "SEARCH_PATH", f"{paths.bin}:{other}:{cached.parent}")
    assert find_present(paths, TOOLS["pulumi"]) is None


def test_stripe_mock_is_never_taken_from_the_path(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool(tmp_path, "stripe-mock", "stripe-mock 0.203.0")
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    assert find_present(paths, TOOLS["stripe-mock"]) is None


def test_records_are_kept_by_tool_and_found_again(paths: Paths, tmp_path: Path) -> None:
    binary = fake_tool(tmp_path, "vegeta", "x")
    record(paths, "vegeta", version="1", path=binary, source="present", why="it will do")
    record(paths, "pulumi", version="2", path="/none", source="built", why="none")
    assert list(read_records(paths)) == ["pulumi", "vegeta"]
    assert tool_path(paths, "vegeta") == binary
    # A record of something that is gone again does not count.
    assert tool_path(paths, "pulumi") == paths.tools / "pulumi" / "3.274.1" / "pulumi"
    assert json.loads(paths.tools_json.read_text())["schema"] == 1


def test_a_damaged_record_is_as_none(paths: Paths) -> None:
    write_text(paths.tools_json, "{")
    assert read_records(paths) == {}


def release(monkeypatch: pytest.MonkeyPatch, *, tamper: bool = False) -> None:
    """Serve a release of vegeta from memory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        content = b"#!/bin/sh\necho Version: v12.13.0\n"
        member = tarfile.TarInfo("vegeta")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    archive = buffer.getvalue()
    name = "vegeta_12.13.0_linux_amd64.tar.gz"
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(archive).hexdigest()}  {name}\n"

    def fetch(url: str, limit_bytes: int = 0) -> bytes:
        assert url.startswith("https://github.com/tsenart/vegeta/releases/download/v12.13.0/")
        if url.endswith("checksums.txt"):
            return sums.encode()
        assert url.endswith(name)
        return archive + b"x" if tamper else archive

    monkeypatch.setattr(upstream, "fetch", fetch)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def module(paths: Paths) -> None:
    directory = paths.root / "toolchain" / "go" / "vegeta"
    write_text(directory / "go.mod", "module x\n")
    write_text(directory / "go.sum", "")


@pytest.mark.usefixtures("module")
def test_a_release_is_unpacked_into_the_cache(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(monkeypatch)
    tools._download(paths, TOOLS["vegeta"])
    binary = tools.tool_dir(paths, "vegeta") / "vegeta"
    assert subprocess.check_output([binary], text=True) == "Version: v12.13.0\n"
    assert sorted(entry.name for entry in binary.parent.iterdir()) == ["source", "stamp", "vegeta"]


@pytest.mark.usefixtures("module")
def test_a_release_that_is_not_what_its_checksums_say_is_refused(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(monkeypatch, tamper=True)
    with pytest.raises(ToolchainError, match=r"has sha256 .*, its release says"):
        tools._download(paths, TOOLS["vegeta"])
    assert not tools.tool_dir(paths, "vegeta").exists()


def test_checksums_must_list_the_file() -> None:
    sums = f"{'a' * 64} *one\nshort two\n"
    assert upstream.checksum_for(sums, "one") == "a" * 64
    with pytest.raises(ToolchainError, match="do not list two"):
        upstream.checksum_for(sums, "two")


def test_only_https_is_fetched() -> None:
    with pytest.raises(ToolchainError, match="anything but https"):
        upstream.fetch("http://example.invalid/x")


@pytest.fixture
def fresh_probe() -> Callable[[], None]:
    upstream._probe.cache_clear()
    return upstream._probe.cache_clear


def test_releases_are_probed_once_for_the_run(
    fresh_probe: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(self: http.client.HTTPConnection, *_: object, **__: object) -> None:
        asked.append(self.host)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(http.client.HTTPSConnection, "request", refuse)
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(upstream.reachable())) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh_probe()
    assert answers == [False] * 5
    assert asked == ["github.com"]


def test_a_name_server_that_never_answers_costs_only_the_limit(
    fresh_probe: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release_it = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release_it.wait(10)

    monkeypatch.setattr(http.client.HTTPSConnection, "request", hang)
    monkeypatch.setattr(upstream, "PROBE_S", 0.1)
    try:
        assert upstream.reachable() is False
    finally:
        release_it.set()
        fresh_probe()


def test_a_new_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "x" / "1.0"

    def half() -> None:
        with new_directory(final) as fresh:
            (fresh / "a").touch()
            raise StepInterrupted

    class StepInterrupted(Exception):
        pass

    with pytest.raises(StepInterrupted):
        half()
    assert list(final.parent.iterdir()) == []
    stale = final.parent / ".1.0.999999999.tmp"
    stale.mkdir()
    with new_directory(final) as fresh:
        (fresh / "a").write_text("new")
    assert [path.name for path in final.parent.iterdir()] == ["1.0"]
    assert (final / "a").read_text() == "new"


def test_digest_is_over_names_contents_and_extras(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    first = digest([one, two], "x")
    assert first == digest([two, one], "x")
    assert len({first, digest([one], "x"), digest([one, two], "y"), digest([one, two])}) == 4
    write_text(tmp_path / "stamp", first + "\n")
    assert is_stamped(tmp_path / "stamp", first)
    assert not is_stamped(tmp_path / "none", first)


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    source = fake_tool(tmp_path, "tool", "x")
    link_or_copy(source, tmp_path / "bin" / "tool")
    link_or_copy(source, tmp_path / "bin" / "tool")
    assert (tmp_path / "bin" / "tool").samefile(source)
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["tool"]
