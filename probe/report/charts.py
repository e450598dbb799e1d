"""The report's charts, as Plotly figures in plain JSON values.

Colours that depend on light or dark (text, grid, paper) are filled in by the page. A bar of an
emulated machine is hatched and its label says so; every chart shows all points.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from probe import texts
from probe.language import t
from probe.records import Sample, Timeline, Trial
from probe.summary import Column, Figure, Index, segments, show

_MIB: Final = 2**20
#: Readable on white and on near-black alike.
PHASE_COLOURS: Final = ("#3d6fb4", "#83a8dc", "#f0b45b", "#df8440", "#b5532a")
SCOPE_COLOURS: Final = {
    "platform": "#5a86c5",
    "platform and application": "#8d80c9",
    "application": "#df8440",
    "data": "#5aa897",
}
#: For the services, in their order, and for what is the platform's.
SERVICE_COLOURS: Final = (
    "#df8440",
    "#f0b45b",
    "#5aa897",
    "#83a8dc",
    "#8d80c9",
    "#c46a92",
    "#7fae4f",
    "#b5532a",
    "#4fa08a",
    "#d9a05c",
)
PLATFORM_COLOURS: Final = ("#5a6b80", "#8a97a8", "#b4bdc9")
ROLE_COLOURS: Final = {"workload": "#df8440", "helpers": "#5aa897", "daemons": "#8a97a8"}
MODEL_COLOURS: Final = {
    "docker": "#3d7fd0",
    "vm": "#d0783a",
    "kubernetes": "#8a6fd0",
    "swarm": "#4fa08a",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: Plotly's data and layout, and how it is described to those who can't see it."""

    name: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    description: str

    def __post_init__(self) -> None:
        """Put the description into the language that is spoken."""
        object.__setattr__(self, "description", t(self.description))


def _label(column: Column) -> str:
    """Return an axis label in short lines."""
    lines = [f"<b>{_short(column)}</b>", t(column.shape)]
    if column.state != "up":
        lines.append(t(texts.STATES[column.state]))
    if column.emulated:
        lines.append(f"<i>{t(texts.EMULATED)}</i>")
    return "<br>".join(lines)


def _short(column: Column) -> str:
    return t("VM") if column.model == "vm" else texts.MODELS.get(column.model, column.model)


def _colour(column: Column) -> str:
    """Return a model's colour; the monolith's is paler, so that sides are told apart."""
    colour = MODEL_COLOURS.get(column.model, "#888888")
    return f"{colour}99" if column.shape == "monolith" else colour


def _hatch(columns: Iterable[Column]) -> dict[str, Any]:
    """Return the pattern of a series of bars: hatched where the machine was emulated."""
    return {
        "shape": ["/" if c.emulated else "" for c in columns],
        "fillmode": "overlay",
        "solidity": 0.18,
        "size": 6,
    }


def _layout(rows: int, height_per_row: int, title: str, **more: Any) -> dict[str, Any]:
    layout: dict[str, Any] = {
        "height": 110 + rows * height_per_row,
        "margin": {"l": 112, "r": 14, "t": 12, "b": 92},
        "barmode": "stack",
        "bargap": 0.35,
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -0.16,
            "yanchor": "top",
            "traceorder": "normal",
        },
        "xaxis": {
            "title": {"text": t(title), "standoff": 8},
            "rangemode": "tozero",
            "automargin": True,
        },
        "hovermode": "closest",
        "dragmode": False,
    }
    # The legend hangs below the axis by a fixed number of pixels, whatever the chart's height.
    plot = layout["height"] - 104
    layout["legend"]["y"] = -48 / plot
    layout.update(more)
    return layout


