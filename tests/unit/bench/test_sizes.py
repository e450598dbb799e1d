"""What counts as a start from nothing."""

from __future__ import annotations

import json
from pathlib import Path

from bench import (
    sizes,
)
from toolchain.paths import Paths


def test_a_start_is_from_nothing_only_if_everything_was_installed(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "cache", tmp_path / "run")
    assert sizes.first_row(paths, tmp_path / "results").holds is None
    paths.logs.mkdir(parents=True)
    durations = paths.logs / "durations.json"
    durations.write_text(json.dumps({"pulumi": 300.0}))
    figure = sizes.first_row(paths, tmp_path / "results")
    assert figure.holds is None
    assert "debian-packages was there already" in figure.note
    durations.write_text(json.dumps({"pulumi": 1.0, "debian-packages": 1.0, "guest-disk": 1.0}))
    assert sizes.first_row(paths, tmp_path / "results").holds is None
