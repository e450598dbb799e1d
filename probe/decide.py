"""Which models give what a team needs, by the figures of a run: for each step the one it rests on.

It weighs nothing: a model meets a requirement, does not, or it is not known from this run, and why.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe import texts
from probe.errors import UsageProblem
from probe.summary import Column, Index, show

Answer = Literal["yes", "no", "not known"]

_UNITS: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "MB": 10**6, "GB": 10**9}
_SIZE: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)")


class Need(BaseModel):
    """A requirement, and the figure that it is told by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    kind: Literal["below", "at_least"]
    experiment: str
    metric: str
    limit: float
    claim: str = ""
    labels: dict[str, str] = {}
    state: Literal["cold", "warm"] = "warm"
    speed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a run says of a requirement in a model."""

    need: Need
    answer: Answer
    because: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, in a shape, with what is said of each requirement."""

    column: Column
    steps: tuple[Step, ...]

    @property
    def answer(self) -> Answer:
        """Return no if any is, not known if any is, else yes."""
        answers = [step.answer for step in self.steps]
        for answer in ("no", "not known"):
            if answer in answers:
                return answer
        return "yes"


def known() -> dict[str, Need]:
    """Return the needs that have a name."""
    text = (resources.files("probe") / "needs.toml").read_text(encoding="utf-8")
    needs = [Need.model_validate(entry) for entry in tomllib.loads(text)["need"]]
    return {need.id: need for need in needs}


def wanted(names: Sequence[str]) -> list[Need]:
    """Return the needs of these names; raise UsageProblem for others."""
    needs = known()
    for name in names:
        if name not in needs:
            raise UsageProblem(f"unknown need {name!r}: known are {', '.join(needs)}")
    return [needs[name] for name in dict.fromkeys(names)]


def size(text: str) -> int:
    """Return a size such as ``2GiB`` in bytes; raise UsageProblem for anything else."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or found["unit"] not in _UNITS:
        units = ", ".join(unit for unit in _UNITS if unit)
        raise UsageProblem(f"{text!r} is no size: write a number and one of {units}")
    return round(float(found["number"]) * _UNITS[found["unit"]])


def budgets(memory: str = "", disk: str = "", ready_within_s: float | None = None) -> list[Need]:
    """Return the requirements that have a number of the user's."""
    found = []
    if memory:
        found.append(
            Need(
                id="memory-budget",
                text=f"idle, the host lacks less than {memory} of memory",
                kind="below",
                experiment="resources",
                metric="memory_available_delta_bytes",
                limit=size(memory),
                claim="resources",
                speed=True,
            )
        )
    if disk:
        found.append(
            Need(
                id="disk-budget",
                text=f"less than {disk} on disk, unpacked",
                kind="below",
                experiment="disk",
                metric="disk_unpacked_bytes",
                labels={"scope": "total"},
                limit=size(disk),
                claim="weight",
            )
        )
    if ready_within_s is not None:
        found.append(
            Need(
                id="ready-within",
                text=f"the first order is paid within {ready_within_s:g} s",
                kind="below",
                experiment="readiness",
                metric="first_transaction_s",
                limit=ready_within_s,
                claim="boot",
                speed=True,
            )
        )
    return found


def decide(index: Index, needs: Sequence[Need]) -> list[Choice]:
    """Return every model of a run, in each of its shapes, with what is said of each need."""
    sides = dict.fromkeys((column.model, column.shape) for column in index.columns)
    found = []
    for model, shape in sides:
        own = [c for c in index.columns if (c.model, c.shape) == (model, shape)]
        steps = tuple(_step(index, own, need) for need in needs)
        found.append(Choice(own[-1], steps))
    return found


def _step(index: Index, columns: Sequence[Column], need: Need) -> Step:
    column = next((c for c in columns if c.state == need.state), None)
    if column is None:
        return Step(need, "not known", f"no {need.state} deployment in this run")
    if need.speed and column.emulated:
        return Step(need, "not known", texts.NOT_TESTED)
    figure = index.figure(column, need.experiment, need.metric, need.labels)
    if not figure.samples:
        return Step(need, "not known", f"not measured in this run: {need.experiment}")
    values = figure.per_round
    if not values or figure.interval.n_ok < figure.interval.n_total:
        # What failed is a finding of some experiments, and a defect of the run in others.
        return Step(need, "not known" if not figure.counted else "no", figure.reason)
    met = [value < need.limit if need.kind == "below" else value >= need.limit for value in values]
    unit, interval = figure.unit, figure.interval
    seen = f"{show(interval.median, unit)} ({interval.count})"
    if all(met):
        return Step(need, "yes", seen)
    if not any(met):
        return Step(need, "no", seen)
    return Step(need, "not known", f"{seen}: rounds on both sides of {show(need.limit, unit)}")


_STYLES: Final = {"yes": "green", "no": "red", "not known": "yellow"}


def render(choices: Sequence[Choice], team_knows: str = "") -> RenderableType:
    """Return the table of requirements by model, and what follows from it."""
    table = Table(title="What is needed, and which model gives it", title_justify="left")
    table.add_column("")
    for choice in choices:
        table.add_column(choice.column.title)
    for steps in zip(*(choice.steps for choice in choices), strict=True):
        need = steps[0].need
        claim = f"\n(claim: {need.claim})" if need.claim else ""
        table.add_row(
            Text.assemble(need.text, (claim, "dim")),
            *(
                Text.assemble((step.answer, _STYLES[step.answer]), (f"\n{step.because}", "dim"))
                for step in steps
            ),
        )
    return Group(table, *(Text(line) for line in conclusion(choices, team_knows)))


def conclusion(choices: Sequence[Choice], team_knows: str = "") -> list[str]:
    """Return in sentences which models meet all, which do not and why, and what is not known."""
    by_answer: dict[Answer, list[Choice]] = {"yes": [], "no": [], "not known": []}
    # What the team knows comes first among equals; it is the only thing here that is not measured.
    for choice in sorted(choices, key=lambda choice: choice.column.model != team_knows):
        by_answer[choice.answer].append(choice)
    lines = []
    good = ", ".join(choice.column.title for choice in by_answer["yes"])
    lines.append(f"Meets all that was asked: {good or 'none for certain'}.")
    for choice in by_answer["no"]:
        reasons = [f"{s.need.text}: {s.because}" for s in choice.steps if s.answer == "no"]
        lines.append(f"Does not: {choice.column.title} ({'; '.join(reasons)}).")
    for choice in by_answer["not known"]:
        reasons = [f"{s.need.text}: {s.because}" for s in choice.steps if s.answer == "not known"]
        lines.append(f"Not known: {choice.column.title} ({'; '.join(reasons)}).")
    if team_knows:
        lines.append(
            f"The team knows {texts.MODELS.get(team_knows, team_knows)}: it stands first among"
            " equals. What learning another model takes is not measured."
        )
    lines.append(
        "Not known from any run: what operating a model costs over months, other hardware, other"
        " load than the shop's."
    )
    return lines
