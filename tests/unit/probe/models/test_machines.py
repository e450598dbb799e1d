"""The same disk in other machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree

from probe.errors import ProbeError
from probe.models.machines import VARIANTS, OtherMachines, Variant, adapt
from tests.support.probe_fakes import FakeClock, target

# Machines.

DOMAIN = """<domain type='qemu'><name>triptych-s</name><uuid>1</uuid>
<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><kernel>/k</kernel></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/p/root.qcow2'/>
<target dev='vda' bus='virtio'/><address type='pci' slot='0x04'/></disk>
<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source pool='p' volume='data'/>
<target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='/p/seed.iso'/><target dev='hda' bus='ide'/>
<readonly/></disk><controller type='ide' index='0'/>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/>
<model type='virtio'/></interface>
<serial type='file'><source path='/log/own.log' append='off'/></serial></devices></domain>"""


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_differs_in_what_it_says_alone(variant: Variant) -> None:
    layers = {"vda": "/layers/a", "vdb": "/layers/b"}
    found: Any = etree.fromstring(adapt(DOMAIN, variant, "other", layers, "/log/x").encode())
    disks = found.findall("devices/disk[@device='disk']")
    assert [disk.find("source").get("file") for disk in disks] == ["/layers/a", "/layers/b"]
    assert {disk.find("driver").get("type") for disk in disks} == {"qcow2"}
    assert {disk.find("target").get("bus") for disk in disks} == {variant.bus}
    names = [target.get("dev") for target in found.iterfind("devices/disk/target")]
    assert len(set(names)) == 3
    # The seed stays what it is, on a bus that the machine type has.
    seed = found.find("devices/disk[@device='cdrom']")
    assert seed.find("source").get("file") == "/p/seed.iso"
    assert seed.find("target").get("bus") == ("sata" if variant.machine == "q35" else "ide")
    assert found.find("os/type").get("machine") == variant.machine
    assert found.find("os/kernel").text == "/k"
    assert found.find("devices/interface/mac").get("address") == "52:54:00:00:00:01"
    assert found.find("devices/interface/model").get("type") == variant.card
    assert found.find("devices/serial/source").get("path") == "/log/x"
    assert found.find("uuid") is None


class Volume:
    def __init__(self, pool: Pool, name: str) -> None:
        self.pool, self.name = pool, name

    def path(self) -> str:
        return f"/p/{self.name}"

    def info(self) -> list[int]:
        return [0, 1000, 10]

    def delete(self) -> None:
        self.pool.layers.remove(self.name)

    def storagePoolLookupByVolume(self) -> Pool:
        return self.pool


class Pool:
    def __init__(self) -> None:
        self.layers: list[str] = []
        self.made: list[str] = []

    def storageVolLookupByName(self, name: str) -> Volume:
        return Volume(self, name)

    def createXML(self, xml: str) -> Volume:
        layer: Any = etree.fromstring(xml)
        self.made.append(layer.find("backingStore/path").text)
        self.layers.append(layer.find("name").text)
        return Volume(self, self.layers[-1])


class Domain:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.active = True

    def XMLDesc(self, _flags: int) -> str:
        return DOMAIN

    def destroy(self) -> None:
        self.states.append("off")

    def create(self) -> None:
        self.states.append("on")

    def isActive(self) -> bool:
        return self.active


class Connection:
    def __init__(self, refuses: bool = False) -> None:
        self.pool = Pool()
        self.refuses = refuses
        self.others: list[Domain] = []

    def storagePoolLookupByName(self, _name: str) -> Pool:
        return self.pool

    def storageVolLookupByPath(self, path: str) -> Volume:
        return Volume(self.pool, Path(path).name)

    def createXML(self, _xml: str) -> Domain:
        if self.refuses:
            # Else it would tell of the last thing that went wrong in this process.
            libvirt.virResetLastError()
            raise libvirt.libvirtError("no such device")
        self.others.append(Domain())
        return self.others[-1]


def machines(
    connection: Connection,
    domain: Domain,
    console: Path,
    *answers: str,
    accelerator: str = "tcg",
) -> OtherMachines:
    """Return machines whose shop answers like this, one after the other.

    After "console: " and "ready: " comes what is on their console; after the first the shop never
    answers.
    """
    clock = FakeClock()
    left = iter(answers)

    def ready(*_where: Any, sleep: Any, **_how: Any) -> str:
        answer = next(left, "")
        if answer.startswith(("console: ", "ready: ")):
            console.with_name("triptych-s-portability-console.log").write_text(answer)
            for _ in range(200):
                sleep(1)
        return "" if answer.startswith("ready: ") else answer

    found = replace(target("vm", {"console_log": str(console)}), accelerator=accelerator)
    return OtherMachines(connection, domain, found, ready=ready, sleep=clock.sleep, clock=clock)


def test_disks_are_tried_in_layers_and_the_stack_runs_again(tmp_path: Path) -> None:
    connection, domain = Connection(), Domain()
    with machines(connection, domain, tmp_path / "console.log").environments() as found:
        own, *others = found
        assert own.trial()[0]
        assert domain.states == []
        assert [other.trial()[0] for other in others[:2]] == [True, True]
        assert domain.states == ["off"]
    assert domain.states == ["off", "on"]
    assert [other.states for other in connection.others] == [["off"], ["off"]]
    assert connection.pool.made == ["/p/root.qcow2", "/p/data"] * 2
    assert connection.pool.layers == []


PANIC = """[   43.1] Kernel panic - not syncing: VFS
[   43.2] ---[ end Kernel panic - not syncing: VFS ]---
"""


@pytest.mark.parametrize(
    ("console", "evidence"),
    [
        ("console: ALERT!  LABEL=x does not exist.\n", "ALERT!  LABEL=x does not exist."),
        (f"console: {PANIC * 3}", "panicked 3 times: Kernel panic - not syncing: VFS"),
        ("console: TRIPTYCH workload-started\n", "no network leads there"),
        ("no answer", "not ready after 420 s: no answer"),
    ],
)
def test_a_machine_that_gives_up_says_why(tmp_path: Path, console: str, evidence: str) -> None:
    connection, domain = Connection(), Domain()
    tried = machines(connection, domain, tmp_path / "console.log", console)
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert not worked
    assert evidence in how
    assert list(tmp_path.iterdir()) == []
    assert connection.pool.layers == []
    assert domain.states == ["off", "on"]


def test_an_emulated_machine_may_start_again_after_a_panic(tmp_path: Path) -> None:
    # The first start came as far as the shop: it doesn't count for the one after it.
    console = f"TRIPTYCH workload-started\n{PANIC}{PANIC}"
    tried = machines(Connection(), Domain(), tmp_path / "console.log", f"ready: {console}")
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert worked
    assert how.endswith("s later, its kernel panicked 2 times: Kernel panic - not syncing: VFS")


def test_a_panic_with_a_processors_help_is_the_machines(tmp_path: Path) -> None:
    tried = machines(
        Connection(), Domain(), tmp_path / "console.log", f"ready: {PANIC}", accelerator="kvm"
    )
    with tried.environments() as found:
        worked, how = found[1].trial()
    assert not worked
    assert how == "its kernel panicked once: Kernel panic - not syncing: VFS"


def test_a_device_that_qemu_does_not_have_is_not_the_disks_fault(tmp_path: Path) -> None:
    connection, domain = Connection(refuses=True), Domain()
    with (
        machines(connection, domain, tmp_path / "console.log").environments() as found,
        pytest.raises(ProbeError, match="no such device"),
    ):
        found[1].trial()
    assert connection.pool.layers == []
    assert domain.states == ["off", "on"]


def test_a_stack_that_does_not_come_back_is_said(tmp_path: Path) -> None:
    tried = machines(Connection(), Domain(), tmp_path / "console.log", "", "refused")
    with pytest.raises(ProbeError, match="not ready again: refused"), tried.environments() as found:
        found[1].trial()


def test_nothing_is_turned_off_where_nothing_is_tried(tmp_path: Path) -> None:
    domain = Domain()
    with machines(Connection(), domain, tmp_path / "console.log").environments():
        pass
    assert domain.states == []
