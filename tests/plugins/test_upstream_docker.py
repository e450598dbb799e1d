"""The program recorded with Pulumi's own plugins, run on ours and compared field by field."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.plugins.pulumi_cli import Project

pytestmark = pytest.mark.docker

RECORDED = Path(__file__).with_name("upstream")

# Fields that may not be equal, and why. docs/plugins.md explains those that differ by intent.
DIFFERENT_IN_STATE = {
    "Container.id": "an id",
    "Container.outputs.id": "an id",
    "Container.outputs.runtime": "the daemon's default runtime, of the machine",
    "Container.outputs.__pulumi_raw_state_delta": "a cache of the Terraform bridge",
    "Image.inputs.build.contextDigest": "of the files of the recording machine",
    "Image.outputs.__inputs.ciphertext": "encrypted",
    "Image.outputs.repoDigest": "an id",
    "Network.id": "an id",
    "Network.outputs.id": "an id",
    "Network.outputs.__pulumi_raw_state_delta": "a cache of the Terraform bridge",
    "Volume.outputs.__pulumi_raw_state_delta": "a cache of the Terraform bridge",
}
DIFFERENT_IN_DAEMON = {
    "Id": "an id",
    "Image": "an id",
    "Created": "a time",
    "State.Pid": "of the run",
    "State.StartedAt": "a time",
    "State.Health.Log": "of the run",
    "HostConfig.Runtime": "the daemon's default runtime, of the machine",
    "HostConfig.CgroupnsMode": "the daemon's default, by the machine's control groups",
    "GraphDriver": "paths of layers",
    "Driver": "the daemon's storage driver, of the machine",
    "LogPath": "holds the id",
    "HostnamePath": "holds the id",
    "HostsPath": "holds the id",
    "ResolvConfPath": "holds the id",
    "AppArmorProfile": "of the machine",
    "NetworkSettings.SandboxID": "an id",
    "NetworkSettings.SandboxKey": "holds an id",
    "NetworkSettings.Networks.real-n.EndpointID": "an id",
    "NetworkSettings.Networks.real-n.NetworkID": "an id",
    "NetworkSettings.Networks.real-n.Aliases[1]": "the id's beginning",
}


def differences(old: Any, new: Any, path: str, allowed: dict[str, str]) -> Iterator[str]:
    if path in allowed:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            if inner in allowed:
                continue
            if key not in old or key not in new:
                yield f"{inner}: only {'ours' if key in new else 'upstream'}"
            else:
                yield from differences(old[key], new[key], inner, allowed)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from differences(left, right, f"{path}[{index}]", allowed)
    elif old != new:
        yield f"{path}: upstream {old!r}, ours {new!r}"


def docker_part(diff: str) -> list[str]:
    """Return the lines of `preview --diff` about Docker, with ids and digests blotted out."""
    kept, keep = [], False
    for line in diff.splitlines():
        if re.match(r" {4}\S.* \((update|replace)\)$", line):
            keep = "docker:index" in line
        elif line.startswith(("Resources:", "warning:")):
            keep = False
        if keep:
            blotted = re.sub(r"[0-9a-f]{64}", "DIGEST", line)
            kept.append(re.sub(r"::[0-9a-f-]{36}\]", "::UUID]", blotted))
    return kept


@pytest.fixture
def recorded_project(
    project: Callable[..., Project], clean: Callable[[str], None], base_image: str
) -> Project:
    clean("real-")
    made = project((RECORDED / "docker_program.py").read_text(), name="real")
    shutil.copytree(RECORDED / "ctx", made.directory / "ctx")
    made.run("stack", "init", "real")
    return made


def test_the_recorded_program(recorded_project: Project, daemon: docker.APIClient) -> None:
    project = recorded_project
    project.up()

    recorded = {
        entry["type"]: entry
        for entry in json.loads((RECORDED / "state.json").read_text())
        if entry["type"].startswith("docker:")
    }
    ours = {entry["type"]: entry for entry in project.resources().values()}
    assert ours.keys() == recorded.keys()
    found = [
        line
        for token, entry in recorded.items()
        for part in ("id", "inputs", "outputs")
        for line in differences(
            entry[part],
            ours[token][part],
            f"{token.rpartition(':')[2]}.{part}",
            DIFFERENT_IN_STATE,
        )
    ]
    assert found == []

    inspected = json.loads((RECORDED / "docker-inspect.json").read_text())[0]
    now = daemon.inspect_container("real-c")
    for container in (inspected, now):  # the daemon lists them in any order
        container["Mounts"].sort(key=lambda mount: mount["Destination"])
    assert list(differences(inspected, now, "", DIFFERENT_IN_DAEMON)) == []

    project.run("preview", "--expect-no-changes")
    project.refresh("--expect-no-changes")

    shown = docker_part(project.run("preview", "--diff", V2="1"))
    assert shown == docker_part((RECORDED / "diff-v2.txt").read_text())

    output = project.up(V2="1")
    assert re.search(r"~ 1 updated\s+\+-1 replaced", output)
    daemon.remove_image(ours["docker:index/image:Image"]["outputs"]["repoDigest"])
    project.run("preview", "--expect-no-changes", V2="1")

    daemon.update_container("real-c", mem_limit="300m", memswap_limit="300m")
    assert "~ 1 updated" in project.refresh(V2="1")
    assert "~ 1 to update" in project.run("preview", V2="1")
    daemon.remove_container("real-c", force=True)
    assert "- 1 deleted" in project.refresh(V2="1")
    assert "+ 1 created" in project.up(V2="1")

    project.destroy()
    assert daemon.containers(all=True, filters={"name": "^/real-"}) == []
    assert daemon.networks(names=["real-n"]) == []
    assert not daemon.volumes(filters={"name": "real-v"})["Volumes"]


IMPORT = """
import pulumi
import pulumi_docker as docker

