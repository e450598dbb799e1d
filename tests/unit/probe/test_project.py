"""The clone's environment and artefacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe import project
from probe.errors import ProbeError


def test_the_environment_is_what_the_file_exports(tmp_path: Path) -> None:
    (tmp_path / ".triptych").mkdir()
    (tmp_path / ".triptych" / "env").write_text(
        "export A='two words'\nunset NOTHING\nexport B=\"$A!\"\nC=hidden\n"
    )
    found = project.environment(tmp_path)
    assert (found["A"], found["B"]) == ("two words", "two words!")
    assert "C" not in found
    with pytest.raises(ProbeError, match="run `make build` first"):
        project.environment(tmp_path / "elsewhere")


def test_damaged_artefacts_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / ".triptych").mkdir()
    assert project.artefacts(tmp_path) == {}
    (tmp_path / ".triptych" / "artefacts.json").write_text("{")
    with pytest.raises(ProbeError, match="damaged"):
        project.artefacts(tmp_path)


def test_only_what_a_shape_runs_counts_for_it() -> None:
    built = {"images": {n: {"ref": n} for n in ("monolith", "auth", "gateway")}}
    assert set(project.images_of(built, "monolith")) == {"monolith", "gateway"}
    assert set(project.images_of(built, "microservices")) == {"auth", "gateway"}
    guests = {"guests": {"monolith": {"key": "1"}}}
    assert project.guest_of(guests, "monolith") == {"key": "1"}
    assert project.guest_of(guests, "microservices") == {}
