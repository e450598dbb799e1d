"""Updates under load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from probe.experiments.rollout import Rollout
from probe.records import Sample
from tests.support.experiment_fakes import Attack, Engine, Inspector, figures


def test_an_update_is_taken_back(measure: Callable[..., list[Sample]], customers: Any) -> None:
    engine = Engine()
    samples = measure(Rollout(), Inspector("kubernetes"), redeploy=engine)
    found = figures(samples, "direction")
    assert found["update_failed_requests", "update"] == 0
    assert found["update_failed_requests", "rollback"] == 0
    first, second = engine.secrets
    assert str(first["stripe_api_key"]).startswith("sk_test_probe")
    assert second == {"stripe_api_key": None}
    assert "rolling update" in samples[0].evidence


def test_requests_that_fail_in_an_update_are_counted(
    measure: Callable[..., list[Sample]], customers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attack, "pattern", "...." + "x" * 7 + "." * 30)
    found = figures(measure(Rollout(), Inspector("docker"), redeploy=Engine()), "direction")
    assert found["update_failed_requests", "update"] == 7
    assert found["update_longest_gap_s", "update"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("pattern", "overlap_s"),
    [
        ("aaaaaa" + "bababa" + "b" * 20, 0.5),  # the first of b's until the last of a's
        ("aaaaaa" + "xxxx" + "b" * 20, 0),
        ("ab" * 3 + "cacb" + "c" * 20, 0.3),
    ],
)
def test_old_and_new_side_by_side_are_told_by_who_answers(
    measure: Callable[..., list[Sample]],
    customers: Any,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    overlap_s: float,
) -> None:
    monkeypatch.setattr(Attack, "pattern", pattern)
    found = figures(measure(Rollout(), Inspector("docker"), redeploy=Engine()), "direction")
    assert found["update_overlap_s", "update"] == pytest.approx(overlap_s, abs=1e-3)


@pytest.mark.parametrize("pattern", ["." * 30, "a" * 30])
def test_where_nobody_new_is_seen_there_is_no_overlap(
    measure: Callable[..., list[Sample]],
    customers: Any,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
) -> None:
    monkeypatch.setattr(Attack, "pattern", pattern)
    samples = measure(Rollout(), Inspector("docker"), redeploy=Engine())
    (found, *_) = [s for s in samples if s.metric == "update_overlap_s"]
    assert (found.value, found.outcome) == (None, "not_measured")
    assert (
        f"{30 if 'a' in pattern else 0} answers by the processes from before, 0" in found.evidence
    )


def test_a_customer_who_cannot_log_in_yet_tries_again(
    measure: Callable[..., list[Sample]], customers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attack, "pattern", "a" * 6 + "b" * 30)
    customers.refusals = 3
    samples = measure(Rollout(), Inspector("docker"), redeploy=Engine())
    assert {s.outcome for s in samples} == {"ok"}
    customers.refusals = 1000
    (sample,) = measure(Rollout(), Inspector("docker"), redeploy=Engine())
    assert (sample.outcome, sample.evidence) == ("failed", "no customer could log in: not yet")


def test_an_update_that_fails_is_not_taken_back(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    engine = Engine("no such image")
    (sample,) = measure(Rollout(), Inspector("docker"), redeploy=engine)
    assert (sample.outcome, sample.evidence) == ("failed", "update: no such image")
    assert len(engine.secrets) == 1


def test_a_stack_of_somebody_elses_is_not_updated(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    (sample,) = measure(Rollout(), Inspector("docker"))
    assert "not the probe's own" in sample.evidence
