"""Phases up to the first transaction."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from probe import sites
from probe.experiments.readiness import Outcome, Readiness
from probe.models.base import Stamps
from probe.poller import PollResult
from probe.records import Sample
from probe.target import Target
from tests.support.probe_fakes import make_context
from tests.support.probe_server import Shop, make_authority, serve


class FakeWatcher:
    """A watcher that has seen what it was told."""

    def __init__(self, stamps: dict[str, float], missing: dict[str, str] | None = None) -> None:
        self._stamps = Stamps(first=stamps)
        self._missing = missing or {}

    def start(self) -> None:
        pass

    def stamps(self) -> dict[str, float]:
        return self._stamps.copy()

    def missing(self) -> dict[str, str]:
        return self._missing

    def stop(self) -> None:
        pass

    def log(self) -> list[dict[str, object]]:
        return self._stamps.seen

    def last_words(self) -> str:
        return "[    9.1] Kernel panic"


def make_target(shop: Shop) -> Target:
    return Target(
        stack="s",
        model="docker",
        shape="monolith",
        storefront_url=shop.url,
        api_url=f"{shop.url}/api/v1",
        ready_url=f"{shop.url}/health/ready",
        ca_certificate=shop.ca_certificate,
        accelerator="none",
        prefix="triptych-s",
        memory_limit_bytes=2**30,
        cpu_limit=2.0,
    )


def by_metric(samples: list[Sample]) -> dict[str, Sample]:
    return {s.metric: s for s in samples}


def test_phases_are_stamped_beside_a_slow_engine(tmp_path: Path) -> None:
    """The first transaction is not held up by an engine that goes on after the shop is ready."""
    port = sites.free_port()
    shop = Shop(ca_certificate=make_authority(tmp_path), port=port, checkout_failures=2)
    context = make_context(tmp_path, clock=time.monotonic, sleep=time.sleep)
    context.expected_ready_url = f"{shop.url}/health/ready"
    experiment = Readiness()
    begin = time.monotonic()
    context.watcher = FakeWatcher(
        {
            "platform_created": begin + 0.05,
            "platform_ready": begin + 0.1,
            "workload_started": begin + 0.2,
        }
    )
    experiment.prepare(context)
    context.started_at = begin
    time.sleep(0.1)
    with serve(tmp_path, shop, port=port):
        # The engine is busy until the customer has bought: the list of orders is the last step.
        give_up_s = time.monotonic() + 60
        while "GET /api/v1/orders" not in shop.requests:
            assert time.monotonic() < give_up_s, "nothing is bought beside the engine"
            time.sleep(0.005)
        context.target = make_target(shop)
        samples = by_metric(experiment.measure(context))
    experiment.cleanup(context)
    values = {m: s.value for m, s in samples.items() if m != "first_transaction_step_s"}
    assert values["platform_created_s"] == pytest.approx(0.05)
    assert values["workload_started_s"] == pytest.approx(0.2)
    ready, bought = values["ready_endpoint_s"], values["first_transaction_s"]
    assert ready is not None
    assert bought is not None
    assert 0 < ready < bought
    assert values["failed_first_transactions"] == 2
    assert "status 503" in samples["first_transaction_s"].evidence
    assert values["ready_uncertainty_s"] is not None


def test_a_timeout_is_a_failed_sample_with_its_evidence(tmp_path: Path) -> None:
    context = make_context(tmp_path, clock=time.monotonic, sleep=time.sleep)
    context.plan = type(context.plan)(timeout_s=0.3)
    context.expected_ready_url = f"https://127.0.0.1:{sites.free_port()}/health/ready"
    context.watcher = FakeWatcher({}, {"platform_ready": "the console lies elsewhere"})
    experiment = Readiness()
    experiment.prepare(context)
    context.started_at = time.monotonic()
    samples = by_metric(experiment.measure(context))
    experiment.cleanup(context)
    assert samples["first_transaction_s"].outcome == "failed"
    assert samples["first_transaction_s"].value is None
    assert "Kernel panic" in samples["first_transaction_s"].evidence
    assert samples["platform_created_s"].outcome == "failed"
    assert samples["platform_ready_s"].outcome == "not_measured"
    assert samples["poll_gap_median_s"].value is not None


def test_an_address_that_turned_out_otherwise_is_said(tmp_path: Path) -> None:
    context = make_context(tmp_path, clock=time.monotonic, sleep=time.sleep)
    experiment = Readiness()
    experiment.prepare(context)
    context.started_at = time.monotonic()
    with serve(tmp_path, Shop()) as shop:
        context.target = make_target(shop)
        samples = by_metric(experiment.measure(context))
    assert samples["first_transaction_s"].outcome == "ok"
    assert samples["ready_uncertainty_s"].outcome == "not_measured"


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    context = make_context(tmp_path, clock=time.monotonic, sleep=time.sleep)
    context.expected_ready_url = f"https://127.0.0.1:{sites.free_port()}/health/ready"
    experiment = Readiness()
    experiment.prepare(context)
    experiment.cleanup(context)
    assert threading.active_count() == before


def test_steps_are_samples_of_their_own(tmp_path: Path) -> None:
    class Watcher:
        def stamps(self) -> dict[str, float]:
            return {"platform_created": 101.0, "node_ready": 103.0, "addons_ready": 104.0}

        def missing(self) -> dict[str, str]:
            return {"addons_ready": "not available yet: deployment x"}

        def last_words(self) -> str:
            return ""

    context = make_context(tmp_path, model="kubernetes", watcher=Watcher(), started_at=100.0)
    polled = PollResult(100.0, 110.0, None, 1, (), 0.0, 10.0)
    samples = Readiness()._phases(context, Outcome(polled, None, None, ()))
    steps = {s.labels["step"]: (s.value, s.outcome) for s in samples if s.metric == "step_s"}
    assert steps == {"node_ready": (3.0, "ok"), "addons_ready": (None, "not_measured")}