def _axis(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": [len(labels) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _points(
    name: str,
    pairs: Sequence[tuple[float, Sample, str]],
    *,
    legend: bool = True,
    scale: float = 1.0,
    colour: str = "ink",
    size: int = 7,
) -> dict[str, Any]:
    """Return a scatter of samples at their rows; the first deployment is drawn hollow."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": t(name),
        "showlegend": legend,
        "x": [(s.value or 0.0) / scale for _, s, _ in pairs],
        "y": [row for row, _, _ in pairs],
        "marker": {
            "symbol": ["circle-open" if s.first else "circle" for _, s, _ in pairs],
            "size": size,
            "color": colour,
            "line": {"width": 1.5, "color": colour},
        },
        "text": [
            f"{text}, round {s.round}{' (first)' if s.first else ''}: {show(s.value, s.unit)}"
            for _, s, text in pairs
        ],
        "hoverinfo": "text",
    }


def _spread(row: float, number: int, total: int, width: float = 0.3) -> float:
    """Return a place beside the row's middle, so that equal values do not hide each other."""
    return row if total < 2 else row - width / 2 + width * number / (total - 1)


def phases(index: Index) -> Chart | None:
    """Return stacked bars of the phases' median durations, with every deployment's stamps."""
    columns = [c for c in index.columns if index.trials(c)]
    if not columns:
        return None
    bars: dict[str, dict[int, Figure]] = {}
    for row, column in enumerate(columns):
        for text, _, durations in segments(index, column):
            bars.setdefault(text, {})[row] = durations
    data: list[dict[str, Any]] = []
    for colour, (_, text, scope) in zip(PHASE_COLOURS, texts.PHASES, strict=True):
        rows = bars.get(text, {})
        seen = [r for r in rows if rows[r].interval.median is not None]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": f"{t(text)} ({t(scope)})",
                "x": [rows[r].interval.median for r in seen],
                "y": seen,
                "marker": {"color": colour, "pattern": _hatch(columns[r] for r in seen)},
                "text": [
                    f"{t(text)}: {t('median')} {show(rows[r].interval.median, 's')}"
                    f" ({rows[r].interval.count})"
                    for r in seen
                ],
                "textposition": "none",
                "hoverinfo": "text",
            }
        )
    pairs = []
    for row, column in enumerate(columns):
        trials = list(index.trials(column).values())
        for number, stamped in enumerate(trials):
            for metric, text, _ in texts.PHASES:
                sample = stamped.get(metric)
                if sample is not None and sample.value is not None:
                    pairs.append((_spread(row, number, len(trials)), sample, text))
    data.append(_points("each deployment (hollow: the first)", pairs, size=6))
    marks = []
    for row, column in enumerate(columns):
        failed = [
            s
            for s in index.figure(column, "readiness", "first_transaction_s").samples
            if s.outcome == "failed"
        ]
        if failed:
            marks.append(
                {
                    "xref": "paper",
                    "x": 1,
                    "y": row - 0.36,
                    "xanchor": "right",
                    "text": f"{len(failed)} {t('failed')}",
                    "showarrow": False,
                    "font": {"color": "bad", "size": 13},
                }
            )
    layout = _layout(
        len(columns),
        74,
        "seconds from pulumi up",
        yaxis=_axis([_label(c) for c in columns]),
        annotations=marks,
    )
    layout["margin"]["b"] = 150
    layout["height"] += 58
    return Chart(
        "phases",
        data,
        layout,
        "Stacked bars of the time from pulumi up to the first transaction, by phase, per model"
        " and state, with a point per deployment and phase.",
    )


MEMORY_ROWS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("memory_available_delta_bytes", {}, "host's<br>MemAvailable,<br>change"),
    ("memory_pss_bytes", {"role": "own"}, "PSS of its<br>processes"),
    ("memory_cgroup_bytes", {}, "control group,<br>cache apart"),
    ("memory_guest_used_bytes", {}, "guest's<br>own view"),
)


