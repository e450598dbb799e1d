"""Pulumi's engine: what it says, and its locks."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi import automation as auto
from pulumi.automation._cmd import CommandResult

from probe.engine import Engine, EngineFailed, last_line


def test_the_engines_error_is_found_in_its_output() -> None:
    text = (
        "code: 255\nDiagnostics:\n  pulumi:pulumi:Stack (x):\n"
        "    error: port 8443 on 127.0.0.1 is taken\n    error: update failed\n"
    )
    assert last_line(text) == "port 8443 on 127.0.0.1 is taken"
    assert last_line("\n code: 1\n stdout: \n stderr: error: locked\n by you\n") == "locked"
    assert last_line("") == "the engine ended without a word"


class LockedStack:
    """A stack with the lock of a killed engine; what that left behind fails the first destroy."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def cancel(self) -> None:
        self.calls.append("cancel")

    def destroy(self, **_options: object) -> None:
        self.calls.append("destroy")
        if "cancel" not in self.calls:
            raise auto.ConcurrentUpdateError(CommandResult(stdout="", stderr="", code=1))
        if self.calls.count("destroy") == 2:
            said = "error: deleting a network: has active endpoints"
            raise auto.CommandError(CommandResult(stdout=said, stderr="", code=1))


def test_a_locked_stacks_destroy_fails_in_one_line_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "PulumiCommand", lambda **_where: None)
    stack = LockedStack()
    monkeypatch.setattr(Engine, "_select", lambda _engine, _name: stack)
    engine = Engine(tmp_path, {})
    with pytest.raises(EngineFailed, match="active endpoints"):
        engine.destroy("cmp-x")
    assert engine.destroy("cmp-x") >= 0
    assert stack.calls == ["destroy", "cancel", "destroy", "destroy"]
