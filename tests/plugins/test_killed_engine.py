"""The engine killed with SIGKILL in mid-up, at random moments: up and destroy leave nothing."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import docker
import pytest

from tests.plugins.pulumi_cli import Project

pytestmark = pytest.mark.docker

PREFIX = "plugtest-"
KILLS = 10
SEED = 3
LATEST_S = 4.0  # an undisturbed up takes about as long

PROGRAM = """
import pulumi_docker as docker

network = docker.Network("n", name="plugtest-n")
volume = docker.Volume("v", name="plugtest-v")
for number in range(4):
    docker.Container(
        f"c{number}",
        name=f"plugtest-c{number}",
        image="base:latest",
        command=["sleep", "600"],
        network_mode="bridge",
        networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name)],
        volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
        wait=True,
        healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval="1s"),
    )
"""


def left(daemon: docker.APIClient) -> list[str]:
    found = [name for item in daemon.containers(all=True) for name in item["Names"]]
    found += [network["Name"] for network in daemon.networks()]
    found += [volume["Name"] for volume in daemon.volumes()["Volumes"] or ()]
    return [name for name in found if name.lstrip("/").startswith(PREFIX)]


def test_a_killed_engine_leaves_nothing_after_up_and_destroy(
    project: Callable[..., Project],
    clean: Callable[[str], None],
    daemon: docker.APIClient,
    base_image: str,
) -> None:
    clean(PREFIX)
    made = project(PROGRAM)
    made.run("stack", "init", "killed")
    moments = random.Random(SEED)
    for _ in range(KILLS):
        engine = made.start("up", "--yes", "--skip-preview")
        time.sleep(moments.uniform(0.5, LATEST_S))
        engine.send_signal(signal.SIGKILL)
        engine.communicate()
        made.run("cancel", "--yes")
    output = made.up()
    assert "exists already" not in output
    made.run("preview", "--expect-no-changes")
    made.destroy()
    assert left(daemon) == []


def test_a_destroy_right_after_a_kill_takes_the_unknown_containers_along(
    project: Callable[..., Project],
    clean: Callable[[str], None],
    daemon: docker.APIClient,
    base_image: str,
) -> None:
    clean(PREFIX)
    made = project(PROGRAM)
    made.run("stack", "init", "killed")
    engine = made.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 30
    while not any("-c" in name for name in left(daemon)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.send_signal(signal.SIGKILL)
    engine.communicate()
    made.run("cancel", "--yes")
    made.destroy()
    assert left(daemon) == []
