"""A kind cluster as one Pulumi resource, run by Pulumi's bundled Python provider.

Created as a whole or not at all: what fails or is interrupted is deleted again. The user's own
kubeconfig is left alone; the cluster's lies in a file of its own.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import dynamic

from components.kubernetes import tools

#: With it kind takes a network that is there instead of the one that all its clusters share.
_NETWORK_VARIABLE: Final = "KIND_EXPERIMENTAL_DOCKER_NETWORK"
_CREATE_S: Final = 600.0
_API_S: Final = 120.0
#: Whatever makes it another cluster.
_INPUTS: Final = ("name", "config", "image", "network", "docker_host")

#: The type under which the engine knows it.
TYPE: Final = "pulumi-python:dynamic/kubernetes:Cluster"


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Arguments of ``Cluster``: ``config`` is kind's, ``network`` a Docker network that exists."""

    name: str
    config: str
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    docker_host: str | None


def nodes(name: str, docker_host: str | None = None) -> dict[str, bool]:
    """Return the containers of a kind cluster, each with whether it runs."""
    listed = tools.run(
        "docker",
        "ps",
        "--all",
        "--filter",
        f"label=io.x-k8s.kind.cluster={name}",
        "--format",
        "{{.Names}}\t{{.State}}",
        env=_environment(docker_host),
    )
    pairs = (line.split("\t") for line in listed.splitlines())
    return {node: state == "running" for node, state in pairs}


def delete(name: str, docker_host: str | None = None) -> None:
    """Delete a kind cluster and its kubeconfig file; nothing happens where there is none."""
    file = tools.kubeconfig_file(name)
    tools.run(
        "kind",
        "delete",
        "cluster",
        "--name",
        name,
        "--kubeconfig",
        str(file),
        env=_environment(docker_host),
        timeout_s=120,
    )
    file.unlink(missing_ok=True)


def _environment(docker_host: str | None, network: str | None = None) -> dict[str, str]:
    environment = {}
    if docker_host:
        environment["DOCKER_HOST"] = docker_host
    if network:
        environment[_NETWORK_VARIABLE] = network
    return environment


def _write_kubeconfig(name: str, content: str) -> None:
    file = tools.kubeconfig_file(name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:  # noqa: PTH123
        stream.write(content)


def _kubeconfig(name: str, docker_host: str | None) -> str:
    """Return the cluster's kubeconfig, written to its file if it is not there."""
    file = tools.kubeconfig_file(name)
    content = tools.run("kind", "get", "kubeconfig", "--name", name, env=_environment(docker_host))
    if not file.exists() or file.read_text(encoding="utf-8") != content:
        _write_kubeconfig(name, content)
    return content


def _wait_for_api(name: str) -> None:
    """Wait until the API server says that it is ready.

    Raises:
        ToolError: with its last answer, if it does not.
    """
    deadline_s = time.monotonic() + _API_S
    option = f"--kubeconfig={tools.kubeconfig_file(name)}"
    while True:
        try:
            tools.run("kubectl", "get", "--raw", "/readyz", "--request-timeout=5s", option)
            return
        except tools.ToolError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)


class _Provider(dynamic.ResourceProvider):
    """kind, as a provider."""

    # The kubeconfig is secret; the provider's own serialized form is code.
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Create the cluster, or leave nothing."""
        import secrets

        name, docker_host = props["name"], props.get("docker_host")
        file = tools.kubeconfig_file(name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            tools.run(
                "kind",
                "create",
                "cluster",
                "--name",
                name,
                "--image",
                props["image"],
                "--config",
                "-",
                "--kubeconfig",
                str(file),
                env=_environment(docker_host, props["network"]),
                stdin=props["config"],
                timeout_s=_CREATE_S,
            )
            kubeconfig = _kubeconfig(name, docker_host)
        except BaseException:
            delete(name, docker_host)
            raise
        outs = {key: props.get(key) for key in _INPUTS}
        # Not the name alone: another cluster under the same name has none of the objects.
        identity = f"{name}-{secrets.token_hex(4)}"
        return dynamic.CreateResult(
            id_=identity, outs={**outs, "kubeconfig": kubeconfig, "running": True}
        )

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Look whether it is there; a cluster without nodes is gone."""
        name, docker_host = props["name"], props.get("docker_host")
        found = nodes(name, docker_host)
        if not found:
            tools.kubeconfig_file(name).unlink(missing_ok=True)
            return dynamic.ReadResult("", {})
        outs = {**props, "running": all(found.values())}
        if outs["running"]:
            found_now = _kubeconfig(name, docker_host)
            if not str(props.get("kubeconfig", "")).startswith(found_now):
                outs["kubeconfig"] = found_now
        return dynamic.ReadResult(id_, outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Replace it when any of its inputs has changed; start it when it stands still."""
        changed = [key for key in _INPUTS if olds.get(key) != news.get(key)]
        return dynamic.DiffResult(
            changes=bool(changed) or not olds.get("running", True),
            replaces=changed,
            delete_before_replace=True,
        )

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Start its nodes, the one thing that can be done about a cluster that exists."""
        import secrets

        name, docker_host = news["name"], news.get("docker_host")
        stopped = [node for node, running in nodes(name, docker_host).items() if not running]
        if stopped:
            tools.run("docker", "start", *stopped, env=_environment(docker_host))
        outs = {key: news.get(key) for key in _INPUTS}
        kubeconfig = _kubeconfig(name, docker_host)
        _wait_for_api(name)
        # Another text, so that the provider asks again: it has found the cluster unreachable.
        kubeconfig += f"# started again: {secrets.token_hex(4)}\n"
        return dynamic.UpdateResult(outs={**outs, "kubeconfig": kubeconfig, "running": True})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete it."""
        delete(props["name"], props.get("docker_host"))


class Cluster(dynamic.Resource, module="kubernetes", name="Cluster"):
    """A kind cluster.

    Outputs: ``kubeconfig`` (secret); ``running``, whether its nodes run.
    """

    kubeconfig: pulumi.Output[str]
    running: pulumi.Output[bool]

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(
            additional_secret_outputs=["kubeconfig"],
            # The name is fixed.
            delete_before_replace=True,
        )
        super().__init__(
            _Provider(),
            name,
            {
                "name": args.name,
                "config": args.config,
                "image": args.image,
                "network": args.network,
                "docker_host": args.docker_host,
                "kubeconfig": None,
                "running": None,
            },
            pulumi.ResourceOptions.merge(secret, opts),
        )
