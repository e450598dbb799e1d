"""Samples as tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from probe import export, store
from probe.errors import ProbeError


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