docker.Network(
    "n",
    name="plugtest-n",
    labels=[docker.NetworkLabelArgs(label="a", value="b")],
    opts=pulumi.ResourceOptions(import_=pulumi.Config().require("id")),
)
"""


def test_import_by_id(
    project: Callable[..., Project], clean: Callable[[str], None], daemon: docker.APIClient
) -> None:
    clean("plugtest-")
    id = daemon.create_network("plugtest-n", labels={"a": "b"})["Id"]
    made = project(IMPORT)
    made.run("stack", "init", "import")
    made.run("config", "set", "id", id)
    assert "= 1 imported" in made.up()
    made.run("preview", "--expect-no-changes")
    made.destroy()
    assert daemon.networks(names=["plugtest-n"]) == []


SECRETS = """
import os

import pulumi
import pulumi_docker as docker

secret = pulumi.Config().require_secret("word")
docker.Container(
    "c",
    name="plugtest-c",
    image="base:latest",
    command=["sleep", "600"],
    envs=[pulumi.Output.concat("WORD=", secret)],
    wait=True,
    wait_timeout=int(os.environ.get("WAIT", "30")),
    healthcheck=docker.ContainerHealthcheckArgs(
        tests=["CMD", os.environ.get("CHECK", "true")], interval="1s"
    ),
    uploads=[docker.ContainerUploadArgs(file="/etc/word", content=secret)],
)
"""


def test_secrets_are_encrypted_in_the_state(
    project: Callable[..., Project], clean: Callable[[str], None], base_image: str
) -> None:
    clean("plugtest-")
    made = project(SECRETS)
    made.run("stack", "init", "secrets")
    made.run("config", "set", "--secret", "word", "correct-horse")
    # Once failed after its creation, which brings the state on another way.
    assert "not healthy after 1 s" in made.up(code=1, CHECK="false", WAIT="1")
    assert "correct-horse" not in made.run("stack", "export")
    made.up()
    assert "correct-horse" not in made.run("stack", "export")
    made.refresh("--expect-no-changes")
    assert "correct-horse" not in made.run("stack", "export")
    assert "correct-horse" not in made.run("preview", "--diff", "--expect-no-changes")
    assert "correct-horse" in made.run("stack", "export", "--show-secrets")
    made.destroy()
