"""What is still there after a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probe.experiments.persistence import Persistence, deaths
from probe.records import Sample
from tests.support.experiment_fakes import Engine, Inspector, figures


def test_what_was_acknowledged_is_looked_for(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    customers.lost, customers.away = frozenset({"12", "14"}), 4
    engine, inspector = Engine(), Inspector("docker")
    samples = measure(Persistence(), inspector, redeploy=engine)
    found = figures(samples, "fault", "volume")
    assert found["lost_orders", "process", "yes"] == 2
    assert found["lost_orders", "container", "yes"] == 2
    assert found["lost_cart_items", "container", "yes"] == 0
    assert found["lost_files", "process", "no"] == 0
    assert found["lost_files", "container", "no"] == 1
    # dockerd starts a process again by itself; a container that is gone takes an `up`.
    assert engine.secrets == [{}]
    assert inspector.struck == [
        "process of postgres",
        "process of valkey",
        "container of postgres",
        "container of valkey",
    ]


def test_a_machine_dies_once_for_both_stores(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    inspector = Inspector("vm")
    assert list(deaths(inspector)) == ["machine"]  # type: ignore[arg-type]
    samples = measure(Persistence(), inspector, redeploy=Engine())
    assert inspector.struck == ["the machine"]
    assert figures(samples, "fault")["lost_orders", "machine"] == 0
    # The claim on what lies beside the volumes finds the reason.
    assert (samples[-1].outcome, samples[-1].labels["fault"]) == ("not_measured", "machine")


def test_a_node_is_not_killed_for_what_persists(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    inspector = Inspector("kubernetes")
    measure(Persistence(), inspector, redeploy=Engine())
    assert inspector.struck
    assert "the node" not in inspector.struck


def test_a_shop_that_stays_away_is_a_failed_sample(
    measure: Callable[..., list[Sample]], customers: Any
) -> None:
    customers.away = 10_000
    samples = measure(Persistence(), Inspector("kubernetes"), redeploy=Engine())
    assert (samples[0].outcome, samples[0].labels["fault"]) == ("failed", "process")
    assert "no answer 120 s later" in samples[0].evidence
