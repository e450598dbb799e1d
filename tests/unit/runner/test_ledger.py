"""What was made is found again when who made it is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, ledger


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ledger, "FILE", tmp_path / "below" / "ledger.jsonl")
    return ledger.FILE


def test_what_is_removed_is_no_longer_there() -> None:
    ledger.made("stack", "one")
    ledger.made("private shop", "two")
    ledger.removed("one")
    assert [(entry.kind, entry.name) for entry in ledger.entries()] == [("private shop", "two")]


def test_what_its_maker_still_has_is_not_abandoned() -> None:
    ledger.made("stack", "one")
    assert ledger.abandoned() == []


def test_what_a_killed_process_made_is_abandoned(file: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from tests.support import ledger\n"
        f"ledger.FILE = pathlib.Path({str(file)!r})\n"
        "ledger.made('stack', 'one')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert [entry.name for entry in ledger.abandoned()] == ["one"]


def test_a_damaged_line_counts_as_none(file: Path) -> None:
    ledger.made("stack", "one")
    with file.open("a") as lines:
        lines.write('{"made": "sta\n{"made": "stack"}\n')
    ledger.made("stack", "two")
    assert [entry.name for entry in ledger.entries()] == ["one", "two"]
