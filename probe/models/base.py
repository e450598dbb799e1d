"""What each model has to offer to the experiments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

#: The phases that a watcher stamps, besides whatever steps a model has between them. The other two,
#: the ready endpoint and the first transaction, are seen at the gateway, alike in every model.
PLATFORM_CREATED: Final = "platform_created"
PLATFORM_READY: Final = "platform_ready"
WORKLOAD_STARTED: Final = "workload_started"
WATCHED_PHASES: Final = (PLATFORM_CREATED, PLATFORM_READY, WORKLOAD_STARTED)


#: Asked until it holds.
Condition = Callable[[], bool]

#: For how long after a kill it is watched whether somebody repairs it; a cluster's node starts
#: everything anew (seconds).
WATCHED_S: Final = 45.0
NODE_WATCHED_S: Final = 120.0

#: Where the shop's own services that are written in it have Python.
PYTHON: Final = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Roles:
    """The processes that belong to a deployment, by what they are for. The same roles everywhere.

    ``workload`` runs the shop (container processes; qemu with the guest in it), ``helpers`` exist
    for this deployment alone (shims, port proxies; the network's dnsmasq), ``daemons`` serve others
    too (dockerd, containerd; libvirtd, virtlogd).
    """

    workload: frozenset[int] = frozenset()
    helpers: frozenset[int] = frozenset()
    daemons: frozenset[int] = frozenset()

    def items(self) -> tuple[tuple[str, frozenset[int]], ...]:
        """Return the roles with their names."""
        return (
            ("workload", self.workload),
            ("helpers", self.helpers),
            ("daemons", self.daemons),
        )


@dataclass(frozen=True, slots=True)
class GuestMemory:
    """A guest's own view of its memory, as its balloon driver reports it."""

    total_bytes: int
    unused_bytes: int
    usable_bytes: int | None

    @property
    def used_bytes(self) -> int:
        """Return what the guest could not hand out: total minus usable (its MemAvailable)."""
        left = self.usable_bytes if self.usable_bytes is not None else self.unused_bytes
        return self.total_bytes - left


@dataclass(frozen=True, slots=True)
class Usage:
    """What a service takes: memory now (without cache that is given back at once), CPU so far."""

    memory_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Shares:
    """What each service takes by its control group, wherever that is, and all of a guest's CPU.

    ``platform`` has the parts of the platform that have control groups of their own.
    """

    services: Mapping[str, Usage]
    guest_cpu_s: float | None = None
    platform: Mapping[str, Usage] = field(default_factory=dict)


#: The parts of a cluster that are its own and not the shop's.
CONTROL_PLANE: Final = "control plane"
ADD_ONS: Final = "add-ons"
NODE: Final = "kubelet, containerd and the node's system"


@dataclass(frozen=True, slots=True)
class PlatformPart:
    """Processes of the host that are no service: whose they are, what they are called, the role."""

    scope: str
    part: str
    role: str


@dataclass(frozen=True, slots=True)
class DiskPart:
    """Bytes on the host's disk: ``kind`` is shipped or unpacked, ``scope`` whose they are."""

    kind: str
    scope: str
    part: str
    size_bytes: int
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """Something that dies suddenly: ``strike`` does it.

    ``fault`` is process, container, pod, node or machine. ``repairer`` is who sees to it without
    being told; empty where nobody does. ``watched_s`` is how long is waited for that at most.
    """

    fault: str
    what: str
    strike: Callable[[], None]
    repairer: str = ""
    watched_s: float = WATCHED_S


@dataclass(frozen=True, slots=True)
class Environment:
    """Somewhere to run what a model ships: as it stands, or elsewhere.

    ``varies`` says what is another one there (engine, machine, disk bus, network card; empty for
    what was deployed). ``trial`` returns whether the shop worked there and what was seen; it raises
    ProbeError where it could not be tried.
    """

    name: str
    varies: str
    trial: Callable[[], tuple[bool, str]]


class Replicas(Protocol):
    """A service that the model runs several of, as many as it needs."""

    def ready(self) -> int:
        """Return how many take requests."""

    def hold(self, least: int) -> None:
        """Have at least so many until ``release``."""

    def release(self) -> None:
        """Leave their number to the model again."""

    def answered(self) -> Mapping[str, int]:
        """Return how many requests each has answered so far, health checks apart."""

    def lose_one(self) -> str:
        """Kill one without grace; return its name."""

    def close(self) -> None:
        """Give connections back."""


class Inspector(Protocol):
    """Knows what belongs to a stack that is up."""

    def roles(self) -> Roles:
        """Return the processes of the deployment as they are now."""

    def marks(self) -> tuple[str, ...]:
        """Return the names that only this deployment's control groups carry."""

    def guest_memory(self) -> GuestMemory | None:
        """Return the guest's own view; None where there is no guest."""

    def shares(self) -> Shares:
        """Return what each service takes; raise ProbeError where that can't be told."""

    def platform_parts(self) -> tuple[PlatformPart, ...]:
        """Return which of the roles besides the workload are what part of the platform."""

    def disk(self, artefacts: dict[str, Any]) -> list[DiskPart]:
        """Return what was shipped and what lies unpacked."""

    def kills(self, service: str) -> tuple[Kill, ...]:
        """Return what of a service can be killed from outside, the smaller things first."""

    def replicas(self, service: str) -> Replicas | None:
        """Return what changes a service's number; None where the model runs one and no more."""

    def boot_id(self, service: str) -> str:
        """Return the boot id of the kernel that a service runs on, as it sees it itself."""

    def inside(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run Python as the service would; raise ProbeError where nobody is let in."""

    def unhardened(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run it in the service's image without hardening; raise ProbeError where that can't be."""

    def host_address(self) -> str:
        """Return the address that the host has for what runs here."""

    def lost_without_volume(self) -> Mapping[str, bool]:
        """Return, by fault, whether a file is lost that was written where no volume is."""

    def environments(self) -> AbstractContextManager[tuple[Environment, ...]]:
        """Hold where the shop runs as deployed, then where else it can be tried on this host."""

    def last_words(self) -> str:
        """Return the last lines of the console or of the containers' logs."""

    def close(self) -> None:
        """Give connections back."""


class Preparation(Protocol):
    """Makes the host cold or warm before the clock starts."""

    def cold(self) -> str:
        """Remove what a deployment would find already there; return what was done."""

    def warm(self) -> str:
        """Fetch what a deployment should find already there; return what was done."""

    def fetched_bytes(self) -> int | None:
        """Return what has been unpacked since ``cold``; None where that cannot be told."""


class Watcher(Protocol):
    """Stamps the phases of one deployment from outside, on the host's monotonic clock."""

    def start(self) -> None:
        """Begin to watch; returns when no event can be missed any more."""

    def stamps(self) -> dict[str, float]:
        """Return the phases seen so far, and a model's own steps by their names."""

    def missing(self) -> dict[str, str]:
        """Return why a phase or step cannot be stamped, for those that never will."""

    def stop(self) -> None:
        """End watching."""

    def log(self) -> list[dict[str, Any]]:
        """Return everything seen, for the raw artefacts."""

    def last_words(self) -> str:
        """Return the last lines that the deployment wrote, as evidence for a failure."""


@dataclass(slots=True)
class Stamps:
    """First stamps by phase and a log of all that was seen; safe to use from several threads."""

    clock: Callable[[], float] = time.monotonic
    first: dict[str, float] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, phase: str | None = None, *, last: bool = False) -> None:
        """Write down an event; ``phase`` keeps its first stamp, or with ``last`` its latest."""
        now = self.clock()
        with self.lock:
            self.seen.append({"at": now, "what": what})
            if phase is not None and (last or phase not in self.first):
                self.first[phase] = now

    def copy(self) -> dict[str, float]:
        """Return the phases stamped so far."""
        with self.lock:
            return dict(self.first)


def is_ours(name: str, prefix: str) -> bool:
    """Tell whether a physical name is a deployment's: its prefix itself or prefix and a hyphen."""
    return name == prefix or name.startswith(f"{prefix}-")
