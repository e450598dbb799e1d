"""Requests spread over replicas."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from probe.errors import ProbeError
from probe.experiments.balancing import Balancing, shares_of
from probe.records import Sample
from tests.support.experiment_fakes import Inspector, Replicas, figures


def test_shares_are_counted_by_the_replicas(measure: Callable[..., list[Sample]]) -> None:
    replicas = Replicas()
    found = figures(measure(Balancing(), Inspector("kubernetes", replicas)), "replica")
    assert [found["request_share", str(n)] for n in (1, 2, 3)] == [0.5, 0.25, 0.25]
    assert found["largest_share_ratio", ""] == 1.5
    assert found["lost_with_replica", ""] == 0
    assert replicas.least == 1


def test_shares_of_nothing_are_one_clear_line() -> None:
    # A replica that is new since counts from nothing.
    assert shares_of({"a": 5}, {"a": 6, "b": 3}) == {"a": 0.25, "b": 0.75}
    with pytest.raises(ProbeError, match="no replica says"):
        shares_of({"a": 5}, {"a": 5})
