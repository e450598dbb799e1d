"""A figure beside its limit, and how figures are written and shown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    ``limit`` bounds ``ratio`` where there is another side, else ``ours``: from above, or with
    ``least`` from below. ``holds`` is None for
    what could not be measured: ``note`` has the reason, and ``failed`` says that something broke
    (and not that this machine merely has nothing to measure).
    """

    name: str
    unit: str
    limit: float
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    holds: bool | None = None
    spread: dict[str, list[float]] | None = None
    note: str = ""
    least: bool = False
    failed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``bench.json``."""
        entry: dict[str, Any] = {
            "name": self.name,
            "ours": self.ours,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "limit": self.limit,
            "bound": "least" if self.least else "most",
            "holds": self.holds,
            "spread": self.spread,
            "unit": self.unit,
        }
        return entry | ({"note": self.note} if self.note else {})


def compared(
    name: str, ours: Sequence[float], theirs: Sequence[float], *, limit: float, note: str = ""
) -> Figure:
    """Return the figure of two sides in seconds: the ratio of their medians is what is bounded."""
    a, b = statistics.median(ours), statistics.median(theirs)
    return Figure(
        name=name,
        unit="s",
        limit=limit,
        ours=round(a, 4),
        theirs=round(b, 4),
        ratio=round(a / b, 4),
        holds=a / b <= limit,
        spread={"ours": _range(ours), "theirs": _range(theirs)},
        note=note,
    )


def kept(
    name: str, ours: Sequence[float], theirs: Sequence[float], *, limit: float, note: str = ""
) -> Figure:
    """Return the figure of two sides in requests per second: so much of theirs is to be kept."""
    a, b = statistics.median(ours), statistics.median(theirs)
    return Figure(
        name=name,
        unit="1/s",
        limit=limit,
        ours=round(a, 2),
        theirs=round(b, 2),
        ratio=round(a / b, 4),
        holds=a / b >= limit,
        spread={"ours": _range(ours), "theirs": _range(theirs)},
        note=note,
        least=True,
    )


def bounded(
    name: str, values: Sequence[float], *, unit: str, limit: float, note: str = ""
) -> Figure:
    """Return the figure whose median itself is bounded."""
    median = statistics.median(values)
    return Figure(
        name=name,
        unit=unit,
        limit=limit,
        ours=round(median, 4),
        holds=median <= limit,
        spread={"ours": _range(values)} if len(values) > 1 else None,
        note=note,
    )


def not_tested(name: str, reason: str, *, unit: str, limit: float, failed: bool = False) -> Figure:
    """Return the figure that could not be measured; it holds nothing."""
    return Figure(name=name, unit=unit, limit=limit, note=f"not tested: {reason}", failed=failed)


def exit_code(figures: Sequence[Figure]) -> int:
    """Return 1 if a limit was missed or a measurement broke."""
    return int(any(f.holds is False or f.failed for f in figures))


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Write ``bench.json``: the figures of this run and no others, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    text = json.dumps([f.as_json() for f in figures], indent=2)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def render(figures: Sequence[Figure]) -> Group:
    """Return the table for the terminal, with what is to be said about each figure below it."""
    table = Table(title="Speed and size", title_justify="left")
    table.add_column("figure", no_wrap=True)
    for title in ("ours", "theirs", "ratio", "limit", ""):
        table.add_column(title, justify="right", no_wrap=True)
    notes: list[Text] = []
    for f in figures:
        mark, style = _outcome(f)
        table.add_row(
            f.name,
            _cell(f.ours, f.unit, f.spread, "ours"),
            _cell(f.theirs, f.unit, f.spread, "theirs"),
            f"{f.ratio:.2f}" if f.ratio is not None else "",
            f"{'≥' if f.least else '≤'} {f.limit:g} {'x' if f.theirs is not None else f.unit}",
            Text(mark, style=style),
        )
        if f.note:
            notes.append(Text.assemble((f.name, "bold"), f": {f.note}", style="dim"))
    return Group(table, *notes)


def _outcome(figure: Figure) -> tuple[str, str]:
    if figure.holds is None:
        return "not tested", "red" if figure.failed else "yellow"
    return ("holds", "green") if figure.holds else ("missed", "red")


def _cell(value: float | None, unit: str, spread: dict[str, list[float]] | None, side: str) -> str:
    if value is None:
        return ""
    text = f"{value:.3g} {unit}"
    low, high = (spread or {}).get(side, (value, value))
    if low != high:
        text += f"\n{low:.3g}..{high:.3g}"
    return text


def _range(values: Sequence[float]) -> list[float]:
    return [round(min(values), 4), round(max(values), 4)]
