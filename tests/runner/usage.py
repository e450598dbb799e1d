"""What each suite takes: CPU of its processes, and of the containers and machines of its stacks.

Containers and machines are children of daemons. Whose they are is told by the stack's name that
they carry, and whose the stack is by the engine that deploys it, or by the ledger.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from probe import cgroups
from tests.support import ledger

_CONTAINERS = '{{.ID}}\t{{.Label "triptych.stack"}}\t{{.Label "io.x-k8s.kind.cluster"}}'
_PREFIX = "triptych-"
_GUEST = "guest="
#: As a nice value: twice the weight of others, so that these are not starved instead.
_FAVOURED = -3


@dataclass
class Usage:
    """CPU seconds by suite, sampled; what lived for less than a sample's period is not in it."""

    #: Last reading of each container or machine.
    _cpu_s: dict[str, float] = field(default_factory=dict)
    _places: dict[str, cgroups.Membership] = field(default_factory=dict)
    _suite_of_stack: dict[str, str] = field(default_factory=dict)
    deployed_cpu_s: dict[str, float] = field(default_factory=dict)
    _favoured: set[int] = field(default_factory=set)

    def notice(self) -> None:
        """Look whose stacks are deployed just now; favour machines that were not there before."""
        self._suite_of_stack |= {e.name: e.suite for e in ledger.entries() if e.suite}
        self._suite_of_stack |= _stacks_of_engines()
        for pid, stack, _ in _machines():
            if pid not in self._favoured and self._suite(stack):
                self._favoured.add(pid)
                favour(pid)

    def sample(self) -> None:
        """Take a reading."""
        for container, stack in _containers():
            if suite := self._suite(stack):
                self._add(suite, container, self._container_cpu_s(container))
        for pid, stack, cpu_s in _machines():
            if suite := self._suite(stack):
                self._add(suite, f"machine {pid}", cpu_s)

    def _suite(self, stack: str) -> str:
        # A stack of all models has others', with the model behind its own name.
        found = [name for name in self._suite_of_stack if f"{stack}-".startswith(f"{name}-")]
        return self._suite_of_stack[max(found, key=len)] if found else ""

    def _add(self, suite: str, what: str, cpu_s: float | None) -> None:
        if cpu_s is None:
            return
        more_s = cpu_s - self._cpu_s.get(what, 0.0)
        if more_s > 0:
            self.deployed_cpu_s[suite] = self.deployed_cpu_s.get(suite, 0.0) + more_s
        self._cpu_s[what] = cpu_s

    def _container_cpu_s(self, container: str) -> float | None:
        try:
            if container not in self._places:
                pid = int(_docker("inspect", "--format", "{{.State.Pid}}", container) or 0)
                if not pid:
                    return None
                place = cgroups.above(cgroups.membership(pid), container)
                if container not in place.cpu.name:
                    return None  # only just made, it is still where the daemon is
                self._places[container] = place
            return cgroups.usage_of(self._places[container]).cpu_s
        except (OSError, KeyError, ValueError):
            return None


def favour(pid: int) -> None:
    """Give a machine twice what another process gets, where we may.

    A whole computer is one process among many here. One that is kept waiting gives up what it was
    asked for, and is asked again: it takes the more, the less it gets.
    """
    # libvirt puts it into a group that gets as much as all containers together. The controller
    # (control groups v1) is left alone where the processes' CPU is accounted with it.
    shared_out = cgroups.CGROUP / "cpu"
    moves = shared_out.is_dir() and not shared_out.is_symlink()
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _FAVOURED)
            if moves:
                (shared_out / "tasks").write_text(thread.name)
        # Where the kernel shares out by sessions, it is the session's that counts.
        Path(f"/proc/{pid}/autogroup").write_text(str(_FAVOURED))
    except OSError:
        return


def _docker(*words: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _containers() -> Iterable[tuple[str, str]]:
    for line in _docker("ps", "--no-trunc", "--format", _CONTAINERS).splitlines():
        identity, stack, cluster = (*line.split("\t"), "", "")[:3]
        yield identity, stack or cluster.removeprefix(_PREFIX)


def _machines() -> Iterable[tuple[int, str, float]]:
    for process in psutil.process_iter(["name"]):
        if not (process.info["name"] or "").startswith("qemu-system"):
            continue
        try:
            words = process.cmdline()
            times = process.cpu_times()
        except psutil.Error:
            continue
        guests = (word for word in words if word.startswith(_GUEST))
        name = next(guests, "").removeprefix(_GUEST).partition(",")[0]
        yield process.pid, name.removeprefix(_PREFIX), times.user + times.system


def _stacks_of_engines() -> dict[str, str]:
    """Return the suites of the stacks that engines are at work on."""
    found = {}
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "pulumi":
            continue
        try:
            words = process.cmdline()
            suite = process.environ().get(ledger.SUITE_VARIABLE, "")
        except psutil.Error:
            continue
        if suite and "--stack" in words[:-1]:
            found[words[words.index("--stack") + 1]] = suite
    return found
