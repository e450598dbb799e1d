"""Removing what carries our mark, and nothing else.

In docker that is the label `triptych.stack` and the image names `triptych/…` (also under the local
registry's address); in libvirt, which has names only, the prefix `triptych-`. Nodes of kind's carry
kind's label with their cluster's name, and that begins with the prefix; so does the name of a
cluster's network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolchain.daemons import (
    REGISTRY,
    REGISTRY_ADDRESS,
    ask_docker,
    ask_libvirt,
    docker_socket,
    stop,
)
from toolchain.errors import ToolchainError
from toolchain.host import become_root, capture, find
from toolchain.paths import Paths

LABEL = "triptych.stack"
KIND_LABEL = "io.x-k8s.kind.cluster"
PREFIX = "triptych-"
IMAGE_PREFIXES = ("triptych/", f"{REGISTRY_ADDRESS}/triptych/")
LIBVIRT_URI = "qemu:///system"
VM_ROOT = Path("/var/lib/libvirt/triptych")
CONSOLE_LOGS = Path("/var/log/libvirt/qemu")


@dataclass(frozen=True)
class Removed:
    """One removed thing: its kind and name."""

    kind: str
    name: str


def our_names(names: Iterable[str]) -> list[str]:
    """Return the names of libvirt objects that are ours."""
    return sorted(name for name in names if name.startswith(PREFIX))


def our_images(lines: Iterable[str]) -> list[str]:
    """Return the image references that are ours, from lines of `REPOSITORY:TAG`."""
    return sorted(
        {line for line in lines if line.startswith(IMAGE_PREFIXES) and not line.endswith(":<none>")}
    )


def _command(*argv: str) -> bool:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def clean_docker() -> list[Removed]:
    """Remove our containers, networks, volumes and images."""
    place = docker_socket()
    if not find("docker") or (place is not None and ask_docker(place) != "answers"):
        return []
    removed, clusters = _clean_nodes()
    mark = ("--filter", f"label={LABEL}")
    for kind, listing, removal in (
        ("container", ("ps", "--all", "--quiet", *mark), ("rm", "--force", "--volumes")),
        ("network", ("network", "ls", "--quiet", *mark), ("network", "rm")),
        ("volume", ("volume", "ls", "--quiet", *mark), ("volume", "rm")),
    ):
        for item in capture("docker", *listing).split():
            if _command("docker", *removal, item):
                removed.append(Removed(kind, item))
    for name in clusters:
        # It has the cluster's name, and no label where kind made it.
        if _command("docker", "network", "rm", name):
            removed.append(Removed("network", name))
    names = capture("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
    for reference in our_images(names.splitlines()):
        if _command("docker", "rmi", reference):
            removed.append(Removed("image", reference))
    return removed


def _clean_nodes() -> tuple[list[Removed], list[str]]:
    """Remove the nodes of our kind clusters with their volumes; return the clusters' names too."""
    removed = []
    form = f'{{{{.ID}}}} {{{{.Label "{KIND_LABEL}"}}}}'
    listed = capture("docker", "ps", "--all", "--filter", f"label={KIND_LABEL}", "--format", form)
    nodes = dict(line.split(maxsplit=1) for line in listed.splitlines() if " " in line)
    ours = {item: name for item, name in nodes.items() if name.startswith(PREFIX)}
    for item, name in ours.items():
        if _command("docker", "rm", "--force", "--volumes", item):
            removed.append(Removed("kind cluster", name))
    return removed, sorted(set(ours.values()))


def _virsh(*argv: str) -> str:
    return capture("virsh", "--connect", LIBVIRT_URI, *argv, timeout_s=60)


def _virsh_does(*argv: str) -> bool:
    return _command("virsh", "--connect", LIBVIRT_URI, *argv)


