"""The experiments that do something to a living stack: scale, spread, update, kill, break in."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from probe import attempts, models
from probe.engine import UpResult
from probe.errors import ProbeError
from probe.experiments import balancing, elasticity, isolation, persistence, rollout
from probe.experiments.balancing import Balancing, shares_of
from probe.experiments.elasticity import Elasticity
from probe.experiments.isolation import Isolation, listening, neighbours
from probe.experiments.persistence import Persistence, deaths
from probe.experiments.portability import Portability
from probe.experiments.rollout import Rollout
from probe.models.base import Kill
from probe.models.cluster import requests_of
from probe.records import Sample
from probe.transaction import await_ready
from probe.vegeta import Answer
from shop import catalogue
from tests.unit.probe_fakes import FakeClock, make_context
from tests.unit.probe_server import Shop, make_authority, serve
from tests.unit.test_probe_models import target

FAULTS = {
    "docker": (("process", "dockerd"), ("container", "")),
    "kubernetes": (("process", "the kubelet"), ("pod", "a controller"), ("node", "dockerd")),
    "vm": (("machine", ""),),
}


class Attack:
    """Answers each tenth of a second: good (`.`) or bad (`x`), from before it was made.

    A letter is a good answer by the process of that name.
    """

    pattern = "." * 60

    def __init__(self, *_args: Any, **_more: Any) -> None:
        self.began = time.time() - 0.35

    def stop(self) -> list[Answer]:
        return [
            Answer(self.began + n / 10, 0.01, c != "x", instance=c if c not in ".x" else "")
            for n, c in enumerate(self.pattern)
        ]


class Replicas:
    """Three pods at the most; ``late`` questions until another one is ready."""

    def __init__(self, late: int = 3) -> None:
        self.asked = 0
        self.late = late
        self.least = 1
        self.closed = False
        self.counts = {"a": 100, "b": 50, "c": 0}

    def ready(self) -> int:
        self.asked += 1
        return max(self.least, 2 if self.late < self.asked < self.late + 5 else 1)

    def hold(self, least: int) -> None:
        self.least = least

    def release(self) -> None:
        self.least = 1

    def answered(self) -> dict[str, int]:
        before = dict(self.counts)
        self.counts = {"a": 200, "b": 150, "c": 200}
        return before

    def lose_one(self) -> str:
        return "a"

    def close(self) -> None:
        self.closed = True


class Inspector:
    """What a model's inspector says, as far as these experiments ask."""

    def __init__(self, model: str, found: Replicas | None = None) -> None:
        self.model = model
        self.found = found
        self.struck: list[str] = []
        self.boot = "11111111-1111-1111-1111-111111111111"

    def replicas(self, _service: str) -> Replicas | None:
        return self.found

    def kills(self, service: str) -> tuple[Kill, ...]:
        def kill(fault: str, who: str) -> Kill:
            what = f"the {fault}" if fault in ("machine", "node") else f"{fault} of {service}"
            return Kill(fault, what, lambda: self.struck.append(what), who)

        return tuple(kill(*entry) for entry in FAULTS[self.model])

    def lost_without_volume(self) -> Mapping[str, bool]:
        if self.model != "docker":
            raise ProbeError("nobody is let in")
        return {"process": False, "container": True}

    def boot_id(self, _service: str) -> str:
        return self.boot

    def host_address(self) -> str:
        return "127.0.0.1"

    def inside(self, _service: str, script: str, arguments: list[str]) -> str:
        assert "def main()" in script
        assert len(arguments) == 5
        return json.dumps({"mount": [False, "EPERM"], "reach the host": [True, "it answered"]})

    def unhardened(self, _service: str, _script: str, _arguments: list[str]) -> str:
        if self.model != "docker":
            raise ProbeError("no pod without hardening is admitted")
        return json.dumps({"mount": [True, "mounted"], "reach the host": [True, "it answered"]})

    def close(self) -> None:
        pass


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Sample]]:
    """Return what measures with an experiment in a model whose inspector is this one."""
    for module in (elasticity, balancing, rollout):
        monkeypatch.setattr(module, "Attack", Attack)

    def run(experiment: Any, inspector: Inspector, **changes: Any) -> list[Sample]:
        monkeypatch.setattr(models, "inspector", lambda _target: inspector)
        context = make_context(
            tmp_path,
            model=inspector.model,
            **{"target": target(inspector.model, {}), **changes},
        )
        return list(experiment.measure(context))

    return run


def figures(samples: list[Sample], *labels: str) -> dict[Any, float | None]:
    """Return values by metric, and by these labels."""
    return {(s.metric, *(s.labels.get(label, "") for label in labels)): s.value for s in samples}


@pytest.mark.parametrize(
    "experiment", [Elasticity, Balancing, Rollout, Persistence, Isolation, Portability]
)
def test_a_stack_that_is_not_up_is_one_failed_sample(experiment: Any, tmp_path: Path) -> None:
    (sample,) = experiment().measure(make_context(tmp_path, up_error="no space left"))
    assert (sample.outcome, sample.evidence) == (
        "failed",
        "the stack did not come up: no space left",
    )


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


def test_health_checks_are_no_requests() -> None:
    metrics = """
# TYPE http_requests_total counter
http_requests_total{method="GET",route="/api/v1/products",status="200"} 41.0
http_requests_total{method="GET",route="unmatched",status="404"} 1.0
http_requests_total{method="GET",route="/health/ready",status="200"} 900.0
http_requests_total{method="GET",route="/metrics",status="200"} 9.0
http_request_duration_seconds_bucket{le="1"} 7.0
"""
    assert requests_of(metrics) == 42


