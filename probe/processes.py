"""Reading ``/proc``: proportional memory, CPU time and process trees.

``root`` is injected so that tests can hand in a made-up ``/proc``. A process may vanish between two
reads; that is ordinary and its figures then count as nothing, never as an error.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ProbeError

PROC = Path("/proc")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a set of processes, in bytes; ``pss`` shares out pages that several have mapped."""

    pss_bytes: int = 0
    pss_anon_bytes: int = 0
    pss_file_bytes: int = 0
    rss_bytes: int = 0
    swap_pss_bytes: int = 0

    def __add__(self, other: Memory) -> Memory:
        """Return the sum, field by field."""
        return Memory(
            self.pss_bytes + other.pss_bytes,
            self.pss_anon_bytes + other.pss_anon_bytes,
            self.pss_file_bytes + other.pss_file_bytes,
            self.rss_bytes + other.rss_bytes,
            self.swap_pss_bytes + other.swap_pss_bytes,
        )


def memory_of(pid: int, root: Path = PROC) -> Memory:
    """Return the memory of one process from ``smaps_rollup``; zero when it has gone.

    Raises PermissionError when the process is another user's: a silent zero would be wrong.
    """
    try:
        text = (root / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return Memory()
    found: dict[str, int] = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        parts = rest.split()
        if len(parts) == 2 and parts[1] == "kB":
            found[name] = int(parts[0]) * _KIB
    return Memory(
        pss_bytes=found.get("Pss", 0),
        pss_anon_bytes=found.get("Pss_Anon", 0),
        pss_file_bytes=found.get("Pss_File", 0) + found.get("Pss_Shmem", 0),
        rss_bytes=found.get("Rss", 0),
        swap_pss_bytes=found.get("SwapPss", 0),
    )


def memory_of_all(pids: Iterable[int], root: Path = PROC) -> Memory:
    """Return the memory of all these processes together; each process counts once."""
    total = Memory()
    for pid in set(pids):
        total += memory_of(pid, root)
    return total


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of ``/proc/<pid>/stat`` that the probe uses."""

    pid: int
    name: str
    parent: int
    cpu_s: float
    cpu_with_children_s: float


def stat_of(pid: int, root: Path = PROC) -> Stat | None:
    """Return the stat record of a process, None when it has gone."""
    try:
        text = (root / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    ticks = os.sysconf("SC_CLK_TCK")
    user, system, waited_user, waited_system = (int(v) for v in fields[11:15])
    own = (user + system) / ticks
    return Stat(
        pid=pid,
        name=head.partition("(")[2],
        parent=int(fields[1]),
        cpu_s=own,
        cpu_with_children_s=own + (waited_user + waited_system) / ticks,
    )


def pids(root: Path = PROC) -> Iterator[int]:
    """Yield the ids of all processes."""
    for entry in root.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def command_of(pid: int, root: Path = PROC) -> list[str]:
    """Return the argument vector of a process, empty when it has gone or is a kernel thread."""
    try:
        raw = (root / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def tree_of(start: int, root: Path = PROC) -> set[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in pids(root):
        stat = stat_of(pid, root)
        if stat is not None:
            children.setdefault(stat.parent, []).append(pid)
    found: set[int] = set()
    queue = [start]
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue.extend(children.get(pid, ()))
    return {pid for pid in found if (root / str(pid)).exists()}


def kill(pids: Iterable[int]) -> None:
    """Kill processes at once; raise ProbeError if there is none, or they are another user's."""
    struck = False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            struck = True
        except ProcessLookupError:
            continue
        except PermissionError:
            raise ProbeError(f"killing process {pid} needs root") from None
    if not struck:
        raise ProbeError("there is no process to kill")


def anonymous_of_others(own: Iterable[int], root: Path = PROC) -> int:
    """Return the anonymous and shared memory of all processes but these, in bytes.

    Taken from ``status``, which costs little: it is read before and after a deployment, to tell
    what the rest of the host did meanwhile.
    """
    skip = set(own)
    total = 0
    for pid in pids(root):
        if pid in skip:
            continue
        try:
            text = (root / str(pid) / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in text.splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * _KIB
    return total


def find(name: str, root: Path = PROC) -> set[int]:
    """Return the processes whose program (first argument's last part) has that name."""
    return {
        pid
        for pid in pids(root)
        if (command := command_of(pid, root)) and command[0].rpartition("/")[2] == name
    }
