"""The toolchain's command line."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import ROOT
from toolchain import __main__ as main


def test_words_for_pytest_reach_it_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, str, bool, list[str]]] = []

    def run(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
        ran.append((arguments.goal, arguments.suites, arguments.no_skip, list(rest)))
        return 0

    monkeypatch.setattr(main, "_run", run)
    words = ["-k", "disk and not cdrom", "--models", "-m", "slow", "tests/unit/bench"]
    for goal in ("unit", "test"):
        assert main.main([goal, *words]) == 0
    own = ["--suites", "docker,units", "--no-skip"]
    assert main.main(["test", *own, *words]) == 0
    assert main.main(["test", *own, "--", *words]) == 0
    assert ran == [
        ("unit", "", False, words),
        ("test", "", False, words),
        ("test", "docker,units", True, words),
        ("test", "docker,units", True, words),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
        (["setup", "extra"], 2, "unexpected: extra"),
        ([], 2, "GOAL"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(words: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", "stop"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TRIPTYCH_RUN": str(tmp_path / "no")},
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
