"""Puts the page together: texts, tables, charts and everything that they need, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from probe import texts
from probe.claims import Ruling, sentence
from probe.language import current, t
from probe.records import Sample
from probe.report import charts
from probe.store import Run
from probe.summary import (
    Column,
    Figure,
    Index,
    attribution,
    emulated,
    proof_of_concept,
    rows,
    scopes,
    show,
    show_range,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell: the figure, and below it interval, counts and the emulation's mark."""

    value: str
    detail: str
    title: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row."""

    group: str
    text: str
    cells: tuple[Cell, ...]


def cell(figure: Figure, column: Column) -> Cell:
    """Return the cell of a figure."""
    if not figure.samples:
        return Cell(texts.NOTHING, "")
    interval = figure.interval
    mark = t(texts.EMULATED_SHORT) if column.emulated else ""
    if interval.median is None:
        reason = figure.reason.splitlines()[0]
        if interval.n_total:
            return Cell(t("failed"), _join(interval.count, mark), reason, bad=True)
        return Cell(texts.NOTHING, figure.reason.partition(":")[0], reason)
    detail = _join(show_range(interval, figure.unit), interval.count, mark)
    return Cell(show(interval.median, figure.unit), detail, bad=interval.n_ok < interval.n_total)


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def full_rows(index: Index) -> list[Row]:
    """Return every row of the full table that has samples."""
    found = []
    for heading, entries in rows(index):
        for experiment, metric, labels, text in entries:
            figures = [index.figure(c, experiment, metric, labels) for c in index.columns]
            if any(f.samples for f in figures):
                cells = tuple(cell(f, c) for f, c in zip(figures, index.columns, strict=True))
                found.append(Row(heading.replace("`", ""), text.replace("`", ""), cells))
    return found


def poc_rows(index: Index, columns: Sequence[Column]) -> list[Row]:
    """Return the rows of the short table."""
    found = []
    for experiment, metric, labels, group, text in texts.POC:
        figures = [index.figure(c, experiment, metric, labels) for c in columns]
        if any(f.samples for f in figures):
            cells = tuple(cell(f, c) for f, c in zip(figures, columns, strict=True))
            found.append(Row(t(group), t(text), cells))
    return found


def scope_rows(index: Index) -> list[Row]:
    """Return platform's and application's time, apart and together."""
    columns = [c for c in index.columns if index.trials(c)]
    found = []
    for scope, text in (
        ("platform", "platform: until it is ready"),
        ("application", "application: from there to the first transaction"),
    ):
        figures = [scopes(index, c)[scope] for c in columns]
        cells = tuple(cell(f, c) for f, c in zip(figures, columns, strict=True))
        found.append(Row("", t(text), cells))
    figures = [index.figure(c, "readiness", "first_transaction_s") for c in columns]
    found.append(
        Row("", t("together"), tuple(cell(f, c) for f, c in zip(figures, columns, strict=True)))
    )
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One headline: what was measured, and a figure per column."""

    text: str
    figures: tuple[tuple[Column, Cell], ...]


def answers(index: Index) -> list[Answer]:
    """Return the headlines: first the answer, then the evidence."""
    found = []
    for experiment, metric, labels, text in texts.ANSWERS:
        figures = [(c, index.figure(c, experiment, metric, labels)) for c in index.columns]
        there = tuple((c, cell(f, c)) for c, f in figures if f.counted)
        if there:
            found.append(Answer(t(text), there))
    return found


def facts(machine: Mapping[str, Any]) -> str:
    """Return what the machine is, in one line; a manifest without a fact just says less."""
    parts = []
    if "cores" in machine:
        parts.append(f"{machine['cores']} {t('cores')}")
    if "memory_bytes" in machine:
        parts.append(f"{show(machine['memory_bytes'], 'bytes')} {t('of memory')}")
    if machine.get("os"):
        parts.append(str(machine["os"]))
    if "kernel" in machine:
        parts.append(f"kernel {machine['kernel']}")
    if "cgroup_version" in machine:
        parts.append(f"{t('control groups')} v{machine['cgroup_version']}")
    return ", ".join(parts)


