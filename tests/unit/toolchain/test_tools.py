"""Which tool is used: the one present, the upstream release, or our own build."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.programs import fake_tool
from tests.support.steps import Silent
from toolchain import graph, plugins, tools, upstream
from toolchain.artefacts import keys
from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.paths import Paths
from toolchain.steps import Runner
from toolchain.tools import TOOLS, find_present, read_records, record, tool_path
from toolchain.versions import parse_version


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


@pytest.mark.parametrize("name", keys.NODE_TOOLS)
def test_what_is_inside_is_never_taken_from_the_path(name: str) -> None:
    assert TOOLS[name].accept is None
    assert TOOLS[name].release is None
    assert not TOOLS[name].published


@pytest.mark.parametrize("tool", [t for t in TOOLS.values() if t.name != "ingress"])
def test_a_tools_version_is_that_of_its_module(tool: tools.Tool) -> None:
    text = (ROOT / tool.folder / "go.mod").read_text()
    versions = set(re.findall(r"^\t?(?:require )?\S+ v(\S+)", text, re.MULTILINE))
    if tool.name == graph.PROVIDER:  # No release has been published as a module.
        assert any(version.startswith("4.0.0-20260115033456-") for version in versions)
    else:
        assert tool.version in versions
    assert (ROOT / tool.folder / "go.sum").is_file()


def test_the_provider_is_of_the_sdks_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"pulumi_kubernetes=={TOOLS[graph.PROVIDER].version}" in lines
    assert "kubernetes" in plugins.PROVIDERS


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return a clone on a machine that has no tools and reaches no releases."""
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(upstream, "reachable", lambda: False)
    clone = tmp_path / "clone"
    for name in ("go.mod", "go.sum"):
        (clone / "toolchain/go/kubernetes").mkdir(parents=True, exist_ok=True)
        (clone / "toolchain/go/kubernetes" / name).write_text("")
    return Paths(root=clone, cache=tmp_path / "cache", run=tmp_path / "run")


def test_kubectl_is_kubernetes_by_another_name(offline: Paths) -> None:
    binary = tools.tool_dir(offline, "kubernetes") / "kubernetes"
    binary.parent.mkdir(parents=True)
    binary.write_text('#!/bin/sh\necho "$(basename "$0") $*: Client Version: v1.37.2"\n')
    binary.chmod(0o755)
    (outcome,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert outcome.state == "done", outcome.error
    assert (offline.bin / "kubectl").samefile(tools.tool_dir(offline, "kubectl") / "kubectl")
    assert tools.read_records(offline)["kubectl"]["source"] == "built as kubernetes"
    assert tools.have(offline, "kubectl")
    (again,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert again.state == "present"


def test_without_kubernetes_there_is_no_kubectl_and_a_word_on_it(offline: Paths) -> None:
    (outcome,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert outcome.state == "failed"
    assert "TRIPTYCH_NODE=build" in outcome.error


def test_what_is_spared_is_neither_had_nor_built(offline: Paths) -> None:
    spared = tools.tool_step(offline, "kubernetes", spared=lambda: "in the node image")
    never = tools.tool_step(offline, "kubernetes", never=lambda: "not needed")
    (outcome,) = Runner(offline.logs, Silent()).run([spared])
    assert (outcome.state, outcome.detail) == ("present", "in the node image")
    (outcome,) = Runner(offline.logs, Silent()).run([never])
    assert (outcome.state, outcome.detail) == ("done", "not needed")
    assert not tools.tool_dir(offline, "kubernetes").exists()
