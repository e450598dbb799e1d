"""Clones that the toolchain works in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT
from toolchain.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path / "clone", cache=tmp_path / "cache", run=tmp_path / "run")


@pytest.fixture
def our_paths(tmp_path: Path) -> Paths:
    return Paths(root=ROOT, cache=tmp_path / "cache", run=tmp_path / "run")