def memory(index: Index) -> Chart | None:
    """Return idle memory three ways (and the guest's view), a bar per model, all points."""
    columns = [
        c
        for c in index.columns
        if any(index.figure(c, "resources", m, lab).interval.n_ok for m, lab, _ in MEMORY_ROWS)
    ]
    if not columns:
        return None
    shown = [
        (m, lab, text)
        for m, lab, text in MEMORY_ROWS
        if any(index.figure(c, "resources", m, lab).interval.n_ok for c in columns)
    ]
    data: list[dict[str, Any]] = []
    height = 0.8 / len(columns)
    for number, column in enumerate(columns):
        offset = (number - (len(columns) - 1) / 2) * height
        cells = [index.figure(column, "resources", m, lab) for m, lab, _ in shown]
        there = [(r, f) for r, f in enumerate(cells) if f.interval.median is not None]
        name = column.title
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "x": [(f.interval.median or 0) / _MIB for _, f in there],
                "y": [r + offset for r, _ in there],
                "width": height * 0.86,
                "marker": {
                    "color": _colour(column),
                    "pattern": _hatch(column for _ in there),
                },
                "text": [
                    f"{name}: {t('median')} {show(f.interval.median, 'bytes')} ({f.interval.count})"
                    for _, f in there
                ],
                "textposition": "none",
                "hoverinfo": "text",
            }
        )
        pairs = [
            (_spread(r + offset, i, len(f.counted), height * 0.4), s, name)
            for r, f in there
            for i, s in enumerate(f.counted)
            if s.value is not None
        ]
        data.append(_points("each deployment", pairs, scale=_MIB, legend=number == 0, size=6))
    layout = _layout(
        len(shown),
        84,
        "MiB while idle",
        barmode="overlay",
        yaxis=_axis([t(text) for _, _, text in shown]),
    )
    layout["margin"]["l"] = 112
    return Chart(
        "memory",
        data,
        layout,
        "Bars of idle memory, measured three ways, per model, with a point per deployment.",
    )


def _stacked(
    name: str,
    rows: Sequence[tuple[str, Column, Mapping[str, Figure]]],
    colours: Mapping[str, str],
    title: str,
    scale: float,
    description: str,
) -> Chart | None:
    """Return stacked bars of the medians of parts, one bar per row, and points of their sums."""
    if not rows:
        return None
    data: list[dict[str, Any]] = []
    for part, colour in colours.items():
        there = [
            (r, cells[part], column)
            for r, (_, column, cells) in enumerate(rows)
            if part in cells and cells[part].interval.median is not None
        ]
        if not there:
            continue
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": t(part),
                "x": [(f.interval.median or 0) / scale for _, f, _ in there],
                "y": [r for r, _, _ in there],
                "marker": {"color": colour, "pattern": _hatch(c for _, _, c in there)},
                "text": [
                    f"{t(part)}: {t('median')} {show(f.interval.median, f.unit)}"
                    f" ({f.interval.count})"
                    for _, f, _ in there
                ],
                "textposition": "none",
                "hoverinfo": "text",
            }
        )
    pairs = []
    for r, (_, column, cells) in enumerate(rows):
        sums: dict[int, list[Sample]] = {}
        for figure in cells.values():
            for s in figure.counted:
                if s.value is not None:
                    sums.setdefault(s.round, []).append(s)
        for i, group in enumerate(sums.values()):
            whole = _sum(group)
            pairs.append((_spread(r, i, len(sums)), whole, f"{column.title}, {t('together')}"))
    data.append(_points("each deployment, together", pairs, scale=scale, size=6))
    layout = _layout(len(rows), 74, title, yaxis=_axis([label for label, _, _ in rows]))
    return Chart(name, data, layout, description)


def _sum(samples: Sequence[Sample]) -> Sample:
    from dataclasses import replace

    return replace(samples[0], value=sum(s.value or 0 for s in samples))


def disk(index: Index) -> Chart | None:
    """Return bytes shipped and unpacked, by whose they are."""
    rows = []
    for kind in ("shipped", "unpacked"):
        for column in index.columns:
            whole = index.figure(column, "disk", f"disk_{kind}_bytes")
            cells: dict[str, Figure] = {}
            for scope in SCOPE_COLOURS:
                parts = [s for s in whole.samples if s.labels.get("scope") == scope]
                rounds: dict[int, list[Sample]] = {}
                for s in parts:
                    if s.value is not None:
                        rounds.setdefault(s.round, []).append(s)
                if rounds:
                    cells[scope] = Figure(tuple(_sum(group) for group in rounds.values()))
            if cells:
                label = f"<b>{_short(column)}</b><br>{t(column.shape)}<br>{t(kind)}"
                rows.append((label, column, cells))
    return _stacked(
        "disk",
        rows,
        SCOPE_COLOURS,
        "MiB on disk",
        _MIB,
        "Stacked bars of bytes shipped and unpacked per model, platform apart from application.",
    )


