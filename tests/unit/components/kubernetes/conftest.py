"""Programs on PATH that only take notes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.kubernetes import tools

SCRIPT = """#!/bin/sh
printf '%s' "$(basename "$0")" >> {log}
for word in "$@"; do printf ' %s' "$word" >> {log}; done
printf ' [%s]\\n' "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >> {log}
case "$(basename "$0") $1" in
"kind create") cat > {stdin}; [ ! -e {broken} ] || {{ echo 'ERROR: no luck' >&2; exit 1; }} ;;
"kind get") echo kubeconfig-content ;;
"docker ps") cat {ps} ;;
"kubectl get") [ "$2" = --raw ] || cat {objects} ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Put programs on PATH that note how they are called."""
    files = {n: tmp_path / n for n in ("log", "stdin", "broken", "ps", "objects")}
    files["ps"].write_text("triptych-unit-control-plane\trunning\n")
    for name in ("kind", "docker", "kubectl"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(SCRIPT.format(**files))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tools, "_BIN", tmp_path / "none")
    monkeypatch.setattr(tools, "_KUBECONFIGS", tmp_path / "kubeconfig")
    files["kubeconfig"] = tmp_path / "kubeconfig" / "triptych-unit"
    return files
