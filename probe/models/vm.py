"""The vm model as seen from outside: libvirt's events, the console file, qemu and its disks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import libvirt
from lxml import etree

from probe import processes, project
from probe.errors import ProbeError
from probe.models.base import (
    PLATFORM_CREATED,
    PLATFORM_READY,
    WORKLOAD_STARTED,
    DiskPart,
    Environment,
    GuestMemory,
    Kill,
    PlatformPart,
    Roles,
    Shares,
    Stamps,
    Usage,
    is_ours,
)
from probe.models.guest import Guest, key_file
from probe.models.machines import OtherMachines
from probe.target import Target

#: Where libvirt's domains write their serial consoles (components/vm puts them there).
CONSOLES: Final = Path("/var/log/libvirt/qemu")
#: The lines that the guest writes to its console; the host stamps them as they arrive.
MARKS: Final = {
    b"TRIPTYCH platform-ready": PLATFORM_READY,
    b"TRIPTYCH workload-started": WORKLOAD_STARTED,
}
#: How often the console file is looked at, and so the resolution of its marks (seconds).
CONSOLE_PERIOD_S: Final = 0.01
_LOG_LINES: Final = 15
#: The guest's second serial port, on which it says what each service takes (components/vm gives it,
#: `triptych-report` in the guest answers), and how long that may take (seconds).
REPORT_PORT: Final = "serial1"
REPORT_TIMEOUT_S: Final = 15.0
_REPORT_BEGIN, _REPORT_END = "TRIPTYCH report", "TRIPTYCH end"
#: How long the guest may take to be there again after a power cut (seconds), and how often it is
#: asked.
_AGAIN_S: Final = 300.0
_ASK_S: Final = 1.0
#: A file on the root disk, beside the one that is for data.
_BESIDE: Final = "/var/tmp/triptych-probe"
_BOOT_ID: Final = re.compile(r"^boot_id (?P<id>[0-9a-f-]{36})\s*$", re.MULTILINE)
_REPORT_LINE: Final = re.compile(
    r"(?:triptych\.slice/triptych-(?P<service>[a-z0-9-]+)\.service/)?"
    r"(?P<file>memory\.current|memory\.stat|cpu\.stat):(?:(?P<key>[a-z_]+) )?(?P<value>\d+)"
)
#: What a boot sends to a terminal besides text.
_ESCAPES: Final = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07]*\x07)")


def _quiet(_context: object, _error: object) -> None:
    """Swallow libvirt's own messages: it would print them to the terminal."""


libvirt.registerErrorHandler(_quiet, None)


def connect(uri: str) -> Any:
    """Return a connection; raise ProbeError with one line when no daemon answers."""
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise ProbeError(f"libvirt does not answer at {uri}: {error}") from None


class ConsoleTail:
    """Follows console files that begin with a prefix and stamps the marks in them.

    A file that is there from the start is read from its present end on, so marks of an earlier
    machine of that name count for nothing.
    """

    def __init__(self, folder: Path, prefix: str, stamps: Stamps) -> None:
        self._folder = folder
        self._prefix = prefix
        self._stamps = stamps
        self._offsets: dict[Path, int] = {p: p.stat().st_size for p in self._files()}
        self._rest: dict[Path, bytes] = {}
        self.path: Path | None = None

    def _files(self) -> list[Path]:
        try:
            return [
                p
                for p in self._folder.iterdir()
                if is_ours(p.name, self._prefix) and "console" in p.name
            ]
        except OSError:
            return []

    def poll(self) -> None:
        """Read what is new."""
        for path in [self.path] if self.path is not None else self._files():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            size = path.stat().st_size
            offset = self._offsets.get(path, 0)
            if size < offset:
                offset = 0  # begun anew
            if size == offset:
                return
            with path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read()
        except OSError:
            return
        self._offsets[path] = offset + len(data)
        self.path = path
        lines = (self._rest.get(path, b"") + data).split(b"\n")
        self._rest[path] = lines.pop()
        # A mark counts as soon as its text is there, with or without the line's end.
        for line in [*lines, self._rest[path]]:
            for mark, phase in MARKS.items():
                if mark in line:
                    self._stamps.note(f"console: {mark.decode()}", phase)

    def last_words(self) -> str:
        """Return the last lines of the console."""
        if self.path is None:
            return "the console is empty"
        try:
            text = self.path.read_bytes()[-8192:].decode(errors="replace")
        except OSError as error:
            return f"no console: {error}"
        lines = [line.rstrip() for line in _ESCAPES.sub("", text).splitlines()]
        return "\n".join([line for line in lines if line][-_LOG_LINES:])