@pytest.fixture
def customers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a shop that loses the orders named, and that is away for some questions."""

    class Customers:
        lost: frozenset[str] = frozenset()
        cart_items = 1
        away = 0
        refusals = 0

        def __init__(self, *_args: Any) -> None:
            pass

        def enroll(self) -> str:
            if Customers.refusals:
                Customers.refusals -= 1
                raise httpx.ConnectError("not yet")
            return "token"

        def order(self, _token: str, product: int) -> str:
            return str(product)

        def fill(self, _token: str, _product: int) -> None:
            pass

        def orders(self, _token: str) -> set[str]:
            if Customers.away:
                Customers.away -= 1
                raise httpx.ConnectError("refused")
            return {str(n) for n in range(11, 16)} - Customers.lost

        def cart(self, _token: str) -> int:
            return Customers.cart_items

        def close(self) -> None:
            pass

    monkeypatch.setattr(persistence, "Customers", Customers)
    monkeypatch.setattr(rollout, "Customers", Customers)
    for module in (persistence, rollout):
        monkeypatch.setattr(module, "checked_context", lambda _ca: None)
        monkeypatch.setattr(module, "await_ready", lambda *_where, **_how: "")
    return Customers


class Engine:
    """Deploys again, and remembers with which secrets."""

    def __init__(self, error: str = "") -> None:
        self.secrets: list[Mapping[str, str | None]] = []
        self.error = error

    def __call__(self, secrets: Mapping[str, str | None]) -> UpResult:
        self.secrets.append(secrets)
        return UpResult(started_at=0.0, error=self.error)


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


def test_attempts_are_counted_with_and_without_hardening(
    measure: Callable[..., list[Sample]],
) -> None:
    samples = measure(Isolation(), Inspector("docker"))
    found = figures(samples, "hardening", "attempt")
    assert found["kernel_shared", "", ""] == 0
    assert found["attempt_open", "on", "mount"] == 0
    assert found["attempt_open", "off", "mount"] == 1
    assert found["attempts_open", "on", ""] == 1
    assert found["attempts_open", "off", ""] == 2
    # The kernel is another one than the host's: what it gives is its own.
    assert found["host_kernel_attempts_open", "off", ""] == 0


def test_what_a_shared_kernel_gives_is_the_hosts(measure: Callable[..., list[Sample]]) -> None:
    inspector = Inspector("docker")
    inspector.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    samples = measure(Isolation(), inspector)
    found = figures(samples, "hardening")
    assert found["host_kernel_attempts_open", "on"] == 0
    assert found["host_kernel_attempts_open", "off"] == 1
    seen = {s.labels["hardening"]: s.evidence for s in samples if "host_kernel" in s.metric}
    assert seen == {"on": "none", "off": "mount"}


def test_a_kernel_with_the_hosts_boot_id_is_shared(
    measure: Callable[..., list[Sample]],
) -> None:
    inspector = Inspector("kubernetes")
    inspector.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    samples = measure(Isolation(), inspector)
    assert samples[0].value == 1
    (last,) = [s for s in samples if s.labels.get("hardening") == "off"]
    assert (last.outcome, last.evidence) == (
        "not_measured",
        "no pod without hardening is admitted",
    )


@pytest.mark.parametrize("shape", catalogue.SHAPES)
def test_a_neighbour_is_one_that_is_not_needed(shape: str) -> None:
    name = {"microservices": "products", "monolith": "monolith"}[shape]
    own, other = neighbours(shape, name)
    assert own.name == name != other.name
    assert other.name not in own.needs


def test_who_is_reached_is_told() -> None:
    with listening("127.0.0.1") as (address, port):
        assert attempts.connects(address, str(port)) == (True, "127.0.0.1 answered")
    assert attempts.connects(address, str(port))[0] is False
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert attempts.connects("127.0.0.1", str(server.getsockname()[1]))[0]


def test_modules_that_isolate_stand_alone() -> None:
    """The script goes into a service as it is, so it may import nothing of ours."""
    text = Path(attempts.__file__).read_text(encoding="utf-8")
    assert "from probe" not in text
    assert "import probe" not in text
    assert isolation.Isolation.name == "isolation"


def test_it_is_waited_until_the_shop_is_ready(tmp_path: Path) -> None:
    clock = FakeClock()

    def turn(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 101:
            shop.ready_status = 200

    with serve(tmp_path, Shop(ready_status=503)) as shop:
        where = (f"{shop.url}/health/ready", shop.ca_certificate)
        assert await_ready(*where, 0.5, clock=clock, sleep=clock.sleep) == "status 503"
        assert await_ready(*where, 5, clock=clock, sleep=turn) == ""
        # So many in a row: a refusal in between begins anew.
        asked = 0

        def waver(seconds: float) -> None:
            nonlocal asked
            asked += 1
            shop.ready_status = 503 if asked == 2 else 200
            clock.sleep(seconds)

        assert await_ready(*where, 5, streak=4, clock=clock, sleep=waver) == ""
        assert asked == 6
        # Somebody else's certificate is nobody's ready shop.
        (tmp_path / "other").mkdir()
        stranger = make_authority(tmp_path / "other")
        assert "CERTIFICATE_VERIFY_FAILED" in await_ready(where[0], stranger, 0.2)
    assert "refused" in await_ready(*where, 0.2)
