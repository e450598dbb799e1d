"""A run's samples as one table, for tools that read no JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from probe.errors import ProbeError
from probe.records import Sample

Format = Literal["csv", "parquet"]
#: A row has every field of a sample in its order; maps are JSON in their cell.
_MAPS: Final = ("labels", "host")


def export(samples: Sequence[Sample], path: Path, form: Format) -> None:
    """Write the samples to a file, which appears when it is whole.

    Raises:
        ProbeError: if there are none, or the file can't be written.
    """
    if not samples:
        raise ProbeError("the run has no samples yet")
    rows = [_row(sample) for sample in samples]
    partial = path.with_name(f".{path.name}.partial")
    try:
        if form == "csv":
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        else:
            # It takes half a second to load, which those who do not need it are spared.
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ProbeError(f"{path} cannot be written: {error.strerror}") from None


def _row(sample: Sample) -> dict[str, Any]:
    data = sample.to_json()
    return {**data, **{name: json.dumps(data[name], sort_keys=True) for name in _MAPS}}
