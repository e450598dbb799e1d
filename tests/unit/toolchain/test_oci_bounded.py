"""The OCI runtime that takes withheld capabilities away."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from toolchain.daemons import (
    install_runtime,
)
from toolchain.oci_bounded import trim


def config(*capabilities: str) -> dict[str, object]:
    held = {"bounding": list(capabilities), "ambient": None}
    return {"process": {"args": ["CAP_SYS_RESOURCE"], "capabilities": held}}


def test_trimming_only_takes_away() -> None:
    document = trim(config("CAP_CHOWN", "CAP_SYS_RESOURCE"), frozenset({"CAP_SYS_RESOURCE"}))
    assert document["process"]["capabilities"] == {"bounding": ["CAP_CHOWN"], "ambient": []}
    assert document["process"]["args"] == ["CAP_SYS_RESOURCE"]
    assert trim({"args": []}, frozenset({"X"})) == {"args": []}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["create", "--bundle", "{bundle}", "id"], True),
        (["--root", "/x", "run", "--bundle={bundle}", "id"], True),
        (["exec", "--process", "{bundle}/config.json", "id"], True),
        (["delete", "id"], False),
    ],
)
def test_the_runtime_trims_and_calls_runc(
    tmp_path: Path, arguments: list[str], changed: bool
) -> None:
    run, bundle, binaries = tmp_path / "run", tmp_path / "bundle", tmp_path / "bin"
    for directory in (run, bundle, binaries):
        directory.mkdir()
    install_runtime(run, ("CAP_SYS_RESOURCE",))
    (binaries / "runc").write_text('#!/bin/sh\necho "runc $@"\nexit 7\n')
    (binaries / "runc").chmod(0o755)
    (bundle / "config.json").write_text(json.dumps(config("CAP_CHOWN", "CAP_SYS_RESOURCE")))
    words = [word.format(bundle=bundle) for word in arguments]
    done = subprocess.run(
        [run / "oci-bounded", *words],
        env={"PATH": f"{binaries}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (7, f"runc {' '.join(words)}\n")
    after = json.loads((bundle / "config.json").read_text())["process"]["capabilities"]["bounding"]
    assert after == (["CAP_CHOWN"] if changed else ["CAP_CHOWN", "CAP_SYS_RESOURCE"])
