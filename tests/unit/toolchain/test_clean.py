"""Only what is ours is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import clean
from toolchain.errors import ToolchainError
from toolchain.paths import Paths


def test_clean_takes_only_our_kind_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, ...]] = []

    def command(*argv: str) -> bool:
        done.append(argv)
        return True

    listed = "aaa triptych-kubernetes\nbbb kind\nccc my-triptych-\nddd triptych-dev\neee\n"

    def capture(*argv: str) -> str:
        if argv[1] == "ps":
            return listed if clean.KIND_LABEL in argv[4] else "fff\n"
        return ""

    monkeypatch.setattr(clean, "capture", capture)
    monkeypatch.setattr(clean, "_command", command)
    monkeypatch.setattr(clean, "find", lambda name: Path("/usr/bin/docker"))
    monkeypatch.setattr(clean, "docker_socket", lambda: None)
    removed = clean.clean_docker()
    assert [(one.kind, one.name) for one in removed] == [
        ("kind cluster", "triptych-kubernetes"),
        ("kind cluster", "triptych-dev"),
        ("container", "fff"),  # The registry's, which has our label: then the networks are empty.
        ("network", "triptych-dev"),
        ("network", "triptych-kubernetes"),
    ]
    assert ("docker", "rm", "--force", "--volumes", "aaa") in done
    assert not [argv for argv in done if {"bbb", "ccc", "eee", "kind"} & set(argv)]


def test_clean_takes_only_our_names() -> None:
    names = ["default", "triptych-vm-domain", "triptych-cache", "my-triptych-x", "triptych"]
    assert clean.our_names(names) == ["triptych-cache", "triptych-vm-domain"]


def test_clean_takes_only_our_images() -> None:
    lines = [
        "triptych/base:1",
        "127.0.0.1:5085/triptych/gateway:2",
        "127.0.0.1:5085/triptych/gateway:2",
        "127.0.0.1:5085/other/gateway:2",
        "someone/triptych/base:1",
        "triptych-base:1",
        "triptych/base:<none>",
        "debian:trixie",
    ]
    assert clean.our_images(lines) == ["127.0.0.1:5085/triptych/gateway:2", "triptych/base:1"]


def test_clean_reads_virshs_volumes() -> None:
    table = " Name   Path\n-----------\n root   /var/x/root\n data.qcow2   /var/x/data.qcow2\n\n"
    assert clean._volumes(table) == ["root", "data.qcow2"]


def test_clean_removes_the_clones_directory_and_console_logs(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, machines = tmp_path / "logs", tmp_path / "vm"
    for place in (logs, machines / "stack", paths.state / "bin"):
        place.mkdir(parents=True)
    (logs / "triptych-vm-console.log").touch()
    (logs / "other.log").touch()
    (paths.root / "Pulumi.yaml").touch()
    monkeypatch.setattr(clean, "CONSOLE_LOGS", logs)
    monkeypatch.setattr(clean, "VM_ROOT", machines)
    removed = [Path(one.name) for one in clean.clean_files(paths)]
    assert removed == [machines, logs / "triptych-vm-console.log", paths.state]
    assert [path.name for path in logs.iterdir()] == ["other.log"]
    assert (paths.root / "Pulumi.yaml").exists()
    assert clean.clean_files(paths) == []


def test_clean_cache_refuses_what_is_not_ours(paths: Paths) -> None:
    assert clean.clean_cache(paths) == []
    (paths.cache / "photos").mkdir(parents=True)
    with pytest.raises(ToolchainError, match="does not look like our cache"):
        clean.clean_cache(paths)
    (paths.cache / "tools").mkdir()
    (paths.buildah / "store" / "overlay").mkdir(parents=True)
    assert [one.name for one in clean.clean_cache(paths)] == [str(paths.cache)]
    assert not paths.cache.exists()


def test_what_killed_builds_left_mounted_is_found_innermost_first() -> None:
    mounts = "\n".join(
        f"overlay {point} overlay rw 0 0"
        for point in (
            *("/", "/c/buildah/store/overlay", "/c/buildah/store/overlay/a\\040b/merged"),
            *("/c/buildah-other", "/c", "/c/buildah/store/overlay/c/merged"),
        )
    )
    assert clean.mounts_below(Path("/c/buildah"), mounts) == [
        "/c/buildah/store/overlay/c/merged",
        "/c/buildah/store/overlay/a b/merged",
        "/c/buildah/store/overlay",
    ]
