"""Whether the instrument finds what is known to be there, and nothing where nothing is.

The shop is deployed as it is, twice, and with costs of a known size (``shopcore.known_costs``). A
cost is found if the interval of the difference, widened by ``TOLERANCE`` of the cost, holds it and
does not hold 0: one that holds both can't tell them apart. The two runs as it is are held against
each other like any run against an earlier one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe import baseline, stats, texts
from probe.store import Run, read_run, write_whole
from probe.summary import Index, show

#: Of the cost: what rounding, and the instrument's stated resolution, may make of it.
TOLERANCE: Final = 0.05
#: The shape whose one service takes the costs in every model.
SHAPE: Final = "monolith"


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost, and the figure in which it has to be found.

    ``scale`` is what one of the cost's unit is in the figure's. ``untold`` has the models in which
    it can't be told, and why.
    """

    name: str
    size: float
    text: str
    experiment: str
    metric: str
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    untold: Mapping[str, str] = field(default_factory=dict)

    @property
    def setting(self) -> str:
        """Return how a stack is told."""
        return f"{self.name}={self.size:g}"

    @property
    def expected(self) -> float:
        """Return the difference that it makes."""
        return self.size * self.scale


_SHARE: Final = {"scope": "application", "part": "monolith"}
COSTS: Final = (
    Cost(
        name="ready_delay_s",
        size=0.5,
        text="later ready",
        experiment="readiness",
        metric="first_transaction_s",
        unit="s",
    ),
    Cost(
        name="held_mib",
        size=200,
        text="memory held",
        experiment="resources",
        metric="share_memory_bytes",
        unit="bytes",
        labels=_SHARE,
        scale=2**20,
    ),
    Cost(
        name="burned_cores",
        size=0.5,
        text="half a processor burned",
        experiment="resources",
        metric="share_cpu_s_per_min",
        unit="s/min",
        labels=_SHARE,
        scale=60,
    ),
    Cost(
        name="failing_share",
        size=0.01,
        text="one request of a hundred fails",
        experiment="load",
        metric="failed_share",
        unit="share",
        labels={"rate": "10"},
    ),
    Cost(
        name="dead_s",
        size=2,
        text="dead time in an update",
        experiment="rollout",
        metric="update_longest_gap_s",
        unit="s",
        labels={"direction": "update"},
        untold={
            "vm": "the machine starts anew, which takes longer and varies by more than the cost"
        },
    ),
)
#: What is deployed, one after the other: a name, the costs, the experiments. Costs that get in
#: each other's way are not had together.
AS_IS, AGAIN = "as it is", "as it is, again"
RUNS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    (AS_IS, (), ("readiness", "resources", "load", "rollout")),
    # A service holds more once it has been asked for something: so it is asked in each.
    ("costs", ("held_mib", "burned_cores"), ("readiness", "resources")),
    ("failing", ("ready_delay_s", "failing_share"), ("readiness", "load")),
    ("dead", ("dead_s",), ("rollout",)),
    (AGAIN, (), ("readiness", "resources")),
)


