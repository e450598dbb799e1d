"""The probe on stacks of its own: it times how they come up, so none of them is up beforehand."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe import store
from probe.experiments import DEFAULT
from probe.models.kubernetes import STEPS
from probe.records import Sample, Timeline
from shop import catalogue
from tests.support import ROOT
from tests.support.probing import (
    COMPARED,
    Runs,
    assert_is_whole,
    assert_memory_adds_up,
    assert_page_names_the_accelerator,
    command,
    left_behind,
    overlaps,
    run_name,
    run_probe,
    updates,
    values,
)

pytestmark = pytest.mark.e2e

#: Under emulation on a busy machine a guest takes its time.
TIMEOUT_S = {"docker": 240, "kubernetes": 400, "vm": 900}
#: What is done to a living stack: one serves all that is asked of its model. In a cluster an update
#: is looked at alone (test_cluster.py).
LIVING = {
    "docker": ("isolation", "balancing", "rollout", "portability", "persistence"),
    "kubernetes": ("isolation", "balancing", "portability", "persistence"),
}


@pytest.fixture
def results(request: pytest.FixtureRequest) -> Iterator[Runs]:
    with Runs(request.node.name) as runs:
        yield runs


@dataclass(frozen=True)
class Comparison:
    """A run that has ended: its folder, and its samples."""

    folder: Path
    samples: tuple[Sample, ...]


def compare(runs: Runs, model: str, shape: str, experiments: Sequence[str]) -> Comparison:
    """Compare one deployment with nothing, in one round; nothing of it is left then."""
    # A model's own shape is what it runs unless told otherwise.
    other = () if catalogue.MODELS[model] == shape else ("--shapes", shape)
    done = run_probe(
        *("compare", "--quick", "--models", model, *other, "--states", "warm"),
        *("--seed", "1", "--experiments", ",".join(experiments)),
        *("--timeout", str(TIMEOUT_S[model])),
        timeout_s=TIMEOUT_S[model] + 840,
    )
    assert "run " in done.stdout, done.stdout + done.stderr
    run = run_name(done.stdout)
    runs.append(run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_behind(run) == []
    folder = ROOT / "results" / run
    return Comparison(folder, assert_is_whole(folder, model, shape))


@pytest.fixture(scope="module")
def compared() -> Iterator[Callable[[str, str], Comparison]]:
    """Return what gives the comparison of a deployment, made when first asked for."""
    with Runs(__name__) as runs:
        yield functools.cache(lambda m, s: compare(runs, m, s, (*DEFAULT, *LIVING.get(m, ()))))


@pytest.mark.parametrize(("model", "shape"), COMPARED)
def test_a_short_comparison(
    compared: Callable[[str, str], Comparison], model: str, shape: str
) -> None:
    run = compared(model, shape)
    seen = values(run.samples)
    phases = [
        seen[f"{name}_s"]
        for name in (
            "platform_created",
            "platform_ready",
            "workload_started",
            "ready_endpoint",
            "first_transaction",
        )
    ]
    assert phases == sorted(phases)
    assert_memory_adds_up(run.samples, model, shape)
    if model == "kubernetes":
        steps = {s.labels["step"]: s.value for s in run.samples if s.metric == "step_s"}
        assert set(steps) == set(STEPS)
    assert_page_names_the_accelerator(run.folder, run.samples)


#: What a service is kept from when it is hardened, in every model that runs containers.
BLOCKED = {
    "see others' processes",
    "mount",
    "load a kernel module",
    "write the root",
    "hold or gain a capability",
    "run as root by set-user-ID",
    "read another's secrets",
    "exhaust memory",
}


@pytest.mark.parametrize(("model", "shape"), [side for side in COMPARED if side[0] in LIVING])
def test_what_is_done_to_a_living_stack(
    compared: Callable[[str, str], Comparison], model: str, shape: str
) -> None:
    samples = compared(model, shape).samples
    found = {(s.metric, *sorted(s.labels.items())): s.value for s in samples if s.value is not None}
    assert found["kernel_shared",] == 1
    blocked = {
        s.labels["attempt"]
        for s in samples
        if s.metric == "attempt_open" and s.labels["hardening"] == "on" and s.value == 0
    }
    assert blocked >= BLOCKED
    lost = {s.labels["fault"]: s.value for s in samples if s.metric == "lost_orders"}
    if model == "docker":
        # A container goes before the next one comes.
        assert updates(samples).keys() == {"update", "rollback"}
        assert overlaps(samples) == [0, 0]
        assert lost == {"process": 0, "container": 0}
        assert found["environments_failed",] == 0
        assert found["lost_files", ("fault", "container"), ("volume", "no")] == 1
        # Without its hardening the same image is let do more.
        open_ = {s.labels["hardening"]: s.value for s in samples if s.metric == "attempts_open"}
        assert (open_["off"] or 0) > (open_["on"] or 0)
    else:
        assert lost == {"process": 0, "pod": 0}
        # What is kept open is not spread: connections are, and the gateway keeps its own.
        assert 1 <= (found["largest_share_ratio",] or 0) <= 3
        # The policies close what Docker's one network leaves open.
        assert blocked >= {"reach a service it has no business with", "reach the host"}


def longest_dead_s(timelines: Iterable[Timeline]) -> float:
    """Return for how long a service that was there failed requests in an update, at most."""
    failed = [[at for at, _, said in t.answers if said.startswith("500")] for t in timelines]
    return max((max(times) - min(times) for times in failed if times), default=0.0)


@pytest.mark.measures_host
def test_costs_of_a_known_size_are_found(results: Runs) -> None:
    done = run_probe(*("calibrate", "--models", "docker", "--reps", "1", "--quick"), timeout_s=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((ROOT / "results" / "calibration.json").read_text())
    dead_s = {}
    for name, (run,) in written["runs"]["docker"].items():
        results.append(run)
        assert left_behind(run) == []
        dead_s[name] = longest_dead_s(store.read_run(ROOT / "results" / run).timelines)
    found = {each["cost"]: each for each in written["findings"]}
    # One round has no interval, and what else this machine does is in all but what is held.
    assert found["held_mib"]["verdict"] == "found"
    assert found["burned_cores"]["difference"] > 10
    assert found["failing_share"]["difference"] > 0
    # An update takes its time in Docker or 4 s more (docs/method.md), so its gap alone tells
    # nothing in one round. Who is dead says 500, where the gateway says 503 of who is not there.
    assert found["dead_s"]["difference"] is not None
    assert dead_s["dead"] > 1
    assert dead_s["as it is"] == 0
    assert found["ready_delay_s"]["difference"] is not None


def test_ctrl_c_leaves_nothing_and_the_run_goes_on(results: Runs) -> None:
    process = subprocess.Popen(
        command(
            *("compare", "--quick", "--reps", "2", "--models", "docker", "--states", "warm"),
            *("--experiments", "readiness,provisioning"),
        ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith("2/2"):
            break
    run = run_name(output)
    results.append(run)
    time.sleep(4)  # in the middle of the second deployment's `up`
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output + rest
    assert f"--resume {run}" in rest
    assert left_behind(run) == []
    assert len(store.read_run(ROOT / "results" / run).done) == 1
    done = run_probe("compare", "--resume", run, timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = store.read_run(ROOT / "results" / run)
    assert [entry.outcome for entry in found.done.values()] == ["ok", "ok"]
    assert found.problems == ()
    assert left_behind(run) == []


def test_what_a_killed_run_left_is_cleaned_by_the_next(results: Runs) -> None:
    process = subprocess.Popen(
        command(*("compare", "--quick", "--models", "docker", "--states", "warm")),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    run = run_name(first)
    results.append(run)
    deadline = time.monotonic() + 300
    while not any(name.endswith("-payments") for name in left_behind(run)):
        assert time.monotonic() < deadline, "the deployment did not begin"
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert left_behind(run)
    done = run_probe(
        *("compare", "--quick", "--models", "docker", "--states", "warm"),
        *("--experiments", "readiness,provisioning"),
        timeout_s=900,
    )
    results.append(run_name(done.stdout))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cleaning up after a run that was cut short" in done.stdout
    assert left_behind(run) == []
