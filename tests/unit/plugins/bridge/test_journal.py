"""What a killed engine leaves, and whose it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from plugins.bridge import Journal
from plugins.bridge.errors import UserError


def test_the_journal_counts_only_for_a_dead_engine_and_the_same_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    live = Journal("docker", tmp_path)
    entry = live.begin("urn:a", "thing")
    entry.record("id-1")
    assert Journal("docker", tmp_path).left_over("urn:a", "thing") == []

    engine = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(os, "getppid", lambda: engine.pid)
    killed = Journal("docker", tmp_path)
    killed.begin("urn:b", "thing").record("id-2")
    engine.kill()
    engine.wait()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    after = Journal("docker", tmp_path)
    assert [left.id for left in after.left_over("urn:b", "thing")] == ["id-2"]
    assert after.left_over("urn:b", "other") == []
    assert after.left_over("urn:c", "thing") == []
    assert [(left.id, left.name) for left in after.of_killed_runs()] == [("id-2", "thing")]
    monkeypatch.chdir("/")
    assert Journal("docker", tmp_path).left_over("urn:b", "thing") == []
    monkeypatch.chdir(tmp_path)
    after.in_state("urn:b", "id-2")
    assert after.left_over("urn:b", "thing") == []
    live.close()
    assert list(tmp_path.glob("bridge-journal/docker/*")) == []


def test_a_call_of_a_killed_engine_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run may have looked by then, and found no entry to wait for."""
    monkeypatch.chdir(tmp_path)
    engine = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(os, "getppid", lambda: engine.pid)
    killed = Journal("libvirt", tmp_path)
    engine.kill()
    engine.wait()
    for call in (killed.begin, killed.left_over):
        with pytest.raises(UserError, match="the engine is gone"):
            call("urn:a", "thing")
    assert list(tmp_path.glob("bridge-journal/libvirt/*")) == []
