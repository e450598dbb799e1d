"""Running the programs that a cluster is handled with: kind, kubectl, docker.

They are those of this clone (``.triptych/bin``) or of the user's PATH. Used by the program and by
its dynamic providers alike; standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pulumi

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
_BIN: Final = PROJECT_ROOT / ".triptych" / "bin"
#: Where the kubeconfig files of our own clusters lie, one each, for their user alone.
_KUBECONFIGS: Final = PROJECT_ROOT / ".triptych" / "kubeconfig"


class ToolError(pulumi.RunError):
    """A program is missing, or has failed; the text is one line."""


def find(name: str) -> str | None:
    """Return the program's path, the clone's own first; None if there is none."""
    return shutil.which(name, path=f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}")


def kubeconfig_file(cluster: str) -> Path:
    """Return where the kubeconfig of a cluster of ours lies."""
    return _KUBECONFIGS / cluster


def run(
    *command: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 60.0,
) -> str:
    """Run a program to its end and return what it printed.

    It ends with this process, should that be killed.

    Raises:
        ToolError: if it is missing, fails or takes too long.
    """
    name, *arguments = command
    program = find(name)
    if program is None:
        raise ToolError(f"{name} is missing: run `make build` first")
    try:
        done = subprocess.run(
            [*_leash(), program, *arguments],
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} {arguments[0]}: no end after {timeout_s:g} s") from None
    if done.returncode < 0:
        raise ToolError(f"{name} {arguments[0]}: ended by signal {-done.returncode}")
    if done.returncode:
        raise ToolError(f"{name} {arguments[0]}: {said(done.stderr or done.stdout)}")
    return done.stdout


def said(text: str, of: Sequence[str] = ("ERROR", "error", "Error")) -> str:
    """Return the line of a program's output that says what is wrong, else its last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(tuple(of))), (lines or ["failed"])[-1])


def _leash() -> list[str]:
    # util-linux's; where it is missing the program just runs on its own.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
