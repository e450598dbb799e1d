"""Costs of a known size are found, and what is not there is not."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from rich.console import Console

from probe import calibrate, experiments, project
from probe.calibrate import AGAIN, AS_IS, COSTS, RUNS, Cost, findings, judge, plan_for
from probe.records import Sample, Trial, TrialDone
from probe.store import RunFolder, read_run
from settings import _KNOWN_COSTS
from tests.unit.probe_fakes import make_manifest, make_sample

BY_NAME = {cost.name: cost for cost in COSTS}


def noisy(middle: float, spread: float, n: int = 5) -> list[float]:
    draw = random.Random(7)
    return [middle + draw.uniform(-spread, spread) for _ in range(n)]


def test_a_cost_that_is_there_is_found() -> None:
    cost = BY_NAME["ready_delay_s"]
    found = judge("docker", cost, noisy(6, 0.05), noisy(6.5, 0.05))
    assert found.verdict == "found"
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 * 1.05
    assert found.high >= 0.5 * 0.95


@pytest.mark.parametrize("size", [0.0, 0.3, 1.0])
def test_a_cost_of_another_size_is_not(size: float) -> None:
    found = judge("docker", BY_NAME["ready_delay_s"], noisy(6, 0.05), noisy(6 + size, 0.05))
    assert found.verdict == "not found"


def test_an_interval_that_holds_nothing_too_finds_nothing() -> None:
    found = judge("vm", BY_NAME["ready_delay_s"], noisy(60, 4), [*noisy(60.5, 4, 4), 57])
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < 0.5 < found.high
    assert found.verdict == "inconclusive"
    assert found.reason == "the interval holds 0 as well"


def test_what_was_not_measured_is_not_tested() -> None:
    found = judge("docker", BY_NAME["held_mib"], [], [1.0])
    assert (found.verdict, found.reason) == ("not tested", "its figure was not measured")


def test_the_stack_and_the_service_take_what_they_are_told() -> None:
    for cost in COSTS:
        assert _KNOWN_COSTS.fullmatch(cost.setting)
    source = project.ROOT / "app/pycore/src/shopcore/known_costs.py"
    taken = re.findall(r"^    (\w+): (?:int|float) = Field\(default=0", source.read_text(), re.M)
    assert sorted(taken) == sorted(BY_NAME)


def test_every_cost_is_had_in_one_run_with_its_experiment() -> None:
    for cost in COSTS:
        (run,) = (run for run in RUNS if cost.name in run[1])
        assert cost.experiment in run[2]
        assert cost.experiment in RUNS[0][2]
    assert {name for _, _, wanted in RUNS for name in wanted} <= set(experiments.EXPERIMENTS)


def test_a_machine_is_not_updated_for_a_cost_that_cannot_be_told() -> None:
    assert [name for name, _, _ in plan_for("docker")] == [name for name, _, _ in RUNS]
    machine = plan_for("vm")
    assert [name for name, _, _ in machine] == [AS_IS, "costs", "failing", AGAIN]
    assert not [wanted for _, _, wanted in machine if "rollout" in wanted]


def samples(cost: Cost, values: list[float], model: str = "docker") -> list[Sample]:
    return [
        make_sample(
            model=model,
            shape=calibrate.SHAPE,
            experiment=cost.experiment,
            metric=cost.metric,
            value=value,
            unit=cost.unit,
            labels=dict(cost.labels),
            round=number,
            state="warm",
        )
        for number, value in enumerate(values, 1)
    ]


class Deployments:
    """Runs whose figures are larger by what they were told to have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def __call__(self, model: str, told: str, wanted: str) -> Path:
        self.told.append(told)
        sizes = dict(word.split("=") for word in told.split())
        found = [
            sample
            for cost in COSTS
            if cost.experiment in wanted.split(",")
            for sample in samples(
                cost, noisy(10 + float(sizes.get(cost.name, 0)) * cost.scale, 1e-4), model
            )
        ]
        folder = RunFolder(self.folder / f"run{len(self.told)}")
        folder.create(make_manifest(run=folder.path.name))
        for key in sorted({Trial.of(sample).key for sample in found}):
            own = [sample for sample in found if Trial.of(sample).key == key]
            folder.finish_trial(own, TrialDone(key, "ok", 1.0, len(own), ""))
        return folder.path


@pytest.fixture
def deploy(tmp_path: Path) -> Deployments:
    return Deployments(tmp_path)


def test_a_model_is_deployed_as_it_is_and_with_each_cost(
    deploy: Deployments, tmp_path: Path
) -> None:
    file = tmp_path / "calibration.json"
    told = calibrate.calibrate(["docker"], deploy, file)
    assert deploy.told == [
        "",
        "held_mib=200 burned_cores=0.5",
        "ready_delay_s=0.5 failing_share=0.01",
        "dead_s=2",
        "",
    ]
    found = json.loads(file.read_text())
    assert {each["cost"]: each["verdict"] for each in found["findings"]} == dict.fromkeys(
        BY_NAME, "found"
    )
    console = Console(width=200, record=True, file=(tmp_path / "out").open("w"))
    for part in told:
        console.print(part)
    text = console.export_text()
    assert "Docker, as it is against itself" in text
    assert "200 MiB" in text
    assert "0 said to have changed" in text


def test_a_machine_says_why_a_cost_is_not_tested(deploy: Deployments, tmp_path: Path) -> None:
    calibrate.calibrate(["vm"], deploy, tmp_path / "c.json")
    runs = {
        name: read_run(tmp_path / f"run{number}")
        for number, (name, _, _) in enumerate(plan_for("vm"), 1)
    }
    (last,) = (f for f in findings("vm", runs) if f.cost == "dead_s")
    assert last.verdict == "not tested"
    assert "starts anew" in last.reason
    assert AS_IS in runs
