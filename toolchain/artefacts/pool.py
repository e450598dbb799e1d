"""The libvirt pool that keeps golden disks between deployments, as dockerd keeps images."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain.host import become_root, capture
from toolchain.steps import StepContext

POOL = "triptych-cache"
DIRECTORY = Path("/var/lib/libvirt/triptych/cache")
_URI = ("--connect", "qemu:///system")
_OURS = re.compile(r"^(guest|vmlinuz|initrd)-([a-z]+-)?[0-9a-f]{12}(\.qcow2)?$")


def _virsh(*words: str) -> str:
    return capture("virsh", *_URI, *words, timeout_s=60)


def _volumes(pool: str) -> list[str]:
    """Return the names of a pool's volumes; none if it is not running."""
    return [line.split()[0] for line in _virsh("vol-list", pool).splitlines()[2:] if line.split()]


def has_volumes(names: list[str]) -> bool:
    """Tell whether the pool is running and has all these volumes."""
    return set(names) <= set(_volumes(POOL))


async def keep(context: StepContext, files: dict[str, Path], current: set[str]) -> None:
    """Put files into the pool under the given volume names.

    Volumes of other names than `current` that no disk is on are older ones, and dropped.
    """
    as_root = await context.thread(become_root)
    if POOL not in (await context.thread(_virsh, "pool-list", "--all", "--name")).split():
        await context.run(
            *("virsh", *_URI, "pool-define-as", POOL, "dir", "--target", str(DIRECTORY))
        )
        await context.run("virsh", *_URI, "pool-build", POOL)
    if POOL not in (await context.thread(_virsh, "pool-list", "--name")).split():
        await context.run(*as_root, "mkdir", "-p", DIRECTORY)
        await context.run("virsh", *_URI, "pool-start", POOL)
    for name, source in files.items():
        # Whole or not at all: qemu never sees a disk that is still being written.
        part = DIRECTORY / f".{name}.part"
        await context.run(
            *as_root, "install", "-m", "0644", "-o", "root", "-g", "root", source, part
        )
        await context.run(*as_root, "mv", part, DIRECTORY / name)
    await context.run("virsh", *_URI, "pool-refresh", POOL)
    for name in await context.thread(unused, current):
        await context.run("virsh", *_URI, "vol-delete", "--pool", POOL, name, check=False)


def unused(keep_names: set[str]) -> list[str]:
    """Return volumes of older builds that no volume or domain of ours stands on."""
    old = [name for name in _volumes(POOL) if _OURS.match(name) and name not in keep_names]
    if not old:
        return []
    uses = []
    for pool in _virsh("pool-list", "--name").split():
        if pool.startswith("triptych-") and pool != POOL:
            uses += [_virsh("vol-dumpxml", "--pool", pool, name) for name in _volumes(pool)]
    for domain in _virsh("list", "--all", "--name").split():
        if domain.startswith("triptych-"):
            uses.append(_virsh("dumpxml", domain))
    text = "\n".join(uses)
    return [name for name in old if f"/{name}<" not in text and f"/{name}'" not in text]
