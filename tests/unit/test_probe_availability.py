from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from probe import models, processes
from probe.errors import ProbeError
from probe.experiments import availability
from probe.experiments.availability import Availability
from probe.models.base import Kill
from probe.outage import Outage, outage
from probe.vegeta import Answer, answer
from tests.unit.probe_fakes import make_context
from tests.unit.test_probe_models import target


def answers(pattern: str, *, began: float = 0.0, latency_s: float = 0.01) -> list[Answer]:
    """Return an answer each tenth of a second: good (`.`) or bad (`x`)."""
    return [Answer(began + n / 10, latency_s, c == ".") for n, c in enumerate(pattern)]


def test_recovery_is_the_first_of_so_many_good_answers_in_a_row() -> None:
    #                           struck at 0.4
    found = outage(answers("....xx..x....."), 0.4, in_a_row=3)
    assert found.failed == 3
    assert found.recovery_s == pytest.approx(0.9 + 0.01 - 0.4)


def test_good_answers_after_the_strike_and_before_the_outage_are_none_of_it() -> None:
    found = outage(answers("......xxx...."), 0.2, in_a_row=3)
    assert found.recovery_s == pytest.approx(0.9 + 0.01 - 0.2)


def test_without_a_failed_request_there_was_no_outage() -> None:
    assert outage(answers("." * 20), 0.4) == Outage(0.0, 0, pytest.approx(0.1))


def test_what_does_not_recover_has_no_recovery() -> None:
    found = outage(answers("....xxxx.x.x"), 0.4, in_a_row=3)
    assert found.recovery_s is None
    assert found.failed == 6


def test_the_gap_is_the_time_without_a_good_answer() -> None:
    # Answers of 0.3 and 0.9 s are good, at 0.31 and 0.91.
    assert outage(answers("....xxxxx..."), 0.4).longest_gap_s == pytest.approx(0.6)
    assert outage(answers("....xxxxxx"), 0.4).longest_gap_s == pytest.approx(0.6)
    assert outage(answers("xxxx"), 0.0).longest_gap_s == pytest.approx(0.31)


def test_one_line_of_vegetas_is_understood() -> None:
    line = {"code": 200, "timestamp": "2026-01-01T00:00:01Z", "latency": 2_000_000, "error": ""}
    one = answer(line)
    assert (one.good, one.latency_s, one.ended_at - one.sent_at) == (
        True,
        0.002,
        pytest.approx(0.002, abs=1e-5),
    )
    assert not answer({**line, "code": 0, "error": "EOF"}).good
    assert not answer({**line, "code": 503}).good
    assert one.instance == ""
    named = {"X-Instance-Id": ["4f2a"], "Date": ["now"]}
    assert answer({**line, "headers": named}).instance == "4f2a"
    assert answer({**line, "headers": None}).instance == ""


@pytest.fixture
def struck(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that measures with one kill and these answers before it and around it."""

    def measure(pattern: str, strike: Any = lambda: None, before: str = "." * 20) -> list[Any]:
        told = [pattern, *[before] * availability.SETTLES]

        class Attack:
            def __init__(self, *_args: Any, **_more: Any) -> None:
                self.began = time.time() - 0.35

            def stop(self) -> list[Answer]:
                now = told.pop()
                if "x" not in now:
                    del told[1:]
                return answers(now, began=self.began)

        class Inspector:
            def kills(self, service: str) -> tuple[Kill, ...]:
                assert service == "monolith"
                return (Kill("process", "it", strike, "dockerd's restart policy"),)

            def close(self) -> None:
                pass

        monkeypatch.setattr(availability, "Attack", Attack)
        monkeypatch.setattr(models, "inspector", lambda _target: Inspector())
        context = make_context(tmp_path, target=target("docker", {}))
        return Availability().measure(context)

    return measure


def test_who_repaired_it_is_said(struck: Any) -> None:
    samples = {s.metric: s for s in struck("...." + "xx" + "." * 30)}
    assert samples["recovery_s"].evidence == ("killed: it; repaired by: dockerd's restart policy")
    assert samples["failed_requests"].value == 2


def test_what_nobody_repairs_is_a_failed_sample(struck: Any) -> None:
    samples = {s.metric: s for s in struck("...." + "x" * 30)}
    assert samples["recovery_s"].outcome == "failed"
    assert "repaired by: nobody within 45 s" in samples["recovery_s"].evidence


def test_a_shop_that_was_late_before_the_kill_is_said_to_be(struck: Any) -> None:
    late = "not all answers came within 1 s before the kill either"
    assert all(late in s.evidence for s in struck("." * 30, before=".x"))
    assert not any(late in s.evidence for s in struck("." * 30))


def test_a_shop_that_did_not_answer_before_is_no_outage(struck: Any) -> None:
    (sample,) = struck("x" * 30)
    assert "did not answer before" in sample.evidence


def test_nothing_is_killed_before_all_is_answered_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = iter(("..x.", "....", "." * 40))
    struck: list[str] = []

    class Attack:
        def __init__(self, *_args: Any, **_more: Any) -> None:
            assert not struck
            self.answers = answers(next(told), began=time.time() - 0.35)

        def stop(self) -> list[Answer]:
            return self.answers

    monkeypatch.setattr(availability, "Attack", Attack)
    kill = Kill("process", "it", lambda: struck.append("it"), "somebody")
    context = make_context(tmp_path, target=target("docker", {}))
    assert context.target is not None
    Availability()._strike(context, context.target, kill)
    assert struck == ["it"]
    assert next(told, None) is None


def test_what_can_not_be_killed_is_said(struck: Any) -> None:
    def strike() -> None:
        raise ProbeError("there is no process to kill")

    (sample,) = struck("." * 30, strike)
    assert (sample.outcome, sample.evidence) == ("failed", "there is no process to kill")


def test_processes_are_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    processes.kill((child.pid,))
    assert child.wait(10) == -9
    with pytest.raises(ProbeError, match="no process to kill"):
        processes.kill((child.pid,))
