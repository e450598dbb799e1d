"""Other machines for a stack's disks: another machine type, bus or network card of QEMU's.

The stack's own machine is turned off for as long as others are tried, and started again. They get
layers of their own on its disks, so that nothing of theirs is left, its kernel, its seed and its
address; one that gives up says so on its console.

A guest's kernel that panics starts its machine again, in the stack's own machine as in these. QEMU
before 8.1 makes it panic now and then whatever the disks are on, so that an emulated machine is
given up only when it has panicked several times.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import libvirt
from lxml import etree

from probe.errors import ProbeError
from probe.models.base import Environment
from probe.target import Target
from probe.transaction import await_ready

#: How long a machine may take (seconds): an emulated one, and one with a processor's help.
READY_S: Final = {"tcg": 420.0, "kvm": 120.0}
#: How long one that says that the shop has started may go without an answer, in the same way.
MUTE_S: Final = {"tcg": 90.0, "kvm": 30.0}
#: At which panic of its kernel a machine is given up, in the same way.
PANICS: Final = {"tcg": 3, "kvm": 1}
#: What a machine writes to its console when it will not come up.
_GIVEN_UP: Final = (
    "Gave up waiting",
    "ALERT!",
    "emergency mode",
    "Cannot open root device",
)
#: A panic's first line; the last one is "end Kernel panic".
_PANIC: Final = re.compile(r"(?<!end )Kernel panic.*")
_STARTED: Final = "TRIPTYCH workload-started"
_LAYER: Final = "<volume><name/><capacity/><target><format/></target><backingStore/></volume>"


@dataclass(frozen=True, slots=True)
class Variant:
    """What is another one than in the stack's machine (pc, with VirtIO disks and network)."""

    name: str
    varies: str
    machine: str = "pc"
    bus: str = "virtio"
    controller: str = ""
    card: str = "virtio"


#: What QEMU has; the last two are what VMware and VirtualBox show to a guest by default.
VARIANTS: Final = (
    Variant("q35", "machine type", machine="q35"),
    Variant("sata", "disk bus", machine="q35", bus="sata"),
    Variant("ide", "disk bus", bus="ide"),
    Variant("virtio_scsi", "disk bus", bus="scsi", controller="virtio-scsi"),
    Variant(
        "pvscsi_vmxnet3",
        "disk bus and network card",
        bus="scsi",
        controller="vmpvscsi",
        card="vmxnet3",
    ),
    Variant(
        "sata_e1000",
        "disk bus and network card",
        machine="q35",
        bus="sata",
        card="e1000",
    ),
)
#: The first letters of a device's name, by its bus.
_LETTERS: Final = {"virtio": "vd", "sata": "sd", "scsi": "sd", "ide": "hd"}


def adapt(xml: str, variant: Variant, name: str, layers: Mapping[str, str], console: str) -> str:
    """Return a domain's XML as another machine under another name.

    ``layers`` are the files to use in place of the disks', by the disks' device names.
    """
    domain: Any = etree.fromstring(xml.encode())
    domain.find("name").text = name
    domain.find("os/type").set("machine", variant.machine)
    devices = domain.find("devices")
    for gone in [*domain.findall("uuid"), *devices.iter("address", "alias")]:
        gone.getparent().remove(gone)
    for controller in devices.findall("controller"):
        devices.remove(controller)
    if variant.controller:
        controller = etree.SubElement(devices, "controller", type="scsi", index="0")
        controller.set("model", variant.controller)
    number = 0
    for disk in devices.findall("disk"):
        target = disk.find("target")
        if disk.get("device") == "cdrom":
            # q35 has no IDE.
            bus, device = ("sata", "sdd") if variant.machine == "q35" else ("ide", "hdd")
        else:
            bus, device = variant.bus, f"{_LETTERS[variant.bus]}{'abc'[number]}"
            if bus == "scsi":
                # A target each: PVSCSI has no second unit behind one.
                place = etree.SubElement(disk, "address", type="drive", controller="0", bus="0")
                place.set("target", str(number))
                place.set("unit", "0")
            number += 1
            source = disk.find("source")
            source.attrib.clear()
            source.set("file", layers[target.get("dev")])
            disk.set("type", "file")
            disk.find("driver").set("type", "qcow2")
            for chain in disk.findall("backingStore"):
                disk.remove(chain)
        target.attrib.clear()
        target.set("dev", device)
        target.set("bus", bus)
    for model in devices.iterfind("interface/model"):
        model.set("type", variant.card)
    for kind in ("serial", "console"):
        for source in devices.iterfind(f"{kind}[@type='file']/source"):
            source.set("path", console)
    return str(etree.tostring(domain, encoding="unicode"))


def _panicked(panics: list[str]) -> str:
    times = "once" if len(panics) == 1 else f"{len(panics)} times"
    return f"its kernel panicked {times}: {panics[-1].strip()[:200]}"


class _GaveUp(Exception):
    """A machine will not come up; the text says what it wrote."""