def values_of(index: Index, wanted: Sequence[tuple[str, str]]) -> list[Sample]:
    """Return all samples of these metrics, for the table below a chart."""
    keys = set(wanted)
    return sorted(
        (s for s in index.samples if (s.experiment, s.metric) in keys),
        key=lambda s: (s.model, s.shape, s.state, s.metric, sorted(s.labels.items()), s.round),
    )


def failures(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """Return failed samples by their evidence, each evidence once."""
    found: dict[str, list[Sample]] = {}
    for s in samples:
        if s.outcome == "failed":
            found.setdefault(s.evidence, []).append(s)
    return list(found.items())


def _file(name: str) -> str:
    return (resources.files("probe.report") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _script_json(value: Any) -> str:
    """Return JSON that can stand in a script element whatever the strings in it hold."""
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/")


def render_page(run: Run, rulings: Sequence[Ruling]) -> str:
    """Return the whole page: a pure function of the run, whose verdicts are made already."""
    index = Index(run.samples)
    drawn = charts.all_charts(index, run.timelines)
    env = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    env.filters["t"] = t
    poc_title, poc_columns = proof_of_concept(index)
    data = {name: {"data": chart.data, "layout": chart.layout} for name, chart in drawn.items()}
    memory_metrics = [("resources", m) for m, _, _ in charts.MEMORY_ROWS] + [
        ("resources", "memory_cgroup_reclaimable_bytes")
    ]
    sections = [
        ("phases", texts.SECTIONS["phases"], [("readiness", m) for m, _, _ in texts.PHASES]),
        ("memory", texts.SECTIONS["memory"], memory_metrics),
        ("shares", texts.SECTIONS["shares"], [("resources", "share_memory_bytes")]),
        ("cpu", texts.SECTIONS["cpu"], [("resources", "cpu_idle_s_per_min")]),
        ("cpu_shares", texts.SECTIONS["cpu_shares"], [("resources", "share_cpu_s_per_min")]),
        (
            "disk",
            texts.SECTIONS["disk"],
            [("disk", "disk_shipped_bytes"), ("disk", "disk_unpacked_bytes")],
        ),
        (
            "provisioning",
            texts.SECTIONS["provisioning"],
            [("provisioning", "create_s"), ("provisioning", "destroy_s")],
        ),
        ("latency", texts.SECTIONS["latency"], [("latency", "transaction_s")]),
        (
            "load",
            texts.SECTIONS["load"],
            [("load", "latency_s"), ("load", "throughput"), ("load", "knee_rate")],
        ),
        (
            "timelines",
            texts.SECTIONS["timelines"],
            [
                ("rollout", "update_failed_requests"),
                ("rollout", "update_longest_gap_s"),
                ("rollout", "update_overlap_s"),
                ("availability", "recovery_s"),
                ("availability", "failed_requests"),
                ("balancing", "lost_with_replica"),
            ],
        ),
    ]
    ran_on_emulator = emulated(run.samples)
    return env.from_string(_file("page.html.j2")).render(
        run=run,
        language=current(),
        sentence=sentence,
        manifest=run.manifest,
        texts=texts,
        facts=facts(run.manifest.machine),
        git=run.manifest.sources.get("git") or {},
        built=run.manifest.sources.get("artefacts") or {},
        columns=index.columns,
        emulated=ran_on_emulator,
        answers=answers(index),
        rulings=rulings,
        rows=full_rows(index),
        poc_title=poc_title,
        poc_columns=poc_columns,
        attribution=attribution(index.columns),
        poc=poc_rows(index, poc_columns),
        scope_columns=[c for c in index.columns if index.trials(c)],
        scopes=scope_rows(index),
        sections=[
            (name, t(heading), t(text), drawn[name], values_of(index, wanted))
            for name, (heading, text), wanted in sections
            if name in drawn
        ],
        failures=failures(run.samples),
        show=show,
        style=_file("style.css"),
        script=_file("page.js"),
        plotly=_plotly() if drawn else "",
        chart_data=_script_json(data),
        n_ok=sum(s.outcome == "ok" for s in run.samples),
        n_failed=sum(s.outcome == "failed" for s in run.samples),
    )
