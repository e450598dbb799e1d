"""The terminal's table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe import texts
from probe.claims import rule, sentence
from probe.language import t
from probe.records import Sample
from probe.store import Run
from probe.summary import (
    Column,
    Figure,
    Index,
    attribution,
    emulated,
    proof_of_concept,
    rows,
    show,
    show_range,
)


def render(run: Run) -> RenderableType:
    """Return everything that a run showed, one row per metric, one column per model and state."""
    index = Index(run.samples)
    cols = index.columns
    if not cols:
        return Text(t("No finished round in this run yet."))
    parts: list[RenderableType] = []
    table = Table(title=f"{t('Run')} {run.manifest.run}", title_justify="left", expand=False)
    # A label is broken rather than cut off: half of one names nothing.
    table.add_column("", max_width=36, overflow="fold")
    for column in cols:
        style = "yellow" if column.emulated else ""
        table.add_column(column.title, style=style, overflow="fold")
    for heading, entries in rows(index):
        lines: list[list[str | Text]] = []
        for experiment, metric, labels, text in entries:
            cells = [index.figure(c, experiment, metric, labels) for c in cols]
            if any(c.samples for c in cells):
                drawn = [cell(f, c) for f, c in zip(cells, cols, strict=True)]
                lines.append([f"  {text}", *drawn])
        if lines:
            table.add_section()
            table.add_row(Text(heading, style="bold cyan"))
            for line in lines:
                table.add_row(*line)
    parts.append(table)
    parts.append(Text(t(texts.LEGEND), style="dim"))
    note = attribution(cols)
    if note:
        parts.append(Text(note, style="dim"))
    if emulated(run.samples):
        parts.append(Text(t(texts.EMULATED_NOTE), style="yellow"))
    parts += [Text(f"{t('left out')}: {problem}", style="yellow") for problem in run.problems]
    return Group(*parts)


def claims(run: Run) -> RenderableType:
    """Return the claims' table: the sentence, its verdict, and what it rests on."""
    table = Table(title=t(texts.CLAIMS_TITLE), title_justify="left")
    for heading in ("", "verdict", "because"):
        table.add_column(t(heading) if heading else "")
    for ruling in rule(Index(run.samples)):
        table.add_row(
            sentence(ruling.claim),
            Text(t(ruling.verdict), style=_VERDICTS[ruling.verdict]),
            ruling.reason,
        )
    return table


_VERDICTS = {
    "holds": "green",
    "does not hold": "red",
    "inconclusive": "yellow",
    "not tested": "dim",
}


def poc(run: Run) -> RenderableType:
    """Return the short table: times, resources, ease."""
    index = Index(run.samples)
    title, cols = proof_of_concept(index)
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("", overflow="fold")
    for column in cols:
        table.add_column(column.title, overflow="fold")
    previous = ""
    for experiment, metric, labels, group, text in texts.POC:
        cells = [index.figure(c, experiment, metric, labels) for c in cols]
        if not any(c.samples for c in cells):
            continue
        table.add_row(
            t(group) if group != previous else "",
            t(text),
            *(cell(f, c) for f, c in zip(cells, cols, strict=True)),
        )
        previous = group
    return table


def cell(value: Figure, column: Column) -> Text:
    """Return a cell: the median, below it interval, counts and the mark of an emulated machine."""
    if not value.samples:
        return Text("-", style="dim")
    interval = value.interval
    if interval.median is None:
        reason = value.reason.splitlines()[0]
        if interval.n_total:
            reason = f"0/{interval.n_total} {reason}"
        return Text(_short(reason), style="red" if interval.n_total else "dim")
    small = [show_range(interval, value.unit), interval.count]
    if column.emulated:
        small.append(t(texts.EMULATED_SHORT))
    text = Text(show(interval.median, value.unit), style="bold")
    text.append("\n" + ", ".join(part for part in small if part), style="not bold dim")
    return text


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(sample_list: Sequence[Sample]) -> str:
    """Return a trial's outcome in a few words, for the progress display."""
    by_metric = {s.metric: s for s in sample_list if s.experiment == "readiness"}
    last = by_metric.get("first_transaction_s")
    words = []
    if last is not None:
        words.append(
            f"first transaction after {show(last.value, 's')}"
            if last.value is not None
            else "no transaction went through"
        )
    for s in sample_list:
        if s.metric == "memory_available_delta_bytes" and s.value is not None:
            words.append(f"memory {show(s.value, 'bytes')}")
    if any(s.accelerator == "tcg" for s in sample_list):
        words.append(texts.EMULATED)
    return ", ".join(words)
