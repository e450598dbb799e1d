"""Costs of a known size are found, and what is not there is not."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from rich.console import Console

from probe import calibrate, experiments, project
from probe.calibrate import AGAIN, AS_IS, COSTS, RUNS, Cost, judge, plan_for
from probe.errors import ProbeError
from probe.records import Sample, Trial, TrialDone
from probe.store import RunFolder
from settings import _KNOWN_COSTS
from tests.support.probe_fakes import make_manifest, make_sample

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
        self.rounds: list[int] = []
        #: By how much each deployment is slower than the one before.
        self.drift = 0.0
        self.draw = random.Random(7)

    def __call__(self, model: str, told: str, wanted: str, number: int) -> Path:
        self.told.append(told)
        self.rounds.append(number)
        sizes = dict(word.split("=") for word in told.split())
        found = [
            sample
            for cost in COSTS
            if cost.experiment in wanted.split(",")
            for sample in samples(
                cost,
                [
                    10
                    + float(sizes.get(cost.name, 0)) * cost.scale
                    + self.drift * len(self.told)
                    + self.draw.uniform(-1e-4, 1e-4)
                ],
                model,
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
    told = calibrate.calibrate(["docker"], 5, 1, deploy, file)
    once = [
        "",
        "",
        "dead_s=2",
        "held_mib=200 burned_cores=0.5",
        "ready_delay_s=0.5 failing_share=0.01",
    ]
    rounds = [deploy.told[start : start + 5] for start in range(0, 25, 5)]
    assert [sorted(each) for each in rounds] == [once] * 5
    assert deploy.rounds == [number for number in range(1, 6) for _ in once]
    # Each round has an order of its own.
    assert len({tuple(each) for each in rounds}) > 1
    found = json.loads(file.read_text())
    assert {each["cost"]: each["verdict"] for each in found["findings"]} == dict.fromkeys(
        BY_NAME, "found"
    )
    assert {each["rounds"] for each in found["findings"]} == {5}
    assert all(len(runs) == 5 for runs in found["runs"]["docker"].values())
    console = Console(width=200, record=True, file=(tmp_path / "out").open("w"))
    for part in told:
        console.print(part)
    text = console.export_text()
    assert "Docker, as it is against itself" in text
    assert "200 MiB" in text
    assert "0 said to have changed" in text


def test_a_host_that_gets_slower_is_no_cost(deploy: Deployments, tmp_path: Path) -> None:
    """By a twentieth of the cost from one deployment to the next."""
    deploy.drift = 0.025
    file = tmp_path / "calibration.json"
    calibrate.calibrate(["docker"], 7, 1, deploy, file)
    found = {each["cost"]: each for each in json.loads(file.read_text())["findings"]}
    assert found["ready_delay_s"]["verdict"] == "found"
    # One run after the other would have put 21 deployments' worth on top, half a second.
    assert found["dead_s"]["difference"] == pytest.approx(2, abs=0.1)


def test_what_was_found_is_kept_after_each_round(deploy: Deployments, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"

    def deploy_twice(model: str, told: str, wanted: str, number: int) -> Path:
        if number > 2:
            raise ProbeError("no space")
        return deploy(model, told, wanted, number)

    with pytest.raises(ProbeError, match="no space"):
        calibrate.calibrate(["docker"], 3, 1, deploy_twice, file)
    found = json.loads(file.read_text())["findings"]
    assert {each["rounds"] for each in found} == {2}


def test_a_machine_says_why_a_cost_is_not_tested(deploy: Deployments, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    calibrate.calibrate(["vm"], 1, 1, deploy, file)
    (last,) = (f for f in json.loads(file.read_text())["findings"] if f["cost"] == "dead_s")
    assert last["verdict"] == "not tested"
    assert "starts anew" in last["reason"]
