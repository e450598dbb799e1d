"""Docker's events, and which processes are a stack's."""

from __future__ import annotations

from typing import Any

import pytest

from probe.errors import ProbeError
from probe.models.base import Roles, Stamps
from probe.models.docker import DockerInspector, DockerWatcher, container_processes
from tests.support.host_fakes import Proc, docker_event
from tests.support.probe_fakes import FakeClock


def test_docker_events_become_phases() -> None:
    clock = FakeClock()
    watcher = DockerWatcher("triptych-cmp-1-docker", stamps=Stamps(clock=clock))
    prefix = "triptych-cmp-1-docker"
    for at, event in (
        (1, docker_event("network", "create", "triptych-cmp-1-docker2")),  # somebody else's
        (2, docker_event("network", "create", prefix)),
        (3, docker_event("volume", "create", f"{prefix}-postgres")),
        (4, docker_event("volume", "create", f"{prefix}-gateway-secrets")),
        (5, docker_event("container", "create", f"{prefix}-postgres")),
        (6, docker_event("container", "start", f"{prefix}-postgres")),
        (7, docker_event("container", "start", f"{prefix}-monolith")),
        (8, docker_event("volume", "create", f"{prefix}-late")),
        (9, docker_event("container", "start", f"{prefix}-gateway")),
        (10, docker_event("container", "exec_start: /bin/bash -c x", f"{prefix}-gateway")),
        (11, docker_event("container", "start", f"{prefix}-monolith")),  # restarted
    ):
        clock.now = at
        watcher.take(event)
    assert watcher.stamps() == {
        "platform_created": 2,
        "platform_ready": 4,
        "workload_started": 7,
    }
    assert not any("exec_" in str(entry["what"]) for entry in watcher.log())


def test_docker_waits_for_the_last_of_several_services() -> None:
    clock = FakeClock()
    watcher = DockerWatcher("p", stamps=Stamps(clock=clock))
    for at, service in ((1, "frontend"), (2, "auth"), (3, "valkey"), (4, "postgres")):
        clock.now = at
        watcher.take(docker_event("container", "start", f"p-{service}"))
    assert watcher.stamps()["workload_started"] == 2


def test_docker_roles(docker_inspector: DockerInspector) -> None:
    roles = docker_inspector.roles()
    assert roles == Roles(frozenset({21, 22, 31}), frozenset({20, 30, 40}), frozenset({10, 11}))
    assert docker_inspector.guest_memory() is None


def test_a_container_without_its_own_group_is_its_tree(proc: Proc) -> None:
    assert container_processes(21, proc.root) == {21, 22}


def test_a_container_that_went_is_one_clear_line(
    docker_inspector: DockerInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker.errors import NotFound

    def gone(_name: str) -> dict[str, Any]:
        raise NotFound("no such container")

    monkeypatch.setattr(docker_inspector._client.api, "inspect_container", gone)
    with pytest.raises(ProbeError, match="is the stack still up"):
        docker_inspector.roles()
