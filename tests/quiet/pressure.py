"""What others took of the host in a window: their CPU, steal, and how long things waited for it.

Others are all but the tests and what they deployed: the runner's processes, containers that carry a
stack's label, nodes of our clusters, our machines, and the daemons that both stand on. What the
kernel does in its own threads and in interrupts it does for everybody, so that is nobody's.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import psutil

from probe import processes
from probe.processes import PROC, Stat

#: The process whose descendants are the tests' own; by default the one that measures.
RUNNER: Final = "TRIPTYCH_TEST_RUNNER_PID"

#: From where on others starve the host, as shares of its cores.
#:
#: An eighth is a quarter of a core of the two that a stack of ours is made for. Over an update's
#: minute that is a whole core gone for 15 s, longer than a process that ends goes on answering and
#: than the load generator waits (10 s each): lost requests are no finding then. A host at rest is
#: far below: its daemons take a hundredth of a core.
OTHERS_SHARE: Final = 0.125
#: Steal comes in one piece, with everything at a halt: a twentieth is 3 s of that minute, as long
#: as it takes a probe of the cluster's to give up on a process that is well.
STEAL_SHARE: Final = 0.05

#: Processes come and go; what they took is added up this often (seconds).
LOOK_EVERY_S: Final = 1.0

_DAEMONS: Final = frozenset(
    {"dockerd", "containerd", "libvirtd", "virtlogd", "virtqemud", "virtnetworkd", "virtstoraged"}
)
#: As the kernel has it, which cuts names off.
_SHIM: Final = "containerd-shim"
_PREFIX: Final = "triptych-"


@dataclass(frozen=True, slots=True)
class Pressure:
    """What others took in a window, and beside it what all together made of the host."""

    window_s: float
    cores: int
    others_cores: float
    own_cores: float
    steal_share: float
    run_queue: float
    #: None where the kernel keeps no pressure stall information.
    psi_cpu_some_share: float | None = None
    psi_cpu_full_share: float | None = None

    @property
    def starved(self) -> bool:
        """Tell whether others took more than leaves a failure's cause certain."""
        return self.others_cores > OTHERS_SHARE * self.cores or self.steal_share > STEAL_SHARE

    def __str__(self) -> str:
        psi = self.psi_cpu_some_share
        return (
            f"others took {self.others_cores:.2f} of {self.cores} cores,"
            f" PSI some {'unknown' if psi is None else f'{psi:.0%}'.replace('%', ' %')},"
            f" steal {self.steal_share * 100:.0f} %, run queue {self.run_queue:.1f}"
        )

    def record(self) -> dict[str, Any]:
        """Return the figures by their names, and what was made of them."""
        return {**asdict(self), "starved": self.starved}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Pressure:
        """Return the figures of a record."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})


class Watch:
    """A window that is open; ``close`` returns what it showed."""

    def __init__(self, own: OwnCpu | None = None, root: Path = PROC) -> None:
        self._root = root
        self._own = own or OwnCpu(root)
        self._running: list[int] = []
        self._closed = threading.Event()
        self._before = self._totals()
        self._own.look()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="host-pressure")
        self._looking = self._thread.submit(self._look)

    def _look(self) -> None:
        while True:
            runnable = (self._root / "loadavg").read_text().split()[3].partition("/")[0]
            # This thread is not what is looked for.
            self._running.append(max(int(runnable) - 1, 0))
            if self._closed.wait(LOOK_EVERY_S):
                return
            self._own.look()

    def close(self) -> Pressure:
        """End the window."""
        self._closed.set()
        self._thread.shutdown()
        self._looking.result()
        self._own.look()
        after = self._totals()
        cores = psutil.cpu_count() or 1
        spent = {name: value - self._before[name] for name, value in after.items()}
        window_s = max(spent["at_s"], 1e-3)
        return Pressure(
            window_s=window_s,
            cores=cores,
            others_cores=max(spent["work_s"] - self._own.cpu_s, 0.0) / window_s,
            own_cores=self._own.cpu_s / window_s,
            steal_share=spent["steal_s"] / window_s / cores,
            run_queue=sum(self._running) / len(self._running),
            psi_cpu_some_share=spent["some_s"] / window_s if "some_s" in spent else None,
            psi_cpu_full_share=spent["full_s"] / window_s if "full_s" in spent else None,
        )

    def _totals(self) -> dict[str, float]:
        times = psutil.cpu_times()
        return {
            "at_s": time.monotonic(),
            "work_s": times.user + times.nice + times.system,
            "steal_s": times.steal,
            **stalled_s(self._root),
        }


def stalled_s(root: Path = PROC) -> dict[str, float]:
    """Return how long something, and everything, waited for a core; empty if it is not kept."""
    try:
        lines = (root / "pressure" / "cpu").read_text().splitlines()
    except OSError:
        return {}
    return {f"{line.split()[0]}_s": int(line.rpartition("total=")[2]) / 1e6 for line in lines}


class OwnCpu:
    """CPU seconds of what is the tests' own, added up from look to look at the processes.

    A process that ended is in its parent's figure if that waited for it, and else in none: then
    what it had when last seen counts.
    """

    def __init__(
        self,
        root: Path = PROC,
        runner: int | None = None,
        is_ours: Callable[[str], bool] | None = None,
    ) -> None:
        self.cpu_s = 0.0
        self._root = root
        self._runner = runner or int(os.environ.get(RUNNER) or os.getpid())
        self._is_ours = is_ours or _Containers()
        self._own: dict[int, Stat] | None = None

    def look(self) -> None:
        """Add what was taken since the last look; the first one only remembers what there is."""
        there = {
            stat.pid: stat
            for pid in processes.pids(self._root)
            if (stat := processes.stat_of(pid, self._root)) is not None
        }
        before = self._own
        self._own = {pid: there[pid] for pid in self._members(there)}
        if before is None:
            return
        had = sum(stat.cpu_with_children_s for stat in before.values())
        has = sum(stat.cpu_with_children_s for stat in self._own.values())
        lost = sum(
            stat.cpu_with_children_s
            for pid, stat in before.items()
            if pid not in there and not any(a in there for a in _ancestors(pid, before))
        )
        self.cpu_s += max(has - had + lost, 0.0)

    def _members(self, there: Mapping[int, Stat]) -> set[int]:
        # Who was ours still is when its parent has gone and it has another one.
        roots = {self._runner, os.getpid(), *(self._own or ())}
        foreign: set[int] = set()
        for pid, stat in there.items():
            if stat.name == "kthreadd" or self._is_machine(stat):
                roots.add(pid)
            elif stat.name == _SHIM and (container := self._container(pid)):
                (roots if self._is_ours(container) else foreign).add(pid)
            elif stat.name in _DAEMONS and not any(
                there[a].name == _SHIM for a in _ancestors(pid, there)
            ):
                roots.add(pid)
        children: dict[int, list[int]] = {}
        for pid, stat in there.items():
            children.setdefault(stat.parent, []).append(pid)
        found: set[int] = set()
        queue = [pid for pid in roots if pid in there]
        while queue:
            pid = queue.pop()
            if pid not in found and pid not in foreign:
                found.add(pid)
                queue.extend(children.get(pid, ()))
        return found

    def _container(self, shim: int) -> str:
        """Return the container that a shim of dockerd's is for; empty if it is another's."""
        words = processes.command_of(shim, self._root)
        options = dict(itertools.pairwise(words))
        return options.get("-id", "") if options.get("-namespace") == "moby" else ""

    def _is_machine(self, stat: Stat) -> bool:
        return stat.name.startswith("qemu-") and any(
            word.startswith(f"guest={_PREFIX}")
            for word in processes.command_of(stat.pid, self._root)
        )


def _ancestors(pid: int, stats: Mapping[int, Stat]) -> Iterator[int]:
    while pid in stats and (parent := stats[pid].parent) in stats:
        yield parent
        pid = parent


class _Containers:
    """Tells by a container's labels whether it is a stack's, or a node of one of our clusters."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __call__(self, container: str) -> bool:
        # Only where there are containers at all: each pytest process loads this module.
        import docker
        from docker.errors import DockerException

        if container not in self._known:
            try:
                client = docker.from_env(timeout=10)
                labels = client.api.inspect_container(container)["Config"]["Labels"] or {}
                client.close()
            except (DockerException, OSError):
                return False  # it has gone, or will be asked for again
            cluster = labels.get("io.x-k8s.kind.cluster", "")
            self._known[container] = "triptych.stack" in labels or cluster.startswith(_PREFIX)
        return self._known[container]
