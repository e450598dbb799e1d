"""A run in Markdown, for a merge request: the short table and the claims."""

from __future__ import annotations

from collections.abc import Sequence

from probe import texts
from probe.claims import Ruling, sentence
from probe.language import t
from probe.store import Run
from probe.summary import Figure, Index, attribution, emulated, proof_of_concept, show, show_range


def render(run: Run, rulings: Sequence[Ruling]) -> str:
    """Return headings, tables and notes."""
    index = Index(run.samples)
    title, columns = proof_of_concept(index)
    parts = [f"# {t('Run')} {run.manifest.run}", f"`{run.manifest.command}`"]
    body = []
    for experiment, metric, labels, _, text in texts.POC:
        figures = [index.figure(column, experiment, metric, labels) for column in columns]
        if any(figure.samples for figure in figures):
            body.append([t(text), *(_cell(figure) for figure in figures)])
    if body:
        parts += [f"## {title}", _table(["", *(column.title for column in columns)], body)]
    claims = [[sentence(r.claim), f"**{t(r.verdict)}**", r.reason] for r in rulings]
    parts += [
        f"## {t(texts.CLAIMS_TITLE)}",
        _table([t(h) for h in ("claim", "verdict", "because")], claims),
    ]
    notes = [attribution(index.columns), t(texts.EMULATED_NOTE) if emulated(run.samples) else ""]
    notes += [f"{t('left out')}: {problem}" for problem in run.problems]
    return "\n\n".join([*parts, *(note for note in notes if note)]) + "\n"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows)


def _plain(text: str) -> str:
    """Return a cell's text, without what would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _cell(figure: Figure) -> str:
    if not figure.samples:
        return texts.NOTHING
    interval = figure.interval
    if interval.median is None:
        return figure.reason
    small = ", ".join(part for part in (show_range(interval, figure.unit), interval.count) if part)
    return f"{show(interval.median, figure.unit)} ({small})"
