"""A whole run of small suites: what one that fails, hangs or can't run does to the others."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from tests.runner import __main__ as runner
from tests.runner.suites import Need, Suite
from tests.runner.usage import Usage
from tests.support import ledger
from toolchain import accelerator
from toolchain.accelerator import Accelerator

PASSES = "pass"
FAILS = "raise SystemExit(3)"
#: Ends only when it is told to, and says that it was.
HANGS = """
import pathlib, signal, sys, time
def told(*_):
    pathlib.Path(sys.argv[1]).touch()
    raise SystemExit(2)
signal.signal(signal.SIGINT, told)
pathlib.Path(sys.argv[1] + ".hangs").touch()
while True:
    time.sleep(0.05)
"""


def suite(name: str, script: str, *more: str, needs: tuple[Need, ...] = ()) -> Suite:
    return Suite(name, ("-c", script, *more), 0.1, 10, 1.0, needs, is_command=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "FOLDER", tmp_path / "tests")
    monkeypatch.setattr(runner, "_POLL_S", 0.02)
    monkeypatch.setattr(ledger, "FILE", tmp_path / "ledger.jsonl")
    monkeypatch.setattr(runner, "_ask", lambda _need: "")
    return tmp_path / "tests"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def whole(*suites: Suite, **options: float) -> tuple[int, str]:
        code = runner.Run(suites, **options).whole()  # type: ignore[arg-type] # deadline_s alone
        return code, capfd.readouterr().out

    return whole


def test_one_that_fails_is_enough_and_the_others_go_on(
    run: Callable[..., tuple[int, str]], folder: Path
) -> None:
    code, said = run(suite("bad", FAILS), suite("good", PASSES))
    assert code == 1
    assert "- bad: code 3" in said
    states = {
        s["suite"]: s["state"] for s in json.loads((folder / "summary.json").read_text())["suites"]
    }
    assert states == {"bad": "failed", "good": "passed"}


def test_all_that_pass(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run(suite("one", PASSES), suite("two", PASSES))
    assert code == 0
    assert said.splitlines()[-1] == "0 passed, 0 failed, 0 skipped"


def test_others_wait_until_the_first_has_measured_but_those_that_give_way(
    run: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.touch()
    # Says that it has measured once the one has begun that may, and goes on until all have.
    measures = f"""
import os, pathlib, time
seen = pathlib.Path({str(seen)!r})
def wait_for(name):
    while name not in seen.read_text():
        time.sleep(0.02)
wait_for("gives way")
time.sleep(0.3)
with seen.open("a") as file:
    file.write("measured, ")
with open(os.environ["TRIPTYCH_TEST_RECORD"], "a") as record:
    record.write('{{"event": "measured", "at_s": 0}}' + chr(10))
wait_for("other")
"""

    def begins(name: str) -> Suite:
        script = f"open({str(seen)!r}, 'a').write({name!r} + ', ')"
        return suite(name, script)

    first = replace(suite("first", measures), measures_first=True)
    code, _ = run(begins("other"), replace(begins("gives way"), gives_way=True), first)
    assert code == 0
    assert seen.read_text() == "gives way, measured, other, "


@pytest.mark.parametrize(
    ("kind", "beside", "state"),
    [
        ("tcg", "other", "left out"),
        ("tcg", "unrelated", "passed"),
        ("kvm", "other", "passed"),
    ],
)
def test_what_another_suite_shows_is_left_out_where_machines_are_emulated(
    run: Callable[..., tuple[int, str]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["tcg", "kvm"],
    beside: str,
    state: str,
) -> None:
    monkeypatch.setattr(accelerator, "detect", lambda: Accelerator(kind, "so it is"))
    about = replace(suite("about a machine", PASSES), seen_in="other")
    code, said = run(about, suite(beside, PASSES))
    assert code == 0
    (found,) = (
        s["state"]
        for s in json.loads((folder / "summary.json").read_text())["suites"]
        if s["suite"] == "about a machine"
    )
    assert found == state
    why = "left out: about a machine: machines are emulated here; its main part is seen in other"
    assert (why in said) == (state == "left out")


def test_what_its_containers_and_machines_take_is_the_suites(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def sample(usage: Usage) -> None:
        usage.deployed_cpu_s["one"] = 12.5

    monkeypatch.setattr(Usage, "sample", sample)
    run(suite("one", PASSES))
    (written,) = json.loads((folder / "summary.json").read_text())["suites"]
    assert written["deployed_cpu_s"] == 12.5


def test_what_needs_a_daemon_that_is_not_there_is_not_run(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        runner, "_ask", lambda need: "dockerd does not answer" if need == "docker" else ""
    )
    code, said = run(suite("one", PASSES, needs=("docker",)), suite("two", PASSES))
    assert code == 1
    assert "not run: one: dockerd does not answer" in said
    assert "two: passed" in said


def test_a_daemon_that_dies_in_the_middle_is_named_once(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dead = tmp_path / "dead"
    monkeypatch.setattr(
        runner, "_ask", lambda _need: "dockerd does not answer" if dead.exists() else ""
    )
    dies = f"import pathlib; pathlib.Path({str(dead)!r}).touch(); {FAILS}"
    large = Suite("later", ("-c", PASSES), 50, 10, 0.5, ("docker",), is_command=True)
    code, said = run(suite("first", dies, needs=("docker",)), large)
    assert code == 1
    assert said.count("dockerd does not answer: what else needs it is not run") == 1
    assert "not run: later: dockerd does not answer" in said


def test_a_full_disk_is_one_line(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: SimpleNamespace(free=10**8))
    code, said = run(suite("one", PASSES))
    assert code == 1
    assert "has 0.1 GB left, 2 needed" in said


def test_at_the_deadline_it_ends_and_names_what_is_unfinished(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    deadline_s = time.time() + 10_000

    def clock() -> float:
        """Be past the deadline once the suite can be told so."""
        return deadline_s + 1 if Path(f"{told}.hangs").exists() else deadline_s - 1

    monkeypatch.setattr(time, "time", clock)
    waits = Suite("waits", ("-c", PASSES), 50, 10, 0.5, is_command=True)
    code, said = run(suite("hangs", HANGS, str(told)), waits, deadline_s=deadline_s)
    assert code == 1
    assert told.exists()  # It was asked, and could put away what it had made.
    assert "unfinished: hangs: the time for all of it was over" in said
    assert "not run: waits: the time for all of it was over" in said


def test_an_unknown_suite_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(["--suites", "nonsense"])
    assert ended.value.code == 2
    assert "unknown suite 'nonsense'" in capfd.readouterr().err


def test_what_a_killed_run_left_is_put_away_first(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["e2e-docker-1"]
    monkeypatch.setattr(runner, "_remove_abandoned", lambda: [found.pop()] if found else [])
    code, said = run(suite("one", PASSES))
    assert code == 0
    assert "removed e2e-docker-1, left by an earlier run of the tests" in said
