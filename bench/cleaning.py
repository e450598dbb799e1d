"""Removes what the bench has made, at its end and after one that was killed.

Only what is named ``triptych-bench-…`` is touched, and the two stacks.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import docker
import libvirt
from docker.errors import DockerException

from probe.engine import Engine
from probe.errors import ProbeError

PREFIX: Final = "triptych-bench-"
STACKS: Final = ("bench-docker", "bench-vm", "bench-guest", "bench-kubernetes")
_POOLS: Final = Path("/var/lib/libvirt/triptych")
_CONSOLES: Final = Path("/var/log/libvirt/qemu")


def clean(engine: Engine, root: Path, *, uri: str = "qemu:///system") -> list[str]:
    """Remove stacks, containers, domains and files of the bench; return what was there."""
    found = [f"stack {name}" for name in STACKS if _remove_stack(engine, root, name)]
    found += _clean_docker()
    found += _clean_libvirt(uri)
    with suppress(OSError):
        for path in (*_POOLS.glob("bench-*"), *_CONSOLES.glob(f"{PREFIX}*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return found


def _remove_stack(engine: Engine, root: Path, name: str) -> bool:
    try:
        engine.resources(name)
    except ProbeError:
        # No such stack; of one that was killed while it was made, a file may be left.
        (root / f"Pulumi.{name}.yaml").unlink(missing_ok=True)
        return False
    with suppress(ProbeError):
        engine.destroy(name)
    engine.remove(name)
    return True


def _clean_docker() -> list[str]:
    found: list[str] = []
    try:
        client = docker.from_env()
    except DockerException:
        return found  # no daemon, nothing of ours in it
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            if str(container.name).startswith(PREFIX):
                container.remove(force=True, v=True)
                found.append(f"container {container.name}")
        for network in client.networks.list():
            if str(network.name).startswith(PREFIX):
                network.remove()
                found.append(f"network {network.name}")
        for volume in client.volumes.list():
            if str(volume.name).startswith(PREFIX):
                volume.remove(force=True)
                found.append(f"volume {volume.name}")
    except DockerException as error:
        raise ProbeError(f"not all of the bench's containers could be removed: {error}") from None
    finally:
        client.close()
    return found


def _clean_libvirt(uri: str) -> list[str]:
    found: list[str] = []
    try:
        connection: Any = libvirt.open(uri)
    except libvirt.libvirtError:
        return found
    try:
        for kind, objects in (
            ("domain", connection.listAllDomains()),
            ("network", connection.listAllNetworks()),
            ("pool", connection.listAllStoragePools()),
        ):
            for item in objects:
                if not item.name().startswith(PREFIX):
                    continue
                found.append(f"{kind} {item.name()}")
                if kind == "pool" and item.isActive():
                    for volume in item.listAllVolumes():
                        volume.delete()
                # Transient ones are gone once they are destroyed.
                persistent = item.isPersistent()
                if item.isActive():
                    item.destroy()
                if persistent:
                    item.undefine()
    except libvirt.libvirtError as error:
        raise ProbeError(f"not all of the bench's machines could be removed: {error}") from None
    finally:
        connection.close()
    return found
