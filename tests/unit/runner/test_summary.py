"""What is counted, listed and remembered at a run's end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.quiet.plugin import PROPERTY, REPEATED
from tests.quiet.pressure import Pressure
from tests.runner.summary import Outcome, Summary, last_times, read_events


def report(name: str, phase: str, outcome: str, **more: Any) -> dict[str, Any]:
    fields = {"took_s": 1.0, "reason": "", "properties": {}, **more}
    return {"event": "test", "name": name, "phase": phase, "outcome": outcome, **fields}


def whole(name: str, outcome: str = "passed", **more: Any) -> list[dict[str, Any]]:
    return [
        report(name, "setup", "passed"),
        report(name, "call", outcome, **more),
        report(name, "teardown", "passed"),
    ]


def text_of(*outcomes: Outcome, notes: tuple[str, ...] = ()) -> str:
    console = Console(width=132, record=True, file=None, quiet=False)
    with console.capture() as capture:
        Summary(outcomes, 100.0, 150.0, 2, notes).print(console)
    return capture.get()


def test_a_test_counts_once_by_its_worst_phase() -> None:
    events = [
        *whole("a"),
        *whole("b", "failed"),
        report("c", "setup", "skipped"),
        report("d", "setup", "failed"),
        report("e", "setup", "passed"),
        report("e", "call", "passed"),
        report("e", "teardown", "failed"),
    ]
    tests = Outcome("one", "failed", events=events).tests
    assert (tests["passed"], tests["failed"], tests["skipped"]) == (1, 3, 1)


@pytest.mark.parametrize("then", ["passed", "failed"])
def test_of_a_test_that_was_repeated_the_second_try_counts(then: str) -> None:
    figures = Pressure(60.0, 2, 1.31, 0.5, 0.0, 5.2, 0.83, 0.0)
    said = {PROPERTY: json.dumps(figures.record())}
    events = [
        report("a", "call", REPEATED, reason="assert 1 == 0", properties=said),
        *whole("a", then, reason="assert 2 == 0"),
    ]
    outcome = Outcome("one", "passed", events=events)
    assert outcome.tests == {then: 1}
    lines = text_of(outcome)
    line = f"repeated: a: {figures}; then {then}"
    assert line in " ".join(lines.split())
    assert ("All that failed" in lines) == (then == "failed")
    assert "assert 1 == 0" not in lines


def test_what_failed_is_listed_with_its_suite_and_reason() -> None:
    events = whole("tests/x.py::test_sum", "failed", reason="assert 2 == 3")
    lines = text_of(Outcome("one", "failed", "code 1", events=events)).splitlines()
    assert lines[-1] == "- one: tests/x.py::test_sum (call): assert 2 == 3"


def test_a_suite_that_ends_without_a_report_says_why() -> None:
    assert "- one: code 4; log: there" in text_of(Outcome("one", "failed", "code 4; log: there"))


def test_what_was_not_run_says_why() -> None:
    said = text_of(
        Outcome("one", "not run", "dockerd does not answer"),
        Outcome("two", "unfinished", "the time for all of it was over"),
        notes=("removed e2e-vm-1, left by an earlier run of the tests",),
    )
    assert "not run: one: dockerd does not answer" in said
    assert "unfinished: two: the time for all of it was over" in said
    assert "removed e2e-vm-1" in said


def test_lanes_and_deployments_add_up() -> None:
    events = [
        {"event": "deployed", "model": "docker", "shape": "monolith", "by": "x", "count": 2},
        *whole("a"),
    ]
    first = Outcome("one", "passed", lane=1, took_s=40, cpu_s=10, deployed_cpu_s=20, events=events)
    second = Outcome("two", "passed", lane=1, began_s=40, took_s=50, cpu_s=5)
    rows = text_of(first, second).splitlines()
    lane = next(row for row in rows if "lane 1" in row)
    assert "1:30" in lane
    assert "35 s" in lane
    assert "90% busy" in lane
    assert next(row for row in rows if "│ all" in row).split("│")[-2].strip() == "2"


def test_the_slowest_are_listed_with_their_set_up() -> None:
    events = [
        report("slow", "setup", "passed", took_s=70.5),
        report("slow", "call", "passed", took_s=1.0),
        *whole("quick"),
    ]
    rows = text_of(Outcome("one", "passed", events=events)).splitlines()
    listed = [row for row in rows if " s │ one" in row]
    assert "71.5 s" in listed[0]
    assert "slow" in listed[0]
    assert "3.0 s" in listed[1]


def test_a_damaged_record_loses_its_damaged_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"event": "said"}) + '\n{"event": "te\n[1]\n7\n')
    assert read_events(path) == [{"event": "said"}]
    assert read_events(tmp_path / "missing.jsonl") == []


def test_times_are_those_of_suites_that_passed(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    outcomes = (Outcome("one", "passed", took_s=12.5), Outcome("two", "failed", took_s=3.0))
    path.write_text(json.dumps(Summary(outcomes, 20.0, 30.0, 2).to_json()))
    assert last_times(path) == {"one": 12.5}
    path.write_text("{")
    assert last_times(path) == {}
    assert last_times(tmp_path / "missing.json") == {}