def plan_for(model: str) -> tuple[tuple[str, str, str], ...]:
    """Return a model's runs: name, what the stack is told, experiments."""
    told = {cost.name: cost for cost in COSTS if model not in cost.untold}
    wanted = {cost.experiment for cost in told.values()}
    return tuple(
        (
            name,
            " ".join(told[cost].setting for cost in costs),
            ",".join(experiment for experiment in experiments if experiment in wanted),
        )
        for name, costs, experiments in RUNS
        if set(costs) <= set(told)
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a cost in a model.

    ``verdict`` is found, not found, inconclusive or not tested.
    """

    model: str
    cost: str
    text: str
    unit: str
    expected: float
    verdict: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    reason: str = ""

    @classmethod
    def of(cls, model: str, cost: Cost, verdict: str, *, reason: str = "") -> Finding:
        """Return a finding without what was seen."""
        return cls(model, cost.name, cost.text, cost.unit, cost.expected, verdict, reason=reason)


def judge(model: str, cost: Cost, plain: Sequence[float], costly: Sequence[float]) -> Finding:
    """Return whether a cost is found in the difference of its figure."""
    if not plain or not costly:
        return Finding.of(model, cost, "not tested", reason="its figure was not measured")
    seen = stats.difference(costly, plain)
    margin = TOLERANCE * cost.expected
    reason = ""
    if not seen.low - margin <= cost.expected <= seen.high + margin:
        verdict = "not found"
    elif seen.low > 0:
        verdict = "found"
    else:
        verdict, reason = "inconclusive", "the interval holds 0 as well"
    return replace(
        Finding.of(model, cost, verdict, reason=reason),
        difference=seen.medians,
        low=seen.low,
        high=seen.high,
        rounds=min(len(plain), len(costly)),
    )


def findings(model: str, runs: Mapping[str, Run]) -> list[Finding]:
    """Return what was found of every cost in a model's runs, by the runs' names."""
    found = []
    for cost in COSTS:
        if model in cost.untold:
            found.append(Finding.of(model, cost, "not tested", reason=cost.untold[model]))
            continue
        name = next(name for name, costs, _ in RUNS if cost.name in costs)
        plain = [v for n in (AS_IS, AGAIN) for v in values(runs[n], cost)]
        found.append(judge(model, cost, plain, values(runs[name], cost)))
    return found


def values(run: Run, cost: Cost) -> tuple[float, ...]:
    """Return a run's values of a cost's figure, one per round."""
    index = Index(run.samples)
    return tuple(
        value
        for column in index.columns
        for value in index.figure(column, cost.experiment, cost.metric, cost.labels).per_round
    )


def calibrate(
    models: Sequence[str],
    rounds: int,
    seed: int,
    run: Callable[[str, str, str, int], Path],
    file: Path,
) -> list[RenderableType]:
    """Deploy, judge and write ``file``; ``run`` takes model, costs, experiments and the round.

    A round has each of a model's runs once, in an order of its own from the seed: a host that is
    slower for a while is so for all of them. What was found is written after each round. Returns
    one text per model, the last one the table; raises ProbeError if a run fails.
    """
    draw = random.Random(seed)
    all_found: list[Finding] = []
    told: list[RenderableType] = []
    folders: dict[str, dict[str, list[str]]] = {}
    for model in models:
        plan = plan_for(model)
        runs: dict[str, list[Run]] = {name: [] for name, _, _ in plan}
        whole: dict[str, Run] = {}
        earlier = all_found
        for number in range(1, rounds + 1):
            for name, costs, experiments in draw.sample(plan, len(plan)):
                runs[name].append(read_run(run(model, costs, experiments, number)))
            whole = {name: joined(each) for name, each in runs.items()}
            all_found = [*earlier, *findings(model, whole)]
            folders[model] = {name: [r.manifest.run for r in each] for name, each in runs.items()}
            content = {
                "seed": seed,
                "runs": folders,
                "findings": [asdict(finding) for finding in all_found],
            }
            write_whole(file, json.dumps(content, indent=1) + "\n")
        seen = baseline.changes(whole[AS_IS], whole[AGAIN])
        told.append(Text(f"{texts.MODELS[model]}, as it is against itself: {_same(seen)}"))
    return [*told, render(all_found)]


def joined(runs: Sequence[Run]) -> Run:
    """Return runs of one round each as the rounds of one run."""
    return replace(
        runs[0],
        samples=tuple(
            replace(sample, round=number)
            for number, run in enumerate(runs, 1)
            for sample in run.samples
        ),
    )


def _same(seen: Sequence[baseline.Change]) -> str:
    told = [change.text for change in seen if change.verdict != "no change shown"]
    return f"{len(seen)} figures, {len(told)} said to have changed" + (
        f": {'; '.join(told)}" if told else ""
    )


def render(found: Sequence[Finding]) -> RenderableType:
    """Return the table."""
    table = Table(title="Known costs, and what was found of them", title_justify="left")
    for heading in ("", "cost", "known", "found", "95 % interval", "rounds", ""):
        table.add_column(heading)
    colours = {"found": "green", "not found": "red"}
    for each in found:
        interval = ""
        if each.low is not None and each.high is not None:
            interval = f"{show(each.low, each.unit)} .. {show(each.high, each.unit)}"
        table.add_row(
            texts.MODELS[each.model],
            each.text,
            show(each.expected, each.unit),
            "-" if each.difference is None else show(each.difference, each.unit),
            interval or each.reason,
            str(each.rounds),
            Text(each.verdict, style=colours.get(each.verdict, "yellow")),
        )
    note = (
        f"Found: the interval, widened by {TOLERANCE:.0%} of the cost, holds it and does not hold "
        "0. Inconclusive: it holds both, and more rounds would narrow it."
    )
    return Group(table, Text(note, style="dim"))