def clean_libvirt() -> list[Removed]:
    """Remove our domains, networks and pools with their volumes."""
    if not find("virsh") or ask_libvirt() != "answers":
        return []
    removed = []
    for name in our_names(_virsh("list", "--all", "--name").split()):
        # A transient domain is gone once it is destroyed, and a stopped one only needs the other.
        ended = _virsh_does("destroy", name)
        flags = ("--managed-save", "--nvram", "--snapshots-metadata")
        if _virsh_does("undefine", name, *flags) or ended:
            removed.append(Removed("domain", name))
    for name in our_names(_virsh("net-list", "--all", "--name").split()):
        ended = _virsh_does("net-destroy", name)
        if _virsh_does("net-undefine", name) or ended:
            removed.append(Removed("libvirt network", name))
    for name in our_names(_virsh("pool-list", "--all", "--name").split()):
        _virsh_does("pool-start", name)
        for volume in _volumes(_virsh("vol-list", "--pool", name)):
            if _virsh_does("vol-delete", "--pool", name, volume):
                removed.append(Removed("volume", f"{name}/{volume}"))
        _virsh_does("pool-destroy", name)
        _virsh_does("pool-delete", name)  # Its directory, where that is empty now.
        if _virsh_does("pool-undefine", name):
            removed.append(Removed("pool", name))
    return removed


def _volumes(table: str) -> list[str]:
    """Return the names in `virsh vol-list`'s table (two head lines; the path is last)."""
    return [line.split()[0] for line in table.splitlines()[2:] if line.split()]


def clean_files(paths: Paths) -> list[Removed]:
    """Remove the VMs' directories and console logs, and the clone's `.triptych`."""
    logs = CONSOLE_LOGS.glob(f"{PREFIX}*") if CONSOLE_LOGS.is_dir() else ()
    removed = []
    for place in [VM_ROOT, *_readable(logs), paths.state]:
        if not place.exists():
            continue
        try:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
        except PermissionError:
            subprocess.run([*become_root(), "rm", "-rf", "--", str(place)], check=False)
        removed.append(Removed("file" if place.suffix else "directory", str(place)))
    return removed


def _readable(paths: Iterable[Path]) -> list[Path]:
    try:
        return sorted(paths)
    except PermissionError:
        return []


def clean(paths: Paths) -> list[Removed]:
    """Remove everything of ours but the per-user cache."""
    return [*clean_docker(), *clean_libvirt(), *clean_files(paths)]


def mounts_below(directory: Path, mounts: str) -> list[str]:
    """Return the mount points below a directory, from /proc/self/mounts, the innermost first."""
    points = (line.split()[1] for line in mounts.splitlines() if len(line.split()) > 1)
    # The kernel writes a space as \\040, and so on.
    plain = (re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), p) for p in points)
    return sorted((p for p in plain if Path(p).is_relative_to(directory)), reverse=True)


def _clean_buildah(paths: Paths) -> None:
    """Remove buildah's storage, which root owns, with what killed builds left mounted in it."""
    if not paths.buildah.exists():
        return
    root = become_root()
    for point in mounts_below(paths.buildah, Path("/proc/self/mounts").read_text()):
        _command(*root, "umount", "--lazy", point)
    if not _command(*root, "rm", "-rf", "--one-file-system", "--", str(paths.buildah)):
        raise ToolchainError(f"{paths.buildah} can't be removed", "end what builds there")


def clean_cache(paths: Paths) -> list[Removed]:
    """Remove the per-user cache; our registry, whose storage is in it, is stopped first."""
    if not paths.cache.exists():
        return []
    marker = {"tools", "artefacts", "buildah", "registry", "logs", "downloads", "probe-guest"}
    if not {entry.name for entry in paths.cache.iterdir()} & marker:
        raise ToolchainError(f"{paths.cache} does not look like our cache, nothing removed")
    stop(paths, (REGISTRY,))
    _clean_buildah(paths)
    shutil.rmtree(paths.cache)
    return [Removed("directory", str(paths.cache))]
