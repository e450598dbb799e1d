"""With what a service's check has passed: a record and the log of each, by the key of its inputs.

They are the user's, for all clones: what one has checked the others need not. Each is written whole
and under its key, so that several may write at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from toolchain.files import write_text

#: How many of a check are kept, the newest: a clone that goes back finds what it had.
KEPT = 8


@dataclass(frozen=True)
class Passed:
    """One run that passed.

    `summary` is what it said of itself, `tests` how many of them it counted (0: the runner does not
    say), `ended_at` a time of ISO 8601 in UTC, `tools` what it was run with, by name.
    """

    summary: str
    tests: int
    ended_at: str
    took_s: float
    tools: Mapping[str, str]


@dataclass(frozen=True)
class Records:
    """The records of one check, in a directory of their own."""

    directory: Path

    def log(self, key: str) -> Path:
        """Return where the log of the run with this key is kept."""
        return self.directory / f"{key}.log"

    def find(self, key: str) -> Passed | None:
        """Return the run that passed with this key; None too if its record is damaged."""
        try:
            passed = Passed(**json.loads(self._record(key).read_text()))
            datetime.fromisoformat(passed.ended_at)
        except (OSError, ValueError, TypeError):
            return None
        return passed if isinstance(passed.summary, str) and self.log(key).is_file() else None

    def keep(self, key: str, passed: Passed, log: str) -> None:
        """Keep a run that passed, and remove the oldest."""
        write_text(self.log(key), log)
        # Last: without it the log counts for nothing.
        write_text(self._record(key), json.dumps(asdict(passed), indent=2) + "\n")
        self._prune()

    def _record(self, key: str) -> Path:
        return self.directory / f"{key}.json"

    def _prune(self) -> None:
        newest: dict[str, float] = {}
        files = [path for path in self.directory.iterdir() if not path.is_dir()]
        for path in files:
            try:
                written_s = path.stat().st_mtime
            except FileNotFoundError:
                continue  # Another run was faster.
            newest[path.stem] = max(written_s, newest.get(path.stem, 0.0))
        old = set(sorted(newest, key=lambda stem: -newest[stem])[KEPT:])
        for path in sorted(files):  # The record before its log.
            if path.stem in old:
                path.unlink(missing_ok=True)


def describe(passed: Passed, log: Path) -> str:
    """Return the line of a check that need not run again."""
    day = datetime.fromisoformat(passed.ended_at).astimezone().date()
    return f"{passed.summary} on {day} (unchanged since; kept: {log})"