def cpu(index: Index) -> Chart | None:
    """Return idle CPU seconds per minute, by the processes' role."""
    rows = []
    for column in index.columns:
        cells = {
            role: index.figure(column, "resources", "cpu_idle_s_per_min", {"role": role})
            for role in ROLE_COLOURS
        }
        if any(f.interval.n_ok for f in cells.values()):
            rows.append((_label(column), column, cells))
    return _stacked(
        "cpu",
        rows,
        ROLE_COLOURS,
        "seconds of CPU per minute while idle",
        1.0,
        "Stacked bars of CPU seconds per idle minute, per model, by the role of the processes.",
    )


def shares(index: Index, metric: str, name: str, title: str, scale: float) -> Chart | None:
    """Return what each service and each part of the platform takes."""
    colours: dict[str, str] = {}
    for scope, palette in (("application", SERVICE_COLOURS), ("platform", PLATFORM_COLOURS)):
        parts = [p for p in index.parts("resources", metric, scope) if p != "total"]
        colours |= {p: palette[i % len(palette)] for i, p in enumerate(parts)}
    rows = []
    for column in index.columns:
        cells = {p: index.figure(column, "resources", metric, {"part": p}) for p in colours}
        there = {p: figure for p, figure in cells.items() if figure.interval.n_ok}
        if there:
            rows.append((_label(column), column, there))
    chart = _stacked(
        name,
        rows,
        colours,
        title,
        scale,
        "Stacked bars of what each service and each part of the platform takes while idle.",
    )
    if chart is not None:
        # Room for a legend of several lines.
        chart.layout["margin"]["b"] += 80
        chart.layout["height"] += 80
    return chart


STRIPS: Final = (
    ("provisioning", "create_s", "create"),
    ("provisioning", "destroy_s", "destroy"),
    ("latency", "transaction_s", "transaction"),
)


def strip(index: Index, wanted: Sequence[tuple[str, str, str]], name: str) -> Chart | None:
    """Return every value of some metrics as points, with the median as a line."""
    rows = []
    for experiment, metric, text in wanted:
        for column in index.columns:
            cell = index.figure(column, experiment, metric)
            if cell.interval.n_ok:
                rows.append((text, column, cell))
    if not rows:
        return None
    data: list[dict[str, Any]] = []
    pairs: list[tuple[float, Sample, str]] = []
    medians: list[tuple[float, int]] = []
    for r, (text, column, cell) in enumerate(rows):
        good = [s for s in cell.counted if s.value is not None]
        pairs += [
            (_spread(r, i, len(good), 0.45), s, f"{column.title}, {text}")
            for i, s in enumerate(good)
        ]
        if cell.interval.median is not None:
            medians.append((cell.interval.median, r))
    data.append(_points("each value (hollow: first deployment)", pairs, colour="point"))
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": t("median"),
            "x": [m for m, _ in medians],
            "y": [r for _, r in medians],
            "marker": {
                "symbol": "line-ns",
                "size": 30,
                "color": "ink",
                "line": {"width": 3, "color": "ink"},
            },
            "text": [f"{t('median')} {show(m, 's')}" for m, _ in medians],
            "hoverinfo": "text",
        }
    )
    labels = [f"{_label(c)}<br>{t(text)}" if len(wanted) > 1 else _label(c) for text, c, _ in rows]
    tallest = max(label.count("<br>") + 1 for label in labels)
    layout = _layout(len(rows), 14 + 18 * tallest, "seconds", yaxis=_axis(labels))
    return Chart(name, data, layout, "A point per value and the median of each row.")


#: Quantiles of the load's chart: name, dash of its line.
QUANTILES: Final = (("p50", "dot"), ("p99", "solid"))


