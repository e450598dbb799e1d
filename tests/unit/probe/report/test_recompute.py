"""Whoever knows only the results' schema comes to the same figures as the claims table.

Nothing of the probe is used to recompute: JSON lines, and medians.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest


def recomputed(lines: list[dict[str, Any]], figure: dict[str, Any]) -> dict[str, Any]:
    """Return median and counts of a figure: each deployment enters with the median of its own."""
    rounds: dict[int, list[float]] = {}
    good = tried = 0
    for line in lines:
        same = all(
            line[key] == figure[key] for key in ("model", "shape", "state", "experiment", "metric")
        )
        if not same or not figure["labels"].items() <= line["labels"].items():
            continue
        if line["outcome"] not in ("ok", "failed"):
            continue
        tried += 1
        if line["outcome"] == "ok":
            good += 1
            rounds.setdefault(line["round"], []).append(line["value"])
    medians = [statistics.median(values) for values in rounds.values()]
    median = statistics.median(medians) if medians else None
    return {"median": median, "n_ok": good, "n_total": tried}


def test_every_figure_of_the_claims_is_recomputed_from_the_samples(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    rulings = json.loads((folder / "claims.json").read_text())
    assert len(rulings) == 13
    figures = [f for r in rulings for finding in r["findings"] for f in finding["figures"]]
    assert len({figure["metric"] for figure in figures}) >= 5
    for figure in figures:
        found = recomputed(lines, figure)
        assert found == {
            "median": pytest.approx(figure["median"]),
            "n_ok": figure["n_ok"],
            "n_total": figure["n_total"],
        }, figure


def test_a_verdict_follows_from_its_figures(folder: Path) -> None:
    rulings = {r["claim"]["id"]: r for r in json.loads((folder / "claims.json").read_text())}
    weight = rulings["weight"]
    docker, vm = (finding["figures"][0]["median"] for finding in weight["findings"])
    assert (docker < 1e9, vm >= 1e9) == (True, False)
    assert weight["verdict"] == "does not hold"
    assert rulings["portability"]["verdict"] == "not tested"
