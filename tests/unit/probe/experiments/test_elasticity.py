"""Capacity that comes and goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from probe.experiments.balancing import Balancing
from probe.experiments.elasticity import Elasticity
from probe.records import Sample
from tests.support.experiment_fakes import Inspector, Replicas, figures


def test_capacity_that_comes_and_goes_is_timed(measure: Callable[..., list[Sample]]) -> None:
    replicas = Replicas(late=3)
    found = figures(measure(Elasticity(), Inspector("kubernetes", replicas)))
    assert found["added_replicas",] == 1
    # Asked twice before the load, then each quarter of a second: the second is the first with two.
    assert found["added_s",] == pytest.approx(0.25)
    assert found["given_back_s",] is not None
    assert replicas.closed


def test_capacity_that_never_comes_is_a_failed_sample(
    measure: Callable[..., list[Sample]],
) -> None:
    samples = measure(Elasticity(), Inspector("kubernetes", Replicas(late=10_000)))
    assert figures(samples) == {("added_replicas",): 0, ("added_s",): None}
    assert "none was ready after 150 s" in samples[-1].evidence


@pytest.mark.parametrize("model", ["docker", "vm"])
def test_a_model_without_an_autoscaler_adds_none(
    measure: Callable[..., list[Sample]], model: str
) -> None:
    (sample,) = measure(Elasticity(), Inspector(model))
    assert (sample.metric, sample.value) == ("added_replicas", 0)
    (spread,) = measure(Balancing(), Inspector(model))
    assert spread.outcome == "not_applicable"
