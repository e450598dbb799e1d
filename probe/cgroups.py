"""Control group figures of a set of processes, for cgroup v1 and v2 alike.

Page cache that the kernel would give back at once (``inactive_file``) is returned apart from the
rest: it is charged to whoever touched a file first and says little about what a model needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from probe.processes import PROC

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """What control groups are charged with; ``used_bytes`` includes ``reclaimable_bytes``."""

    used_bytes: int = 0
    reclaimable_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Usage(MemoryUsage):
    """One group's memory, and the CPU seconds it has had since it was made."""

    cpu_s: float = 0.0


class NotAlone(Exception):
    """The control group holds processes of others too, so its figure cannot be put down to one."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a process sits: a folder per controller (v1), or one for all (v2)."""

    version: int
    memory: Path
    cpu: Path


def version(root: Path = CGROUP) -> int:
    """Return 2 on a unified hierarchy, 1 otherwise (also with an empty cgroup2 beside v1)."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def membership(pid: int, proc: Path = PROC, root: Path = CGROUP) -> Membership:
    """Return the control group folders of a process; raise FileNotFoundError when it has gone."""
    paths: dict[str, str] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    if version(root) == 2:
        folder = root / paths.get("", "")
        return Membership(2, folder, folder)
    cpu = "cpuacct" if (root / "cpuacct").is_dir() else "cpu,cpuacct"
    return Membership(1, root / "memory" / paths["memory"], root / cpu / paths["cpuacct"])


def above(where: Membership, mark: str) -> Membership:
    """Return the topmost group above this one whose name carries ``mark``; else this one."""

    def of(folder: Path) -> Path:
        marked = [p for p in (folder, *folder.parents) if mark in p.name]
        return marked[-1] if marked else folder

    return Membership(where.version, of(where.memory), of(where.cpu))


def members(folder: Path) -> set[int]:
    """Return the processes in a control group and in the groups below it."""
    found: set[int] = set()
    try:
        for name in [folder / "cgroup.procs", *folder.rglob("cgroup.procs")]:
            found.update(int(line) for line in name.read_text().split())
    except FileNotFoundError:
        pass  # the group went while it was walked
    return found


def memory(
    pids: Iterable[int],
    *,
    marks: Iterable[str] = (),
    proc: Path = PROC,
    root: Path = CGROUP,
) -> MemoryUsage:
    """Return the memory of these processes' control groups; each group counts once.

    ``marks`` are names that only the model's own groups have in their path (container ids, the
    domain's name): a health check that began a moment ago is no stranger there. Raises NotAlone
    when any other group holds a process that is not among ``pids``.
    """
    wanted = set(pids)
    folders = {where.memory for where in _places(wanted, proc, root)}
    _demand_alone(folders, wanted, marks)
    figures = [_memory_of(folder, version(root)) for folder in folders]
    return MemoryUsage(sum(f[0] for f in figures), sum(f[1] for f in figures))


def cpu_seconds(
    pids: Iterable[int],
    *,
    marks: Iterable[str] = (),
    proc: Path = PROC,
    root: Path = CGROUP,
) -> float:
    """Return the CPU seconds of these processes' control groups, as ``memory`` does its bytes.

    On cgroup v1 each controller has groups of its own, and one may be shared where the other is
    not: without systemd libvirt leaves its machines' CPU in the root group.
    """
    wanted = set(pids)
    folders = {where.cpu for where in _places(wanted, proc, root)}
    _demand_alone(folders, wanted, marks)
    return sum(_cpu_of(folder, version(root)) for folder in folders)


def usage(pid: int, proc: Path = PROC, root: Path = CGROUP) -> Usage:
    """Return the figures of the group that a process sits in; raise OSError or KeyError if none."""
    return usage_of(membership(pid, proc, root))


def usage_of(where: Membership) -> Usage:
    """Return the figures of a group, with all that is below it; raise OSError or KeyError if none.

    On cgroup v2, and on v1 with ``use_hierarchy`` (which every container runtime sets), a group's
    figures include those below it.
    """
    if not where.memory.is_dir():
        raise FileNotFoundError(f"{where.memory} is not there")
    used, reclaimable = _memory_of(where.memory, where.version)
    return Usage(used, reclaimable, _cpu_of(where.cpu, where.version))


def _places(wanted: set[int], proc: Path, root: Path) -> list[Membership]:
    found = []
    for pid in wanted:
        try:
            found.append(membership(pid, proc, root))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has gone
    return found


def _demand_alone(folders: set[Path], wanted: set[int], marks: Iterable[str]) -> None:
    own = tuple(marks)
    for folder in folders:
        if not any(m in folder.as_posix() for m in own) and members(folder) - wanted:
            raise NotAlone(f"control group {folder} holds other processes too")


def _memory_of(folder: Path, kind: int) -> tuple[int, int]:
    name, inactive = (
        ("memory.current", "inactive_file")
        if kind == 2
        else ("memory.usage_in_bytes", "total_inactive_file")
    )
    try:
        used = int((folder / name).read_text())
    except FileNotFoundError:
        return 0, 0
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return used, int(stat.get(inactive, 0))


def _cpu_of(folder: Path, kind: int) -> float:
    try:
        if kind == 2:
            stat = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
            return int(stat["usage_usec"]) / 1e6
        return int((folder / "cpuacct.usage").read_text()) / 1e9
    except FileNotFoundError:
        return 0.0
