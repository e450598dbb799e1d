"""What changed since an earlier run: every figure that both have, judged like the claims."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe import stats, texts
from probe.claims import ALPHA
from probe.store import Run
from probe.summary import Column, Figure, Index, rows, show

Verdict = Literal["more", "less", "no change shown"]

#: Units of what is counted: no chance is in it, so what differs has changed.
_COUNTED: Final = ("count",)
#: Of machine and versions: what is not worth a word when it differs.
_USUAL: Final = ("boot_id", "uptime_s", "load1")


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of both runs. ``adjusted`` is None where no chance is involved."""

    column: Column
    text: str
    unit: str
    before: float
    after: float
    verdict: Verdict
    adjusted: float | None = None


def changes(old: Run, new: Run) -> list[Change]:
    """Return every figure that both runs have, with what can be said of its change."""
    before, after = Index(old.samples), Index(new.samples)
    columns = {(c.model, c.shape, c.state): c for c in before.columns}
    found: list[Change] = []
    chances: list[float] = []
    table = rows(after)
    for column in after.columns:
        other = columns.get((column.model, column.shape, column.state))
        if other is None or other.emulated != column.emulated:
            continue
        for heading, entries in table:
            for experiment, metric, labels, text in entries:
                was = before.figure(other, experiment, metric, labels)
                now = after.figure(column, experiment, metric, labels)
                change = _change(column, f"{heading}: {text}", was, now)
                if change is not None:
                    found.append(change[0])
                    chances.append(change[1])
    sampled = [n for n, change in enumerate(found) if change.unit not in _COUNTED]
    for n, adjusted in zip(sampled, stats.holm([chances[n] for n in sampled]), strict=True):
        verdict = found[n].verdict if adjusted < ALPHA else "no change shown"
        found[n] = replace(found[n], adjusted=adjusted, verdict=verdict)
    return found


def _change(column: Column, text: str, was: Figure, now: Figure) -> tuple[Change, float] | None:
    one, other = was.per_round, now.per_round
    if not one or not other:
        return None
    difference = stats.difference(other, one)
    verdict: Verdict = "more" if difference.medians > 0 else "less"
    counted = now.unit in _COUNTED
    unsure = difference.low <= 0 <= difference.high
    if difference.medians == 0 or (unsure and not counted):
        verdict = "no change shown"
    change = Change(
        column=column,
        text=text,
        unit=now.unit,
        before=statistics.median(one),
        after=statistics.median(other),
        verdict=verdict,
    )
    return change, difference.p


def circumstances(old: Run, new: Run) -> list[str]:
    """Return what else is different between two runs: a change may be due to it."""
    found = []
    for name in ("machine", "versions", "sources", "config"):
        was: Mapping[str, Any] = getattr(old.manifest, name)
        now: Mapping[str, Any] = getattr(new.manifest, name)
        found += [
            f"{name}: {key} {was.get(key, 'unknown')} before, {now.get(key, 'unknown')} now"
            for key in sorted(was.keys() | now.keys())
            if key not in _USUAL and was.get(key) != now.get(key)
        ]
    return found


def render(old: Run, new: Run) -> RenderableType:
    """Return the table of what changed, and what else is different."""
    found = changes(old, new)
    told = [change for change in found if change.verdict != "no change shown"]
    table = Table(title=f"Since run {old.manifest.run}", title_justify="left")
    for heading in ("", "figure", "before", "now", "", "p, all together"):
        table.add_column(heading)
    for change in told:
        table.add_row(
            change.column.title,
            change.text,
            show(change.before, change.unit),
            show(change.after, change.unit),
            Text(change.verdict, style="yellow"),
            "counted" if change.adjusted is None else f"{change.adjusted:.3f}",
        )
    parts: list[RenderableType] = [table] if told else []
    parts.append(Text(summary(found), style="dim"))
    parts += [Text(f"different too: {line}", style="dim") for line in circumstances(old, new)]
    return Group(*parts)


def summary(found: Sequence[Change]) -> str:
    """Return in a sentence how much was compared and how much of it changed."""
    if not found:
        return "No figure is in both runs: they have no model, shape and state in common."
    told = sum(change.verdict != "no change shown" for change in found)
    return (
        f"{len(found)} figures are in both runs, {told} of them changed: what is counted if it"
        f" differs, what is sampled if rank test (Holm, {ALPHA:.0%}) and interval say so."
        + ("" if told else f" {texts.TOO_FEW}")
    )
