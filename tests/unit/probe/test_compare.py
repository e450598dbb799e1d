"""Comparisons: their order, failures, and what is done again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from probe import cleaning, compare, models, sites, store
from probe.compare import Comparison, Order, estimate_trial, expected_ready_url
from probe.engine import EngineFailed, UpResult
from probe.errors import ProbeError
from probe.experiments import Plan
from probe.experiments.portability import Portability
from probe.listener import Listener
from probe.records import Side, Trial
from tests.support.probe_fakes import SIDES, make_manifest


def test_rounds_are_interleaved_in_a_recorded_random_order() -> None:
    order = Order(SIDES, 4, ("cold", "warm"), 11)
    trials = order.trials()
    assert trials == order.trials()
    assert trials != Order(SIDES, 4, ("cold", "warm"), 12).trials()
    assert len({t.key for t in trials}) == 16
    blocks = [trials[i : i + 4] for i in range(0, 16, 4)]
    for number, block in enumerate(blocks, start=1):
        assert {t.round for t in block} == {number}
        assert len({(t.model, t.state) for t in block}) == 4
    assert len({tuple((t.model, t.state) for t in block) for block in blocks}) > 1


class FakeEngine:
    """An engine that takes no time and can be told to fail."""

    version = "0"

    def __init__(self, *, error: str = "", interrupt_at: int = 0, stuck: int = 0) -> None:
        self.calls: list[str] = []
        self.configs: list[dict[str, str]] = []
        self._error = error
        self._interrupt_at = interrupt_at
        self._stuck = stuck

    def create(self, name: str, config: Mapping[str, str]) -> None:
        self.calls.append(f"create {name}")
        self.configs.append(dict(config))

    def up(self, name: str, _timeout_s: float) -> UpResult:
        self.calls.append(f"up {name}")
        ups = sum(call.startswith("up") for call in self.calls)
        if ups == self._interrupt_at:
            raise KeyboardInterrupt
        return UpResult(started_at=0.0, done_at=1.0, error=self._error or "no daemon")

    def resources(self, _name: str) -> dict[str, int]:
        return {}

    def destroy(self, name: str) -> float:
        self.calls.append(f"destroy {name}")
        if self._stuck > 0:
            self._stuck -= 1
            raise EngineFailed("interrupted")
        return 2.0

    def remove(self, name: str) -> None:
        self.calls.append(f"remove {name}")


class FakePreparation:
    def cold(self) -> str:
        return "made cold"

    def warm(self) -> str:
        return "made warm"

    def fetched_bytes(self) -> int | None:
        return 123


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a comparison run without daemons."""
    monkeypatch.setattr(models, "preparation", lambda *_: FakePreparation())
    monkeypatch.setattr(models, "watcher", lambda *_: None)
    monkeypatch.setattr(cleaning, "remove_leftovers", lambda *_: [])
    monkeypatch.setattr(sites, "taken_subnets", lambda _uri: [])


def make_comparison(folder: Path, engine: FakeEngine, order: Order) -> Comparison:
    run = store.RunFolder(folder)
    manifest = make_manifest(
        sides=tuple(str(side) for side in order.sides),
        reps=order.reps,
        states=order.states,
        seed=order.seed,
        experiments=("provisioning",),
    )
    run.create(manifest)
    return Comparison(
        root=folder,
        folder=run,
        manifest=manifest,
        engine=engine,  # type: ignore[arg-type]
        plan=Plan(),
        artefacts={},
    )


@pytest.mark.usefixtures("bare")
def test_every_deployment_is_torn_down_and_failures_are_kept(tmp_path: Path) -> None:
    engine = FakeEngine(error="port 8443 is taken")
    order = Order(SIDES[:1], 2, ("warm",), 1)
    comparison = make_comparison(tmp_path, engine, order)
    assert comparison.run(order.trials(), {}) is False
    name = "cmp-r1-docker"
    assert engine.calls == [f"{w} {name}" for w in ("create", "up", "destroy", "remove")] * 2
    run = store.read_run(tmp_path)
    created = [s for s in run.samples if s.metric == "create_s"]
    assert [s.outcome for s in created] == ["failed", "failed"]
    assert created[0].evidence == "port 8443 is taken"
    assert [s.first for s in created] == [True, False]
    assert all(entry.outcome == "failed" for entry in run.done.values())
    assert run.problems == ()


@pytest.mark.usefixtures("bare")
def test_a_deployment_that_cannot_begin_counts_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(*_: object) -> FakePreparation:
        raise ProbeError("image x is in use")

    monkeypatch.setattr(models, "preparation", in_use)
    order = Order(SIDES[:1], 1, ("cold",), 1)
    comparison = make_comparison(tmp_path, FakeEngine(), order)
    comparison.manifest = make_manifest(experiments=("readiness", "provisioning"))
    assert comparison.run(order.trials(), {}) is False
    samples = {s.metric: s for s in store.read_run(tmp_path).samples}
    for metric in ("first_transaction_s", "create_s"):
        assert samples[metric].outcome == "failed"
        assert samples[metric].evidence == "image x is in use"


