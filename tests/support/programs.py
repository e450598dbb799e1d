"""Programs that only say something or take notes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def fake_tool(directory: Path, name: str, prints: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def calls(programs: Mapping[str, Path]) -> list[str]:
    """Return how the programs were called, a line each."""
    return programs["log"].read_text().splitlines() if programs["log"].exists() else []
