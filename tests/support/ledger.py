"""What test runs made, written down before it is made: what a killed run left is found again.

One line of JSON for each event in `.triptych/tests/ledger.jsonl`. Lines are appended with a single
write, so that processes beside each other do not get into one another's.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Literal

import psutil

from tests.support import ROOT

FOLDER = ROOT / ".triptych" / "tests"
FILE = FOLDER / "ledger.jsonl"
#: The suite that a test belongs to, as `tests.runner` tells it; empty without it.
SUITE_VARIABLE = "TRIPTYCH_TEST_SUITE"

Kind = Literal["stack", "private shop"]


@dataclass(frozen=True)
class Entry:
    """Something that was made: what kind of thing, its name, who made it, for which suite."""

    kind: Kind
    name: str
    pid: int
    born_s: float
    suite: str

    @property
    def is_abandoned(self) -> bool:
        """Whether whoever made it has ended."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.born_s) > 1
        except psutil.NoSuchProcess:
            return True


def _append(event: dict[str, object]) -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(event).encode() + b"\n"
    file = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def made(kind: Kind, name: str) -> None:
    """Write down that something is about to be made by this process."""
    born_s = psutil.Process().create_time()
    suite = os.environ.get(SUITE_VARIABLE, "")
    _append({"made": kind, "name": name, "pid": os.getpid(), "born_s": born_s, "suite": suite})


def removed(name: str) -> None:
    """Write down that it is gone."""
    _append({"removed": name})


def entries() -> list[Entry]:
    """Return what was made and has not been removed; a damaged line counts as none."""
    found: dict[str, Entry] = {}
    try:
        lines = FILE.read_text().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
            if "removed" in event:
                found.pop(event["removed"], None)
            else:
                found[event["name"]] = Entry(
                    event["made"], event["name"], event["pid"], event["born_s"], event["suite"]
                )
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def abandoned() -> list[Entry]:
    """Return what processes made that have ended without removing it."""
    return [entry for entry in entries() if entry.is_abandoned]
