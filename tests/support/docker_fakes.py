"""A Docker daemon with some containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from stacks import docker_host

OURS = {"triptych.stack": "unit"}


def container(
    name: str, labels: Mapping[str, str] | None = None, ports: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return a container as a daemon lists it."""
    return {"Id": f"id-{name}", "Names": [f"/{name}"], "Labels": labels or {}, "Ports": list(ports)}


def published(port: int, ip: str = "127.0.0.1") -> dict[str, Any]:
    """Return the gateway's port as published on the host."""
    return {"IP": ip, "PublicPort": port, "PrivatePort": 8443, "Type": "tcp"}


class FakeDocker(docker_host.DockerHost):
    """A daemon with some containers; what is removed is recorded."""

    def __init__(
        self, *containers: Mapping[str, Any], root: str = "/", images: Sequence[str] = ()
    ) -> None:
        super().__init__(None)
        self.removed: list[str] = []
        self._root = root
        self._containers = containers
        api = SimpleNamespace(
            containers=lambda **_: list(containers),
            images=lambda: [{"RepoTags": list(images)}],
        )
        self._fake = SimpleNamespace(api=api, info=lambda: {"DockerRootDir": root})

    def client(self) -> Any:
        return self._fake
