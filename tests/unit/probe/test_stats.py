"""Medians, intervals, differences."""

from __future__ import annotations

import numpy as np
import pytest

from probe import stats
from probe.stats import bootstrap_median, describe

# The instrument: a model against itself.


def test_a_model_against_itself_is_seldom_told_apart() -> None:
    """Of thousands of comparisons of the same with the same, no more than the level says differ."""
    rng = np.random.default_rng(1)
    runs = 2000
    differ = 0
    for _ in range(runs):
        a, b = rng.lognormal(1.0, 0.3, 8), rng.lognormal(1.0, 0.3, 8)
        found = stats.difference(a.tolist(), b.tolist(), resamples=200)
        differ += found.p < 0.05 and not found.low <= 0 <= found.high
    assert differ / runs <= 0.055


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    found = stats.difference(rng.normal(10, 1, 10).tolist(), rng.normal(13, 1, 10).tolist())
    assert found.high < 0
    assert found.p < 0.01
    assert found.effect < -0.8


def test_the_best_that_so_few_points_can_give() -> None:
    found = stats.difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert found.p == pytest.approx(found.smallest_p) == pytest.approx(0.1)


def test_holm() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([]) == []


def test_a_median_with_its_interval() -> None:
    found = describe([3.0, 1.0, 2.0, 5.0, 4.0])
    assert found.median == 3.0
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert found.count == "5/5"


def test_failures_lower_the_count_and_stay() -> None:
    found = describe([1.0, None, 2.0])
    assert (found.median, found.count) == (1.5, "2/3")
    assert found.low is None
    nothing = describe([None, None])
    assert (nothing.median, nothing.count) == (None, "0/2")
    assert describe([]).count == "0/0"


def test_the_same_samples_give_the_same_interval() -> None:
    data = [4.1, 3.9, 4.4, 4.0, 5.2, 3.8]
    assert bootstrap_median(data) == bootstrap_median(data)
    assert bootstrap_median([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_intervals_hold_the_median_as_often_as_they_say() -> None:
    """95 % intervals of ten values cover the true median about so often (small n: a bit less)."""
    rng = np.random.default_rng(5)
    hits = 0
    trials = 60
    for _ in range(trials):
        low, high = bootstrap_median(rng.exponential(size=15))
        hits += low <= np.log(2) <= high
    assert hits / trials >= 0.85
