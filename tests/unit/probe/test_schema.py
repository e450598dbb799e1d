"""The schema of samples has what the documentation says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import probe
from tests.support import ROOT

SCHEMA = json.loads((Path(probe.__file__).parent / "schema" / "sample.schema.json").read_text())
ROW = re.compile(r"^\| (?P<experiment>[a-z]+) \| `.*\| (?P<units>[^|]+) \|$", re.MULTILINE)


def test_every_unit_that_is_documented_is_allowed() -> None:
    rows = list(ROW.finditer((ROOT / "docs" / "results-schema.md").read_text()))
    units = {unit.strip() for row in rows for unit in row["units"].split(",")}
    assert {"share", "x", "bytes", "s"} <= {unit.split()[0] for unit in units}
    allowed = set(SCHEMA["properties"]["unit"]["enum"])
    # Behind a unit the table may say from when on.
    assert {unit.split()[0] for unit in units} <= allowed
