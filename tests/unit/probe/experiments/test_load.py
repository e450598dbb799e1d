"""Load up to the knee."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probe import models, vegeta
from probe.experiments import load
from probe.experiments.base import Context
from probe.experiments.load import Load, mix
from probe.models.base import Shares, Usage
from probe.vegeta import Report
from tests.support.probe_fakes import make_context, target


def report(rate: float, *, good: float = 1.0, p99: float = 0.1, sent: float = 1.0) -> Report:
    requests = round(rate * 10)
    latencies = {"p50": p99 / 2, "p90": p99, "p95": p99, "p99": p99, "max": 2 * p99}
    return Report(
        requests, round(requests * good), rate * sent, rate * good, latencies, {"200": requests}, ()
    )


class Stack:
    """A stack that carries so much; its service takes a hundredth of a second per request."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.answers: dict[float, Report] = {}
        self.asked: list[float] = []
        self.said = ""

    def await_ready(self, *_where: Any, streak: int, sleep: Any, **_how: Any) -> str:
        assert streak == load.STEADY
        sleep(7)
        return self.said

    def attack(self, _url: str, _mix: Any, *, rate: float, **_more: Any) -> Report:
        self.asked.append(rate)
        self.cpu_s += rate * 10 * 0.01
        return self.answers.get(rate) or report(rate)

    def shares(self) -> Shares:
        return Shares({"auth": Usage(5, self.cpu_s)})

    def close(self) -> None:
        pass


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    stack = Stack()
    monkeypatch.setattr(vegeta, "attack", stack.attack)
    monkeypatch.setattr(models, "inspector", lambda _target: stack)
    monkeypatch.setattr(Load, "_log_in", lambda _self, _target: ["t"])
    monkeypatch.setattr(load, "await_ready", stack.await_ready)
    return stack


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path, target=target("docker", {}))


def knee(context: Context) -> tuple[float | None, str]:
    (sample,) = [s for s in Load().measure(context) if s.metric == "knee_rate"]
    return sample.value, sample.evidence


def test_the_knee_is_the_last_rate_that_was_kept_up_with(stack: Stack, context: Context) -> None:
    stack.answers[80] = report(80, p99=1.5)
    assert knee(context) == (40, "at 80 a second 100.0% good, p99 1.50 s")
    assert stack.asked == [10, 20, 40, 80]


def test_failed_answers_are_no_throughput(stack: Stack, context: Context) -> None:
    stack.answers[20] = report(20, good=0.9)
    samples = Load().measure(context)
    failed = {s.labels["rate"]: s.value for s in samples if s.metric == "failed_share"}
    assert failed == {"10": 0.0, "20": pytest.approx(0.1)}
    assert knee(context)[0] == 10


def test_a_generator_at_its_limit_is_said_and_is_no_knee(stack: Stack, context: Context) -> None:
    stack.answers[160] = report(160, sent=0.8)
    assert knee(context) == (80, "the generator sent 128.0 of 160 a second: its limit")


def test_a_stack_that_is_slow_from_the_lowest_rate_on_has_a_knee_of_none(
    stack: Stack, context: Context
) -> None:
    stack.answers[10] = report(10, p99=5.0)
    assert knee(context) == (0, "at 10 a second 100.0% good, p99 5.00 s")


def test_a_stack_that_carries_nothing_is_a_failed_sample(stack: Stack, context: Context) -> None:
    stack.answers[10] = report(10, good=0.5)
    (sample,) = [s for s in Load().measure(context) if s.metric == "knee_rate"]
    assert (sample.outcome, sample.value) == ("failed", None)


def test_who_measures_next_finds_it_answering(stack: Stack, context: Context) -> None:
    last = Load().measure(context)[-1]
    assert (last.metric, last.value) == ("overload_recovery_s", 7)
    stack.said = "status 503"
    last = Load().measure(context)[-1]
    assert (last.outcome, last.evidence) == (
        "failed",
        "not 20 good answers in a row within 180 s: status 503",
    )


def test_what_it_costs_is_per_hundred_good_answers(stack: Stack, context: Context) -> None:
    stack.answers[20] = report(20, good=0.5)
    costs = {
        s.labels["rate"]: s.value for s in Load().measure(context) if s.metric == "cpu_s_per_100"
    }
    assert costs == {"10": pytest.approx(1.0), "20": pytest.approx(2.0)}


def test_a_stack_that_is_not_up_is_a_failed_sample(tmp_path: Path) -> None:
    (sample,) = Load().measure(make_context(tmp_path, up_error="no"))
    assert (sample.metric, sample.outcome) == ("knee_rate", "failed")


def test_the_mix_needs_no_more_than_its_tokens() -> None:
    lines = [json.loads(r.line("https://x")) for r in mix(["t1", "t2"])]
    assert {line["method"] for line in lines} == {"GET", "PUT"}
    tokens = {line["header"].get("Authorization", [""])[0] for line in lines}
    assert tokens == {"", "Bearer t1", "Bearer t2"}
    assert all(load.GOOD_SHARE <= 1 and line["url"].startswith("https://x/") for line in lines)
