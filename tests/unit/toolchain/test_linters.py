"""What the linters look at."""

from __future__ import annotations

from pathlib import Path

from toolchain import checks
from toolchain.sources import source_files


def test_shell_scripts_are_found_by_name_or_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo\n")
    (tmp_path / "b").write_text("#!/bin/sh\n")
    (tmp_path / "c").write_text("#!/usr/bin/env bash\n")
    (tmp_path / "d").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    files = list(source_files(tmp_path).values())
    assert [path.name for path in checks.shell_scripts(files)] == ["a.sh", "b", "c"]
    assert [path.name for path in checks.dockerfiles(files)] == ["Dockerfile"]