class _EventLoop:
    """libvirt's event loop, one thread for the whole process: it cannot be registered twice."""

    _lock = threading.Lock()
    _thread: threading.Thread | None = None

    @classmethod
    def ensure(cls) -> None:
        with cls._lock:
            if cls._thread is not None:
                return
            libvirt.virEventRegisterDefaultImpl()
            cls._thread = threading.Thread(target=cls._run, name="libvirt-events", daemon=True)
            cls._thread.start()

    @staticmethod
    def _run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()


class VmWatcher:
    """Stamps the domain's start from libvirt's events and the guest's marks from its console."""

    def __init__(
        self,
        prefix: str,
        *,
        uri: str = "qemu:///system",
        consoles: Path = CONSOLES,
        stamps: Stamps | None = None,
        connector: Callable[[str], Any] = connect,
    ) -> None:
        self._prefix = prefix
        self._uri = uri
        self._stamps = stamps or Stamps()
        self._connector = connector
        self._connection: Any = None
        self._callback: int | None = None
        self._local = "+" not in uri.partition("://")[0]
        self._tail = ConsoleTail(consoles, prefix, self._stamps)
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Register for lifecycle events and begin to follow the console."""
        _EventLoop.ensure()
        self._connection = self._connector(self._uri)
        self._callback = self._connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None
        )
        if self._local:
            self._thread = threading.Thread(target=self._follow, name="console-tail", daemon=True)
            self._thread.start()

    def _on_event(self, _c: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        self.take(domain.name(), event, detail)

    def take(self, name: str, event: int, detail: int) -> None:
        """Stamp one lifecycle event if it is this deployment's."""
        if not is_ours(name, self._prefix):
            return
        started = event == libvirt.VIR_DOMAIN_EVENT_STARTED
        self._stamps.note(
            f"domain {name} event {event} detail {detail}", PLATFORM_CREATED if started else None
        )

    def _follow(self) -> None:
        while not self._halt.wait(CONSOLE_PERIOD_S):
            self._tail.poll()

    def stamps(self) -> dict[str, float]:
        """Return the phases seen so far."""
        return self._stamps.copy()

    def missing(self) -> dict[str, str]:
        """Return the phases that need the console, when it lies on another machine."""
        if self._local:
            return {}
        reason = f"the console lies on another machine ({self._uri})"
        return {PLATFORM_READY: reason, WORKLOAD_STARTED: reason}

    def stop(self) -> None:
        """End watching."""
        self._halt.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._connection is not None and self._callback is not None:
            try:
                self._connection.domainEventDeregisterAny(self._callback)
                self._connection.close()
            except libvirt.libvirtError:
                pass  # the daemon went: nothing left to give back

    def log(self) -> list[dict[str, Any]]:
        """Return the events and marks of this deployment."""
        return list(self._stamps.seen)

    def last_words(self) -> str:
        """Return the console's last lines."""
        return self._tail.last_words()


