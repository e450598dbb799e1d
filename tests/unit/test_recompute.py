"""Whoever knows only the results' schema comes to the same figures as the claims table.

Nothing of the probe is used to recompute: JSON lines, and medians.
"""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from probe import export, store
from probe.errors import ProbeError
from probe.records import Side
from probe.report import write_report
from tests.unit.probe_fakes import make_run


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    sides = (Side("docker", "monolith"), Side("vm", "monolith"))
    make_run(folder, accelerator="kvm", sides=sides)
    write_report(folder, store.read_run(folder))
    return folder


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


def test_markdown_has_the_verdicts(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    assert "| Containers weigh megabytes, virtual machines gigabytes. | **does not hold** |" in text
    # Every row of a table has as many cells as its head.
    for table in [part for part in text.split("\n\n") if part.startswith("|")]:
        counts = {row.replace("\\|", "").count("|") for row in table.splitlines()}
        assert len(counts) == 1, table


def test_all_samples_are_in_the_tables(folder: Path, tmp_path: Path) -> None:
    samples = store.read_run(folder).samples
    export.export(samples, tmp_path / "samples.csv", "csv")
    export.export(samples, tmp_path / "samples.parquet", "parquet")
    with (tmp_path / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "samples.parquet").to_pylist()
    assert len(rows) == len(table) == len(samples)
    for sample, row, entry in zip(samples, rows, table, strict=True):
        assert entry["value"] == sample.value
        assert (float(row["value"]) if row["value"] else None) == sample.value
        assert json.loads(row["labels"]) == json.loads(entry["labels"]) == dict(sample.labels)


def test_what_cannot_be_exported_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    samples = store.read_run(folder).samples
    with pytest.raises(ProbeError, match="cannot be written: No such file or directory"):
        export.export(samples, tmp_path / "nowhere" / "samples.csv", "csv")
    with pytest.raises(ProbeError, match="no samples yet"):
        export.export((), tmp_path / "samples.csv", "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
