"""The Docker daemon as this program itself sees it: preflight checks, and what killed runs left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.docker.platform import STACK_LABEL
from stacks import hosts
from stacks.artefacts import Image
from stacks.hosts import PreflightError

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_S: Final = 10
#: What the running shop itself needs besides the images: the database, logs.
_DATA_BYTES: Final = 512 * 1024 * 1024


class DockerHost:
    """A connection to the daemon that the stack goes to, made at the first need."""

    def __init__(self, host: str | None) -> None:
        self._host = host
        self._connected: DockerClient | None = None

    @property
    def address(self) -> str:
        """Return the daemon's address as Docker's own tools would take it."""
        return self._host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    @property
    def is_local(self) -> bool:
        """Return whether the daemon's ports and disks are this host's."""
        return self.address.startswith("unix://")

    def client(self) -> DockerClient:
        """Return the connection.

        Raises:
            PreflightError: if the daemon does not answer or refuses this user.
        """
        if self._connected is None:
            import docker
            from docker.errors import DockerException

            environment = {**os.environ, "DOCKER_HOST": self.address}
            try:
                client = docker.from_env(
                    environment=environment, timeout=_TIMEOUT_S, version="auto"
                )
                client.ping()
            except DockerException as error:
                raise PreflightError(self._refusal(error)) from None
            except Exception as error:  # whatever the transport (SSH, TLS) raises
                raise PreflightError(self._refusal(error)) from None
            self._connected = client
        return self._connected

    def _refusal(self, error: Exception) -> str:
        text = hosts.one_line(error)
        if "Permission denied" in text or isinstance(error.__cause__, PermissionError):
            return (
                f"no permission to use the Docker daemon at {self.address}:"
                " join the group docker (and log in again) or run as root"
            )
        if "No such file" in text or "Connection refused" in text or "FileNotFound" in text:
            return (
                f"no Docker daemon answers at {self.address}: start it, or set"
                " triptych:docker_host (`make doctor` shows what this machine has)"
            )
        return f"the Docker daemon at {self.address} can't be used: {text}"


def check(
    host: DockerHost,
    *,
    stack: str,
    containers: tuple[str, ...],
    gateway: str,
    address: str,
    port: int,
    images: Mapping[str, Image],
) -> None:
    """Look whether the stack can be had on this daemon; ``gateway`` may have the port.

    Raises:
        PreflightError: if the daemon can't be used, a name or the port is taken by something that
            is not ours, or the disk is too small.
    """
    client = host.client()
    present = present_containers(host)
    check_names(present, stack, containers)
    own = is_ours(present.get(gateway, {}).get("Labels"), stack)
    check_port(host, present, address, port, gateway if own else None)
    if host.is_local:
        _check_space(client, images)


def present_containers(host: DockerHost) -> dict[str, Mapping[str, Any]]:
    """Return the daemon's containers by their names, those that do not run too."""
    return {_name(c): c for c in host.client().api.containers(all=True)}


def check_names(
    present: Mapping[str, Mapping[str, Any]], stack: str, containers: Iterable[str]
) -> None:
    """Look whether the names of containers are free or our own's.

    Raises:
        PreflightError: if one is somebody else's.
    """
    for name in containers:
        found = present.get(name)
        if found is not None and not is_ours(found.get("Labels"), stack):
            raise PreflightError(
                f'a container "{name}" is there already and does not belong to this stack:'
                " remove or rename it, or use another stack name"
            )


def check_port(
    host: DockerHost,
    present: Mapping[str, Mapping[str, Any]],
    address: str,
    port: int,
    own: str | None,
) -> None:
    """Look whether the gateway's port can be had; the container ``own`` may have it already.

    Raises:
        PreflightError: if somebody else has it.
    """
    for name, container in present.items():
        published = any(
            entry.get("PublicPort") == port
            and entry.get("Type") == "tcp"
            and (
                entry.get("IP", "0.0.0.0") == address
                or "0.0.0.0" in (entry.get("IP", "0.0.0.0"), address)
            )
            for entry in container.get("Ports") or ()
        )
        if published:
            if name == own:
                return
            raise PreflightError(
                f"triptych:gateway_port: port {port} on {address} is taken by the container"
                f' "{name}": stop it or set another port'
            )
    if host.is_local and not hosts.port_is_free(address, port):
        raise PreflightError(
            f"triptych:gateway_port: port {port} on {address} is taken by another program:"
            " stop it or set another port"
        )


def _check_space(client: DockerClient, images: Mapping[str, Image]) -> None:
    present = {tag for image in client.api.images() for tag in image.get("RepoTags") or ()}
    missing = sum(i.unpacked_bytes for i in images.values() if i.ref not in present)
    root = client.info().get("DockerRootDir")
    if root:
        hosts.require_space(Path(root), missing + _DATA_BYTES, "the docker stack")


def _name(container: Mapping[str, Any]) -> str:
    names: list[str] = container.get("Names") or [""]
    # Links give a container further names, with more slashes.
    return next((n[1:] for n in names if n.count("/") == 1), "")


def is_ours(labels: Mapping[str, str] | None, stack: str) -> bool:
    """Return whether these are the labels of something that the stack has made."""
    return (labels or {}).get(STACK_LABEL) == stack


def clear_leftovers(host: DockerHost, stack: str, names: str = "") -> None:
    """Have what a killed `up` left in the daemon removed before its name is used again.

    Just before it creates a container or a network, the engine asks: so its state has none of that
    name. If the daemon does have one with this stack's label, an earlier engine died between the
    daemon's answer and writing its state. Volumes need no such care: making one that is there
    already gives that one, and they come after the credentials that their content goes with.
    """

    def container(args: pulumi.ResourceHookArgs) -> None:
        from docker.errors import NotFound

        name = str((args.new_inputs or {}).get("name", ""))
        try:
            found = host.client().api.inspect_container(name)
        except NotFound:
            return
        if not is_ours(found["Config"].get("Labels"), stack):
            raise PreflightError(f'a container "{name}" that is not of this stack is in the way')
        pulumi.log.warn(f"removing the container {name}, left by a run that was killed")
        host.client().api.remove_container(found["Id"], force=True)

    def network(args: pulumi.ResourceHookArgs) -> None:
        name = str((args.new_inputs or {}).get("name", ""))
        for found in host.client().api.networks(names=[name]):
            if found["Name"] != name or not is_ours(found.get("Labels"), stack):
                continue
            pulumi.log.warn(f"removing the network {name}, left by a run that was killed")
            details = host.client().api.inspect_network(found["Id"])
            for attached in details.get("Containers") or ():
                host.client().api.disconnect_container_from_network(
                    attached, found["Id"], force=True
                )
            host.client().api.remove_network(found["Id"])

    hosts.before_create(
        {
            "docker:index/container:Container": container,
            "docker:index/network:Network": network,
        },
        names,
    )
