"""Every report is written down; with CI=true a skip has failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

TESTS = """
import pytest

def test_passes():
    pass

def test_fails():
    assert 1 + 1 == 3

@pytest.mark.skipif(True, reason="no such thing here")
def test_is_skipped():
    pass

def test_skips():
    pytest.skip("nor that")

@pytest.fixture
def broken():
    raise OSError("it is broken")

def test_is_not_set_up(broken):
    pass
"""


def recorded(
    tmp_path: Path, tests: str = TESTS, **environment: str
) -> tuple[int, list[dict[str, Any]]]:
    file, record = tmp_path / "test_some.py", tmp_path / "record.jsonl"
    file.write_text(tests)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.runner.recorder"),
            *(
                "-p",
                "no:cacheprovider",
                "-p",
                "no:schemathesis",
                "--rootdir",
                str(tmp_path),
                str(file),
            ),
        ],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "PYTHONPATH": str(ROOT),
            "TRIPTYCH_TEST_RECORD": str(record),
            **environment,
        },
        capture_output=True,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in record.read_text().splitlines()]


def reports(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == "test"]


def outcomes(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(event["outcome"] for event in reports(events) if event["phase"] == "call")


def test_reports_have_reasons_and_times(tmp_path: Path) -> None:
    code, events = recorded(tmp_path)
    assert code == 1
    assert [event["event"] for event in events if event["event"] != "test"] == ["measured"]
    events = reports(events)
    assert outcomes(events) == {"passed": 1, "failed": 1, "skipped": 1}
    (failed,) = (e for e in events if e["phase"] == "call" and e["outcome"] == "failed")
    assert failed["name"].endswith("test_some.py::test_fails")
    assert failed["reason"] == "assert (1 + 1) == 3"
    reasons = {e["reason"] for e in events if e["outcome"] == "skipped"}
    assert reasons == {"Skipped: no such thing here", "Skipped: nor that"}
    (broken,) = (e for e in events if e["phase"] == "setup" and e["outcome"] == "failed")
    assert broken["reason"] == "OSError: it is broken"


@pytest.mark.parametrize(("variable", "skips"), [("true", 0), ("false", 2)])
def test_what_ci_should_have_may_not_be_skipped(tmp_path: Path, variable: str, skips: int) -> None:
    events = reports(recorded(tmp_path, CI=variable)[1])
    assert sum(event["outcome"] == "skipped" for event in events) == skips
    failed = [e["reason"] for e in events if "with CI=true everything is" in e["reason"]]
    assert len(failed) == 2 - skips


def test_it_is_said_when_the_last_measurement_is_over(tmp_path: Path) -> None:
    marked = "@pytest.mark.measures_host\ndef test_measures():\n    assert False\n"
    tests = f"import pytest\n\ndef test_first(): pass\n\n{marked}\ndef test_last(): pass\n"
    _, events = recorded(tmp_path, tests)
    said = [e["name"].split("::")[-1] if e["event"] == "test" else e["event"] for e in events]
    assert said[said.index("measured") - 1] == "test_measures"
    assert said[said.index("measured") + 1] == "test_last"
    assert said.count("measured") == 1
