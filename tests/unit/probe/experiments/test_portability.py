"""Where the same images and disks work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probe import models, texts
from probe.errors import ProbeError
from probe.experiments.portability import Portability
from probe.models.base import Environment
from probe.models.engines import Containerd, Podman
from probe.models.machines import VARIANTS
from probe.records import Sample
from tests.support.probe_fakes import make_context, target

# The experiment.


def works() -> tuple[bool, str]:
    return True, "ready"


def fails() -> tuple[bool, str]:
    return False, "no disk"


def cannot() -> tuple[bool, str]:
    raise ProbeError("podman is not on this machine")


class Inspector:
    def __init__(self, *environments: Environment, broken: str = "") -> None:
        self.found = environments
        self.broken = broken

    @contextmanager
    def environments(self) -> Iterator[tuple[Environment, ...]]:
        yield self.found
        if self.broken:
            raise ProbeError(self.broken)

    def close(self) -> None:
        pass


def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspector: Inspector) -> list[Sample]:
    monkeypatch.setattr(models, "inspector", lambda _target: inspector)
    return Portability().measure(make_context(tmp_path, target=target("docker", {})))


def test_environments_are_told_apart_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *single, total = measure(
        tmp_path,
        monkeypatch,
        Inspector(
            Environment("dockerd", "", works),
            Environment("containerd", "engine", fails),
            Environment("podman", "engine", cannot),
        ),
    )
    assert [(s.value, s.outcome, s.evidence) for s in single] == [
        (1, "ok", "ready"),
        (0, "ok", "no disk"),
        (None, "not_measured", "podman is not on this machine"),
    ]
    assert single[0].labels == {"environment": "dockerd", "varies": "none"}
    assert (total.metric, total.value) == ("environments_failed", 1)
    assert total.evidence == ("works in: dockerd. Does not in: containerd. Not tried: podman")


def test_one_environment_says_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(Environment("dockerd", "", works), Environment("podman", "", cannot))
    assert measure(tmp_path, monkeypatch, inspector)[-1].outcome == "not_measured"


def test_what_was_seen_stays_seen_when_the_stack_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(Environment("dockerd", "", works), broken="it does not start again")
    first, last = measure(tmp_path, monkeypatch, inspector)
    assert first.value == 1
    assert (last.outcome, last.evidence) == ("failed", "it does not start again")


def test_once_is_enough(tmp_path: Path) -> None:
    assert Portability().applies(make_context(tmp_path, round=1)) == ""
    assert "once is enough" in Portability().applies(make_context(tmp_path, round=2))
    assert Portability().applies(make_context(tmp_path, state="cold"))


def test_the_report_has_every_environment() -> None:
    told = {
        labels["environment"]
        for _, rows in texts.ROWS
        for experiment, metric, labels, _ in rows
        if (experiment, metric) == ("portability", "environment_works")
    }
    assert told == {Containerd.name, Podman.name, *(variant.name for variant in VARIANTS)}