class OtherMachines:
    """Tries a stack's disks in other machines, on the host that runs its own."""

    def __init__(
        self,
        connection: Any,
        domain: Any,
        target: Target,
        *,
        ready: Callable[..., str] = await_ready,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._domain = domain
        self._target = target
        self._ready = ready
        self._sleep = sleep
        self._clock = clock
        self._off = False
        self._kind = "kvm" if target.accelerator == "kvm" else "tcg"
        self._name = f"{target.prefix}-portability"
        own = Path(str(target.inspect.get("console_log", "")))
        self._console = own.with_name(f"{self._name}-console.log")

    @contextmanager
    def environments(self) -> Iterator[tuple[Environment, ...]]:
        """Yield the machine as it is and the variants; at the end its own runs as before."""
        domain: Any = etree.fromstring(self._xml().encode())
        machine = domain.find("os/type").get("machine")
        own = Environment(
            "as_deployed",
            "",
            lambda: (True, f"{machine}, VirtIO disks and network: the shop is up"),
        )
        others = (Environment(v.name, v.varies, self._trial(v)) for v in VARIANTS)
        try:
            yield (own, *others)
        finally:
            self._start_again()

    def _xml(self) -> str:
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        return str(self._domain.XMLDesc(flags))

    def _trial(self, variant: Variant) -> Callable[[], tuple[bool, str]]:
        def run() -> tuple[bool, str]:
            try:
                return self._try(variant)
            except libvirt.libvirtError as error:
                # QEMU without a device of that kind, say: nothing is known of the disk.
                raise ProbeError(f"{variant.name}: {error}") from None

        return run

    def _try(self, variant: Variant) -> tuple[bool, str]:
        if not self._off:
            # As a power cut would: the disks' file systems are for that.
            self._domain.destroy()
            self._off = True
        xml = self._xml()
        with self._layers(xml) as layers:
            began = self._clock()
            other = self._connection.createXML(
                adapt(xml, variant, self._name, layers, str(self._console))
            )
            try:
                said = self._await(other)
                panics = _PANIC.findall(self._written())
            finally:
                with suppress(libvirt.libvirtError):
                    other.destroy()
                with suppress(OSError):
                    self._console.unlink(missing_ok=True)
        took = self._clock() - began
        if said:
            return False, said
        ready = f"the shop was ready {took:.0f} s later"
        return True, f"{ready}, {_panicked(panics)}" if panics else ready

    def _await(self, other: Any) -> str:
        """Return an empty text once the shop is ready, else why it will not be."""
        started_at: float | None = None

        def pause(seconds: float) -> None:
            nonlocal started_at
            self._sleep(seconds)
            text = self._written()
            for words in _GIVEN_UP:
                if words in text:
                    line = next(line for line in text.splitlines() if words in line)
                    raise _GaveUp(f"its console: {line.strip()[:200]}")
            panics = _PANIC.findall(text)
            if len(panics) >= PANICS[self._kind]:
                raise _GaveUp(_panicked(panics))
            if not other.isActive():
                raise _GaveUp("the machine ended by itself")
            # After a panic all starts anew.
            if _STARTED not in _PANIC.split(text)[-1]:
                started_at = None
            else:
                started_at = self._clock() if started_at is None else started_at
                if self._clock() - started_at > MUTE_S[self._kind]:
                    raise _GaveUp("the shop has started in it, but no network leads there")

        try:
            said = self._until_ready(pause)
        except _GaveUp as reason:
            return str(reason)
        return f"not ready after {READY_S[self._kind]:.0f} s: {said}" if said else ""

    def _until_ready(self, sleep: Callable[[float], None]) -> str:
        """Return an empty text once the shop is ready, else what it said last."""
        return self._ready(
            self._target.ready_url,
            self._target.ca_certificate,
            READY_S[self._kind],
            clock=self._clock,
            sleep=sleep,
        )

    def _written(self) -> str:
        try:
            return self._console.read_text(errors="replace")
        except OSError:
            return ""  # not yet, or on another host

    @contextmanager
    def _layers(self, xml: str) -> Iterator[dict[str, str]]:
        """Make a layer on each disk, by the disk's device name; remove them at the end."""
        made: dict[str, Any] = {}
        domain: Any = etree.fromstring(xml.encode())
        try:
            for disk in domain.iterfind("devices/disk[@device='disk']"):
                device = str(disk.find("target").get("dev"))
                made[device] = self._layer(device, disk)
            yield {device: volume.path() for device, volume in made.items()}
        finally:
            for volume in made.values():
                with suppress(libvirt.libvirtError):
                    volume.delete()

    def _layer(self, device: str, disk: Any) -> Any:
        source = disk.find("source")
        if source.get("volume"):
            pool = self._connection.storagePoolLookupByName(source.get("pool"))
            below = pool.storageVolLookupByName(source.get("volume"))
        else:
            below = self._connection.storageVolLookupByPath(source.get("file"))
            pool = below.storagePoolLookupByVolume()
        layer: Any = etree.fromstring(_LAYER)
        layer.find("name").text = f"{self._name}-{device}.qcow2"
        layer.find("capacity").text = str(below.info()[1])
        layer.find("target/format").set("type", "qcow2")
        store = layer.find("backingStore")
        etree.SubElement(store, "path").text = below.path()
        etree.SubElement(store, "format", type=disk.find("driver").get("type"))
        return pool.createXML(etree.tostring(layer, encoding="unicode"))

    def _start_again(self) -> None:
        if not self._off:
            return
        try:
            self._domain.create()
        except libvirt.libvirtError as error:
            raise ProbeError(f"the stack's own machine does not start again: {error}") from None
        self._off = False
        said = self._until_ready(self._sleep)
        if said:
            raise ProbeError(f"the stack's own machine is not ready again: {said}")
