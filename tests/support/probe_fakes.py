"""What the probe's tests share: a clock that is turned by hand, a made-up run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from rich.console import Console

from probe import store, table
from probe.experiments import DEFAULT, Context, Plan
from probe.records import Manifest, Sample, Side, State, Trial, TrialDone
from probe.store import RunFolder
from probe.target import Target
from probe.vegeta import Answer
from tests.support.host_fakes import MIB


class FakeClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def make_context(tmp_path: Path, **changes: object) -> Context:
    clock = FakeClock()
    values: dict[str, object] = {
        "run": "r1",
        "model": "docker",
        "shape": "monolith",
        "round": 1,
        "state": "warm",
        "first": True,
        "plan": Plan(settle_s=1, window_s=2, transactions=3, timeout_s=5),
        "root": tmp_path,
        "clock": clock,
        "sleep": clock.sleep,
        "read_load": lambda: {"load1": 0.5},
        **changes,
    }
    return Context(**values)  # type: ignore[arg-type]


def make_sample(**changes: object) -> Sample:
    values: dict[str, object] = {
        "run": "r1",
        "model": "docker",
        "shape": "monolith",
        "experiment": "readiness",
        "round": 1,
        "metric": "first_transaction_s",
        "value": 4.0,
        "unit": "s",
        "time": "2026-01-01T00:00:00+00:00",
        "host": {"load1": 0.5},
        **changes,
    }
    return Sample(**values)  # type: ignore[arg-type]


def make_manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "run": "r1",
        "started": "2026-01-01T00:00:00+00:00",
        "sides": ("docker/microservices", "vm/monolith"),
        "reps": 3,
        "states": ("cold", "warm"),
        "experiments": DEFAULT,
        "seed": 7,
        "order": (),
        "settle_s": 5.0,
        "window_s": 20.0,
        "poll_period_s": 0.0095,
        "timeout_s": 300.0,
        "config": {},
        "machine": {"cores": 2, "memory_bytes": 24 * 2**30, "kernel": "6.1", "cgroup_version": 1},
        "versions": {"python": "3.11"},
        "sources": {"git": {"commit": "0123456789abcdef", "changed": False}},
        "command": "python -m probe compare",
        **changes,
    }
    return Manifest(**values)  # type: ignore[arg-type]


#: What ``compare`` runs unless told otherwise.
SIDES = (Side("docker", "microservices"), Side("vm", "monolith"))


SERVICES = {
    "microservices": ("auth", "products", "cart", "payments", "frontend", "gateway"),
    "monolith": ("monolith", "gateway"),
}


PHASES = {
    "docker": (1.9, 2.0, 2.6, 5.1, 5.9),
    "vm": (3.1, 19.0, 24.5, 41.0, 43.5),
}


def trial_samples(
    trial: Trial, accelerator: str, rng: random.Random, *, failed: bool
) -> list[Sample]:
    """Return what one deployment of a made-up run gave."""
    vm = trial.model == "vm"
    common = {
        "model": trial.model,
        "shape": trial.shape,
        "round": trial.round,
        "state": trial.state,
        "first": trial.round == 1,
        "accelerator": accelerator if vm else "none",
    }

    def add(experiment: str, metric: str, value: float, unit: str, **labels: str) -> None:
        bad = failed and metric in ("ready_endpoint_s", "first_transaction_s")
        samples.append(
            make_sample(
                **common,
                experiment=experiment,
                metric=metric,
                value=None if bad else value,
                unit=unit,
                outcome="failed" if bad else "ok",
                evidence="nothing within 300 s\n[ 12.3] the console's last line" if bad else "",
                labels=labels,
            )
        )

    samples: list[Sample] = []
    scale = (1.6 if trial.state == "cold" else 1.0) * rng.uniform(0.95, 1.1)
    names = ("platform_created", "platform_ready", "workload_started", "ready_endpoint")
    for name, value in zip((*names, "first_transaction"), PHASES[trial.model], strict=True):
        add("readiness", f"{name}_s", value * scale, "s")
    add("readiness", "poll_gap_median_s", 0.0095, "s")
    add("readiness", "poll_gap_p99_s", 0.0112, "s")
    add("readiness", "ready_uncertainty_s", 0.011, "s")
    add("readiness", "poll_cpu_cores", 0.016, "cores")
    add("provisioning", "create_s", (9 if vm else 5) * scale, "s")
    add("provisioning", "destroy_s", 4 * scale, "s")
    if trial.state == "warm":
        mib = 2**20 * rng.uniform(0.97, 1.04)
        add("resources", "memory_available_delta_bytes", (900 if vm else 260) * mib, "bytes")
        for role, size in (
            ("workload", 820 if vm else 190),
            ("helpers", 2 if vm else 60),
            ("own", 822 if vm else 250),
            ("daemons", 40 if vm else 110),
        ):
            add("resources", "memory_pss_bytes", size * mib, "bytes", role=role)
        add("resources", "memory_cgroup_bytes", (840 if vm else 200) * mib, "bytes")
        add("resources", "memory_cgroup_reclaimable_bytes", 60 * mib, "bytes")
        if vm:
            add("resources", "memory_guest_used_bytes", 420 * mib, "bytes")
        for role in ("workload", "helpers", "daemons"):
            add("resources", "cpu_idle_s_per_min", rng.uniform(0.1, 2), "s/min", role=role)
        for scope, parts in (
            ("application", SERVICES[trial.shape]),
            ("platform", ("guest OS", "QEMU") if vm else ("shims and port proxies",)),
        ):
            for metric, unit, share in (
                ("share_memory_bytes", "bytes", 30 * mib),
                ("share_cpu_s_per_min", "s/min", 0.2),
            ):
                for part in parts:
                    add("resources", metric, share, unit, scope=scope, part=part)
                add("resources", metric, share * len(parts), unit, scope=scope, part="total")
        add("resources", "probe_cpu_cores", 0.003, "cores")
        add("resources", "other_cpu_cores", 0.05, "cores")
        for kind, sizes in (
            ("shipped", {"platform": 170 if vm else 45, "application": 90}),
            ("unpacked", {"platform": 420 if vm else 123, "application": 240, "data": 60}),
        ):
            for scope, size in sizes.items():
                add(
                    "disk",
                    f"disk_{kind}_bytes",
                    size * 2**20,
                    "bytes",
                    scope=scope,
                    part=scope,
                )
            total = sum(sizes.values()) * 2**20
            add("disk", f"disk_{kind}_bytes", total, "bytes", scope="total", part="total")
        for number in range(5):
            add(
                "latency",
                "transaction_s",
                (0.9 if vm else 0.12) * rng.uniform(0.9, 1.3),
                "s",
                number=str(number + 1),
            )
        add("ease", "configuration_lines", 610 if vm else 540, "count")
        add("ease", "declared_resources", 14 if vm else 31, "count")
        add("ease", "commands", 2, "count")
    return samples


def make_run(
    folder: Path,
    *,
    accelerator: str = "tcg",
    fail: bool = True,
    sides: tuple[Side, ...] = SIDES,
) -> RunFolder:
    """Write a run as ``compare`` would: two models, two states, three rounds, one failure."""
    from probe.compare import Order

    rng = random.Random(3)
    order = Order(sides, 3, ("cold", "warm"), 7)
    run = RunFolder(folder)
    keys = tuple(t.key for t in order.trials())
    run.create(make_manifest(order=keys, sides=tuple(str(side) for side in sides)))
    for trial in order.trials():
        vm = trial.model == "vm"
        failed = fail and vm and trial.state == "cold" and trial.round == 2
        samples = trial_samples(trial, accelerator, rng, failed=failed)
        run.finish_trial(
            samples,
            TrialDone(
                trial.key,
                "failed" if failed else "ok",
                60.0 if vm else 30.0,
                len(samples),
                "nothing within 300 s" if failed else "",
            ),
        )
    return run


STATES: tuple[State, ...] = ("cold", "warm")


def answers(pattern: str, *, began: float = 0.0, latency_s: float = 0.01) -> list[Answer]:
    """Return an answer each tenth of a second: good (`.`) or bad (`x`)."""
    return [Answer(began + n / 10, latency_s, c == ".") for n, c in enumerate(pattern)]


def target(model: str, inspect: dict[str, Any]) -> Target:
    return Target(
        stack="s",
        model=model,
        shape="monolith",
        storefront_url="https://127.0.0.1:8443",
        api_url="https://127.0.0.1:8443/api/v1",
        ready_url="https://127.0.0.1:8443/health/ready",
        ca_certificate="",
        accelerator="tcg" if model == "vm" else "none",
        prefix="triptych-s",
        memory_limit_bytes=1536 * MIB,
        cpu_limit=2.0,
        inspect=inspect,
    )


def text_of(folder: Path) -> str:
    console = Console(width=160, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    run = store.read_run(folder)
    console.print(table.render(run))
    console.print(table.poc(run))
    return console.export_text()
