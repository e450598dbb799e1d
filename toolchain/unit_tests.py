"""`make unit`: what pytest runs without `--live`, several beside each other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolchain.paths import Paths
from toolchain.python_env import venv_python


def command(python: str | Path, extra: Sequence[str] = ()) -> list[str]:
    """Return the command that runs the unit tests, in as many processes as there are cores."""
    # By whole files, of which many keep what is dear to make. The fuzzer's plugin, which no unit
    # test uses, takes longer to load than all the rest of pytest.
    options = ["-n", "logical", "--dist", "loadfile", "-p", "no:schemathesis"]
    return [str(python), "-m", "pytest", *options, *extra]


def run(paths: Paths, extra: Sequence[str] = ()) -> int:
    """Run the unit tests; return pytest's exit code."""
    argv = command(venv_python(paths), extra)
    return subprocess.run(argv, cwd=paths.root, check=False).returncode