class VmInspector:
    """The domain of a stack: qemu, its network's dnsmasq, libvirt's daemons and the volumes."""

    def __init__(
        self, target: Target, *, connection: Any = None, proc: Path = processes.PROC
    ) -> None:
        self._target = target
        self._proc = proc
        uri = target.inspect.get("libvirt_uri", "qemu:///system")
        if connection is None:
            # What comes in on a stream is handed over by the event loop.
            _EventLoop.ensure()
            connection = connect(uri)
        self._connection = connection
        self._guest: Guest | None = None
        self._name = str(target.inspect.get("domain", ""))
        try:
            self._domain = self._connection.lookupByName(self._name)
            # The balloon reports only when asked to, and then at this period.
            self._domain.setMemoryStatsPeriod(1, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            raise ProbeError(f"domain {self._name}: {error}") from None

    def roles(self) -> Roles:
        """Return qemu, the network's dnsmasq, libvirtd and virtlogd."""
        qemu = {
            pid
            for pid in processes.pids(self._proc)
            if (command := processes.command_of(pid, self._proc))
            and "qemu" in command[0]
            and any(word.startswith(f"guest={self._name},") for word in command)
        }
        network = str(self._target.inspect.get("network", ""))
        dnsmasq = {
            pid
            for pid in processes.find("dnsmasq", self._proc)
            if any(
                word.endswith(f"/{network}.conf") for word in processes.command_of(pid, self._proc)
            )
        }
        daemons: set[int] = set()
        for name in ("libvirtd", "virtqemud", "virtnetworkd", "virtstoraged", "virtlogd"):
            daemons |= processes.find(name, self._proc)
        return Roles(frozenset(qemu), frozenset(dnsmasq), frozenset(daemons))

    def marks(self) -> tuple[str, ...]:
        """Return the domain's name, which its control group carries."""
        return (self._name, self._name.replace("-", "\\x2d"))

    def guest_memory(self) -> GuestMemory | None:
        """Return the balloon's report; None when the guest's driver has not reported."""
        stats = self._domain.memoryStats()
        if "available" not in stats or "unused" not in stats:
            return None
        usable = stats.get("usable")
        return GuestMemory(
            total_bytes=int(stats["available"]) * 1024,
            unused_bytes=int(stats["unused"]) * 1024,
            usable_bytes=None if usable is None else int(usable) * 1024,
        )

    def shares(self) -> Shares:
        """Ask the guest, on the serial port that is there for it, what each service takes."""
        try:
            return parse_report(self._asked())
        except libvirt.libvirtError as error:
            raise ProbeError(f"the guest cannot be asked what its services take: {error}") from None

    def _asked(self) -> str:
        stream = self._connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        # Whoever holds the port without being there any more has to give it back.
        self._domain.openConsole(REPORT_PORT, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        try:
            stream.send(b"report\n")
            answer = b""
            deadline = time.monotonic() + REPORT_TIMEOUT_S
            while _REPORT_END.encode() not in answer:
                data = stream.recv(65536)
                if isinstance(data, bytes) and data:
                    answer += data
                elif data == b"":
                    raise ProbeError("the guest's serial port was closed")
                elif time.monotonic() > deadline:
                    raise ProbeError(f"the guest did not answer within {REPORT_TIMEOUT_S:.0f} s")
                else:
                    time.sleep(CONSOLE_PERIOD_S)
        finally:
            stream.abort()
        return answer.decode(errors="replace")

    def platform_parts(self) -> tuple[PlatformPart, ...]:
        """Return the network's dnsmasq and libvirt's daemons; the guest comes by itself."""
        return (
            PlatformPart("platform", "the network's dnsmasq", "helpers"),
            PlatformPart("shared", "libvirt's daemons", "daemons"),
        )

    def disk(self, artefacts: dict[str, Any]) -> list[DiskPart]:
        """Return the guest disk as shipped and unpacked, the data volume and the seed image."""
        parts: list[DiskPart] = []
        guest = project.guest_of(artefacts, self._target.shape)
        # The services' own bytes are the same in both models, so what the containers' images hold
        # beyond their base tells application from guest OS on the one disk that has both.
        images = project.images_of(artefacts, self._target.shape).values()
        own = sum(int(image.get("own_bytes", 0)) for image in images)
        note = "the rest of the disk; the shop's own files are as large as in the images"
        if guest:
            shipped = int(guest["shipped_bytes"])
            unpacked = int(guest["unpacked_bytes"])
            parts.append(
                DiskPart(
                    "shipped",
                    "platform and application",
                    "guest disk, kernel, initrd",
                    shipped,
                    "compressed; guest OS and shop are one file and not told apart",
                )
            )
            app = min(own, unpacked)
            parts.append(DiskPart("unpacked", "platform", "guest OS", unpacked - app, note))
            parts.append(DiskPart("unpacked", "application", "shop on the guest disk", app, note))
        for name, allocation in self._volumes().items():
            short = self._short(name)
            if guest and short.startswith(("base-", "kernel-", "initrd-")):
                continue  # a cold deployment's own copy of the guest disk, counted above
            scope = "data" if "data" in name else "platform"
            parts.append(DiskPart("unpacked", scope, f"volume {short}", allocation))
        return parts

    def _short(self, name: str) -> str:
        return name.removeprefix(self._target.prefix).lstrip("-") or name

    def _volumes(self) -> dict[str, int]:
        pool_name = str(self._target.inspect.get("pool", ""))
        try:
            pool = self._connection.storagePoolLookupByName(pool_name)
            pool.refresh()
            return {v.name(): int(v.info()[2]) for v in pool.listAllVolumes()}
        except libvirt.libvirtError as error:
            raise ProbeError(f"pool {pool_name}: {error}") from None

    def kills(self, service: str) -> tuple[Kill, ...]:
        """Return a service's main process, if somebody is let into the guest, and the machine."""
        machine = Kill("machine", f"domain {self._name}", self._power_cut)
        unit = f"triptych-{service}.service"
        try:
            process = self._inside().main_process(unit)
        except ProbeError:
            return (machine,)

        def strike() -> None:
            # The connection is there: what it takes is a round trip.
            self._inside().run('kill -KILL "$1"', str(process))

        return (Kill("process", f"main process of {unit}", strike, "systemd"), machine)

    def _inside(self) -> Guest:
        if self._guest is None:
            self._guest = Guest(str(self._target.inspect.get("address", "")), key_file())
        return self._guest

    def replicas(self, service: str) -> None:
        """Return None: there is one machine, and nobody who would start another."""

    def boot_id(self, service: str) -> str:
        """Return the guest's boot id, which it says when it is asked."""
        try:
            report = self._asked()
        except libvirt.libvirtError as error:
            raise ProbeError(f"the guest cannot be asked for its boot id: {error}") from None
        found = _BOOT_ID.search(report)
        if found is None:
            raise ProbeError("the guest does not say its boot id: is its disk of an older build?")
        return found["id"]

    def inside(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run Python in a unit like the service's, as its user and with its limits."""
        return self._inside().hardened(service, script, arguments)

    def unhardened(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run it as root of the guest, without a unit."""
        return self._inside().unhardened(script, arguments)

    def host_address(self) -> str:
        """Return the host's address in the machine's network."""
        name = str(self._target.inspect.get("network", ""))
        try:
            network: Any = etree.fromstring(
                self._connection.networkLookupByName(name).XMLDesc().encode()
            )
        except libvirt.libvirtError as error:
            raise ProbeError(f"network {name}: {error}") from None
        return str(network.find("ip").get("address"))

    def lost_without_volume(self) -> Mapping[str, bool]:
        """Return what becomes of a file on the root disk when the power is cut."""
        self._inside().run('echo kept >"$1"; sync', _BESIDE)
        self._power_cut()
        try:
            self._domain.create()
        except libvirt.libvirtError as error:
            raise ProbeError(f"domain {self._name} does not start again: {error}") from None
        deadline = time.monotonic() + _AGAIN_S
        while True:
            try:
                said = self._inside().run('cat "$1" 2>/dev/null || echo gone; rm -f "$1"', _BESIDE)
                return {"machine": said.strip() != "kept"}
            except ProbeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_ASK_S)

    def _leave(self) -> None:
        if self._guest is not None:
            self._guest.close()
            self._guest = None

    def environments(self) -> AbstractContextManager[tuple[Environment, ...]]:
        """Return the machine, and others that QEMU can make of the same disks."""
        self._leave()
        return OtherMachines(self._connection, self._domain, self._target).environments()

    def _power_cut(self) -> None:
        # A connection would wait for a machine that is gone.
        self._leave()
        try:
            self._domain.destroy()
        except libvirt.libvirtError as error:
            raise ProbeError(f"domain {self._name}: {error}") from None

    def last_words(self) -> str:
        """Return the last lines of the console."""
        path = Path(str(self._target.inspect.get("console_log", "")))
        tail = ConsoleTail(path.parent, path.name, Stamps())
        tail.path = path
        return tail.last_words()

    def close(self) -> None:
        """Close the connections."""
        self._leave()
        self._connection.close()


def parse_report(text: str) -> Shares:
    """Return what a guest's report says; raise ProbeError if it says nothing of any service."""
    figures: dict[str, dict[str, int]] = {}
    report = text.rpartition(_REPORT_BEGIN)[2].partition(_REPORT_END)[0]
    for line in report.splitlines():
        found = _REPORT_LINE.fullmatch(line.strip())
        if found is not None:
            key = found["key"] or "used"
            figures.setdefault(found["service"] or "", {})[key] = int(found["value"])
    whole = figures.pop("", {})
    try:
        services = {
            name: Usage(taken["used"] - taken["inactive_file"], taken["usage_usec"] / 1e6)
            for name, taken in figures.items()
        }
        if not services:
            raise ProbeError("the guest's report names no service")
        return Shares(services, whole["usage_usec"] / 1e6)
    except KeyError as error:
        raise ProbeError(f"the guest's report lacks {error}") from None


class VmPreparation:
    """Cold and warm differ in where the stack takes its disk from; nothing has to be removed.

    Cold: the stack uploads its own copy of the guest disk and deletes it again. Warm: the copy in
    the host's cache pool is the backing file.
    """

    def __init__(self, guest: Mapping[str, Any], *, uri: str) -> None:
        self._guest = dict(guest)
        self._uri = uri

    def cold(self) -> str:
        """Do nothing; the stack's own upload is in the clock."""
        return "the guest disk is uploaded by the deployment itself"

    def fetched_bytes(self) -> int | None:
        """Return None: the copy is part of the pool, whose volumes the disk figures list."""
        return None

    def warm(self) -> str:
        """See that the cache pool holds the guest disk."""
        pool, volume = self._guest.get("pool"), self._guest.get("volume")
        if not pool or not volume:
            return "no guest disk is recorded"
        connection = connect(self._uri)
        try:
            connection.storagePoolLookupByName(pool).storageVolLookupByName(volume)
        except libvirt.libvirtError:
            # The stack may fill the cache itself at its first warm deployment.
            return f"the guest disk {volume} is not in pool {pool} yet"
        finally:
            connection.close()
        return f"the guest disk {volume} is in pool {pool}"