def load(index: Index) -> Chart | None:
    """Return latency against the rate of requests, a line per column and quantile."""
    data: list[dict[str, Any]] = []
    rates: set[float] = set()
    for column in index.columns:
        samples = index.figure(column, "load", "latency_s").samples
        for quantile, dash in QUANTILES:
            points = sorted(
                (float(s.labels["rate"]), s.value, s)
                for s in samples
                if s.labels.get("quantile") == quantile and s.value is not None
            )
            if not points:
                continue
            rates |= {rate for rate, _, _ in points}
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{column.title}, {quantile}",
                    "x": [rate for rate, _, _ in points],
                    "y": [value * 1000 for _, value, _ in points],
                    "line": {"dash": dash, "color": _colour(column), "width": 2},
                    "marker": {
                        "size": 7,
                        "color": _colour(column),
                        "symbol": ["circle-open" if s.first else "circle" for *_, s in points],
                    },
                    "text": [
                        f"{column.title}, {rate:g} a second, {quantile}: {show(value, 's')},"
                        f" round {s.round}; {s.evidence}"
                        for rate, value, s in points
                    ],
                    "hoverinfo": "text",
                }
            )
    if not data:
        return None
    layout = _layout(1, 330, "requests per second")
    ticks = sorted(rates)
    layout["xaxis"] |= {
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{rate:g}" for rate in ticks],
        "rangemode": "normal",
        "fixedrange": True,
    }
    layout["yaxis"] = {
        "type": "log",
        "title": {"text": t("milliseconds")},
        "dtick": 1,
        "fixedrange": True,
        "automargin": True,
    }
    layout["margin"] |= {"l": 70, "b": 92 + 20 * len(data)}
    layout["height"] += 20 * len(data)
    layout["legend"]["y"] = -0.22
    return Chart(
        "load",
        data,
        layout,
        "Lines of the latency's median and 99th percentile against the rate of requests, per"
        " model, both axes logarithmic.",
    )


def timelines(index: Index, found: Sequence[Timeline]) -> Chart | None:
    """Return every request around an event, at its time, good and failed ones apart."""
    columns = {(c.model, c.shape, c.state): c for c in index.columns}
    rows: dict[tuple[str, Column], list[Timeline]] = {}
    for timeline in found:
        trial = Trial.parse(timeline.trial)
        column = columns.get((trial.model, trial.shape, trial.state))
        if column is not None:
            rows.setdefault((timeline.event, column), []).append(timeline)
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (row[0], row[1]))
    points: dict[bool, list[tuple[float, float, str]]] = {True: [], False: []}
    for number, key in enumerate(ordered):
        for turn, timeline in enumerate(rows[key]):
            place = _spread(number, turn, len(rows[key]))
            for since, latency, wrong in timeline.answers:
                text = f"{since:+.2f} s, {show(latency, 's')}{': ' if wrong else ''}{wrong}"
                points[not wrong].append((since, place, text))
    data = [
        {
            "type": "scattergl" if len(points[good]) > _MANY else "scatter",
            "mode": "markers",
            "name": t(name),
            "x": [x for x, _, _ in points[good]],
            "y": [y for _, y, _ in points[good]],
            "marker": {"symbol": "line-ns", "size": size, "line": {"width": 1.5, "color": colour}},
            "text": [text for *_, text in points[good]],
            "hoverinfo": "text",
        }
        for good, name, size, colour in (
            (True, "answered", 9, "point"),
            (False, "failed", 17, "bad"),
        )
        if points[good]
    ]
    labels = [
        "<br>".join((_label(column), *textwrap.wrap(t(event), 22))) for event, column in ordered
    ]
    layout = _layout(len(ordered), 92, "seconds since the event", yaxis=_axis(labels))
    layout["xaxis"]["rangemode"] = "normal"
    layout["xaxis"]["zeroline"] = True
    layout["margin"]["l"] = 150
    return Chart(
        "timelines",
        data,
        layout,
        "A mark for each request around an update or a kill, at its time; failed ones are taller.",
    )


#: From so many points on a browser draws them by its graphics card.
_MANY: Final = 20_000


def all_charts(index: Index, events: Sequence[Timeline] = ()) -> dict[str, Chart]:
    """Return the charts that the samples allow, by name."""
    found = [
        phases(index),
        memory(index),
        shares(index, "share_memory_bytes", "shares", "MiB while idle", _MIB),
        cpu(index),
        shares(index, "share_cpu_s_per_min", "cpu_shares", "seconds of CPU per idle minute", 1.0),
        disk(index),
        strip(index, STRIPS[:2], "provisioning"),
        strip(index, STRIPS[2:], "latency"),
        load(index),
        timelines(index, events),
    ]
    return {chart.name: chart for chart in found if chart is not None}