@pytest.mark.usefixtures("bare")
def test_a_destroy_that_ctrl_c_cut_short_is_done_again(tmp_path: Path) -> None:
    engine = FakeEngine(stuck=2)
    order = Order(SIDES[:1], 1, ("warm",), 1)
    make_comparison(tmp_path, engine, order).run(order.trials(), {})
    assert sum(call.startswith("destroy") for call in engine.calls) == 3
    destroyed = [s for s in store.read_run(tmp_path).samples if s.metric == "destroy_s"]
    assert destroyed[0].outcome == "ok"


@pytest.mark.usefixtures("bare")
def test_ctrl_c_tears_down_and_a_resumed_run_does_what_is_missing(tmp_path: Path) -> None:
    order = Order(SIDES, 2, ("cold", "warm"), 3)
    engine = FakeEngine(interrupt_at=4)
    comparison = make_comparison(tmp_path, engine, order)
    with pytest.raises(KeyboardInterrupt):
        comparison.run(order.trials(), {})
    assert engine.calls[-2].startswith("destroy")
    assert engine.calls[-1].startswith("remove")
    assert not store.is_claimed(tmp_path)
    done = store.read_run(tmp_path).done
    assert list(done) == [t.key for t in order.trials()[:3]]
    again = FakeEngine()
    comparison.engine = again  # type: ignore[assignment]
    comparison.run(order.trials(), done)
    assert sum(call.startswith("up") for call in again.calls) == 5
    run = store.read_run(tmp_path)
    assert list(run.done) == [t.key for t in order.trials()]
    assert len({(s.round, s.model, s.state, s.metric) for s in run.samples}) == len(run.samples)


@pytest.mark.usefixtures("bare")
def test_each_state_is_what_the_stack_is_told(tmp_path: Path) -> None:
    engine = FakeEngine()
    order = Order(SIDES, 1, ("cold", "warm"), 3)
    make_comparison(tmp_path, engine, order).run(order.trials(), {})
    for trial, config in zip(order.trials(), engine.configs, strict=True):
        assert (config["model"], config["shape"]) == (trial.model, trial.shape)
        assert config["keep_images"] == ("true" if trial.state == "warm" else "false")
        assert ("gateway_port" in config) == (trial.model == "docker")
        assert ("vm_subnet" in config) == (trial.model == "vm")


@pytest.mark.usefixtures("bare")
def test_the_listener_hears_what_it_took_last_time(tmp_path: Path) -> None:
    heard: list[float] = []

    class Hears(Listener):
        def begin(self, number: int, total: int, trial: Trial, estimate_s: float) -> None:
            heard.append(estimate_s)

    order = Order(SIDES[:1], 2, ("warm",), 3)
    comparison = make_comparison(tmp_path, FakeEngine(), order)
    comparison.listener = Hears()
    comparison.run(order.trials(), {})
    assert heard[0] == estimate_trial(order.trials()[0], ["provisioning"], Plan())
    assert heard[1] < 5


def test_what_is_measured_once_is_expected_once() -> None:
    first, later = (Trial(number, "vm", "monolith", "warm") for number in (1, 3))

    def estimate(trial: Trial, history: Mapping[str, float]) -> float:
        return estimate_trial(trial, ["readiness", "portability"], Plan(), history)

    once_s = Portability().seconds("vm", "warm", Plan())
    assert once_s > 0
    assert estimate(first, {}) - estimate(later, {}) == once_s
    assert estimate(later, {first.alike: 1000.0}) == 1000 - once_s
    assert estimate(first, {later.alike: 100.0}) == 100 + once_s
    assert estimate(later, {first.alike: 1000.0, later.alike: 90.0}) == 90


def test_addresses_are_known_beforehand() -> None:
    assert (
        expected_ready_url({"model": "docker", "gateway_port": "9443"})
        == "https://127.0.0.1:9443/health/ready"
    )
    assert (
        expected_ready_url({"model": "vm", "vm_subnet": "10.91.7.0/24"})
        == "https://10.91.7.10:8443/health/ready"
    )


@pytest.mark.usefixtures("bare")
def test_both_shapes_in_both_models_are_four_sides(tmp_path: Path) -> None:
    sides = tuple(Side(m, s) for m in ("docker", "vm") for s in ("microservices", "monolith"))
    order = Order(sides, 1, ("warm",), 5)
    engine = FakeEngine()
    make_comparison(tmp_path, engine, order).run(order.trials(), {})
    assert {(c["model"], c["shape"]) for c in engine.configs} == {
        (side.model, side.shape) for side in sides
    }
    run = store.read_run(tmp_path)
    assert len(run.done) == 4
    assert all(s.first for s in run.samples)


def test_there_is_a_first_guess_for_each_model() -> None:
    assert {(m, s) for m in models.MODELS for s in ("cold", "warm")} <= set(compare.GUESSES)
