"""Starts the commands that are timed, and stops them decently on Ctrl-C or time-out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from probe.engine import last_line
from probe.errors import ProbeError

#: How long an interrupted command may take to end by itself (seconds).
PATIENCE_S = 60.0


class CommandFailed(ProbeError):
    """A command ended with another code than 0; the text is its last word."""


class Command:
    """A command that runs; ``started_at`` is the moment just before, on the monotonic clock."""

    def __init__(self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._words = [str(word) for word in argv]
        # Not a pipe, which would have to be read while the clock runs.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open until finish()
        self.started_at = time.monotonic()
        try:
            # A group of its own: the terminal's Ctrl-C reaches us alone, and we end the group.
            self._process = subprocess.Popen(
                self._words,
                cwd=cwd,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:
            self._output.close()
            raise CommandFailed(f"cannot run {self._words[0]}: {error.strerror}") from None

    def finish(self, timeout_s: float) -> float:
        """Wait for its end and return how long it ran; raise CommandFailed if it failed."""
        try:
            code = self._process.wait(timeout_s)
            seconds = time.monotonic() - self.started_at
        except subprocess.TimeoutExpired:
            self.stop()
            raise CommandFailed(f"{self._title} did not end within {timeout_s:.0f} s") from None
        except BaseException:
            self.stop()
            raise
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        self._output.close()
        if code:
            raise CommandFailed(f"{self._title}: {last_line(text)}")
        return seconds

    @property
    def _title(self) -> str:
        words = [w for w in self._words[1:] if re.fullmatch("[a-z][a-z-]*", w)][:1]
        return " ".join([Path(self._words[0]).name, *words])

    def stop(self) -> None:
        """Ask the command to end, then kill it; no effect on one that has ended."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 120.0,
) -> float:
    """Run a command to its end and return the seconds that it took."""
    return Command(argv, cwd=cwd, env=env or {}).finish(timeout_s)
