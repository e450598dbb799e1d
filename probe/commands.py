"""Commands that are run to their end for what they print."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from probe.errors import ProbeError


def output(
    argv: Sequence[str], *, what: str, timeout_s: float, text: str = "", check: bool = True
) -> str:
    """Return what a command prints that is handed ``text``.

    Raises ProbeError with ``what`` and the command's last line if it cannot be run, does not end in
    time or, unless ``check`` is false, fails.
    """
    try:
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProbeError(f"{what}: {error}") from None
    if check and done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise ProbeError(f"{what}: {said.splitlines()[-1]}")
    return done.stdout
