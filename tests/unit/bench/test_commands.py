"""Commands that fail or hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import (
    commands,
)


def test_a_failed_command_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed, match=r"^sh: no such thing$"):
        commands.run(["sh", "-c", "echo one; echo no such thing; exit 3"], cwd=tmp_path)
    with pytest.raises(commands.CommandFailed, match="cannot run /nonexistent"):
        commands.run(["/nonexistent"], cwd=tmp_path)


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(commands.CommandFailed, match="did not end within"):
        commands.run(["sleep", "60"], cwd=tmp_path, timeout_s=0.2)
