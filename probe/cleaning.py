"""Removes what a killed comparison left behind: stacks, and what carries our stack's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import libvirt
from docker.errors import DockerException

from probe import project, store
from probe.engine import PREFIX, Engine
from probe.errors import ProbeError
from probe.models.base import is_ours

LABEL = "triptych.stack"
_STACK = re.compile(rf"^{PREFIX}(?P<run>.+)-(?P<model>[a-z]+)$")


def remove_leftovers(prefix: str, config: Mapping[str, str]) -> list[str]:
    """Remove every container, network, volume, kubeconfig, domain and pool of this prefix.

    Return their names. Only names with our own ``cmp-`` prefix are ever touched.
    """
    if not prefix.startswith(f"triptych-{PREFIX}"):
        raise ValueError(f"{prefix} is not a comparison's")
    return [
        *_from_docker(lambda name: is_ours(name, prefix), config.get("docker_host")),
        *_kubeconfigs(lambda name: is_ours(name, prefix)),
        *_from_libvirt(lambda name: is_ours(name, prefix), config.get("libvirt_uri")),
    ]


def clean_up_after_killed_runs(
    engine: Engine,
    results: Path,
    config: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Destroy the stacks of runs that nobody works on any more, then what is left of them."""

    def dead(stack: str) -> bool:
        match = _STACK.match(stack)
        return match is not None and not store.is_claimed(results / match["run"])

    for name in engine.names():
        if not dead(name):
            continue
        say(f"cleaning up after a run that was cut short: {name}")
        with suppress(ProbeError):
            engine.destroy(name)
        engine.remove(name)

    def orphan(name: str) -> bool:
        # A physical name is triptych-<stack>-<rest>; the run's name ends where the model's begins.
        match = re.match(rf"^triptych-({PREFIX}.+?-(?:docker|vm|kubernetes|swarm))(?:-|$)", name)
        return match is not None and dead(match[1])

    left = [
        *_from_docker(orphan, config.get("docker_host")),
        *_kubeconfigs(orphan),
        *_from_libvirt(orphan, config.get("libvirt_uri")),
    ]
    if left:
        say(f"removed leftovers: {', '.join(left)}")


def _from_docker(ours: Callable[[str], bool], docker_host: str | None) -> list[str]:
    found: list[str] = []
    try:
        client = docker.DockerClient(base_url=docker_host) if docker_host else docker.from_env()
    except DockerException:
        return found  # no daemon, nothing of ours in it
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            if ours(str(container.name)):
                container.remove(force=True, v=True)
                found.append(f"container {container.name}")
        for network in client.networks.list():
            if ours(str(network.name)):
                network.remove()
                found.append(f"network {network.name}")
        for volume in client.volumes.list():
            if ours(str(volume.name)):
                volume.remove(force=True)
                found.append(f"volume {volume.name}")
    except DockerException as error:
        found.append(f"something in Docker ({error})")
    finally:
        client.close()
    return found


def _kubeconfigs(ours: Callable[[str], bool]) -> list[str]:
    found = []
    for file in project.KUBECONFIGS.glob("*"):
        if ours(file.name):
            file.unlink(missing_ok=True)
            found.append(f"kubeconfig {file.name}")
    return found


def _from_libvirt(ours: Callable[[str], bool], uri: str | None) -> list[str]:
    found: list[str] = []
    try:
        connection: Any = libvirt.open(uri or "qemu:///system")
    except libvirt.libvirtError:
        return found
    try:
        for domain in connection.listAllDomains():
            if ours(domain.name()):
                if domain.isActive():
                    domain.destroy()
                domain.undefine()
                found.append(f"domain {domain.name()}")
        for network in connection.listAllNetworks():
            if ours(network.name()):
                if network.isActive():
                    network.destroy()
                network.undefine()
                found.append(f"network {network.name()}")
        for pool in connection.listAllStoragePools():
            if ours(pool.name()):
                if not pool.isActive():
                    with suppress(libvirt.libvirtError):
                        pool.create()
                if pool.isActive():
                    for volume in pool.listAllVolumes():
                        volume.delete()
                    pool.destroy()
                with suppress(libvirt.libvirtError):
                    pool.delete()
                pool.undefine()
                found.append(f"pool {pool.name()}")
    except libvirt.libvirtError as error:
        found.append(f"something in libvirt ({error})")
    finally:
        connection.close()
    return found
