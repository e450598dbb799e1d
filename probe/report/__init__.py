"""The report: a self-contained page, Markdown, the verdicts; pure functions of a run's folder."""

from __future__ import annotations

import json
from pathlib import Path

from probe.claims import as_json, rule
from probe.store import Run, write_whole
from probe.summary import Index


def write_report(folder: Path, run: Run) -> Path:
    """Write report.html, report.md and claims.json into the folder; return the page's path."""
    from probe.markdown import render
    from probe.report.page import render_page

    page = folder / "report.html"
    rulings = rule(Index(run.samples))
    write_whole(page, render_page(run, rulings))
    write_whole(folder / "report.md", render(run, rulings))
    verdicts = json.dumps(as_json(rulings), indent=1, ensure_ascii=False)
    write_whole(folder / "claims.json", verdicts + "\n")
    return page
