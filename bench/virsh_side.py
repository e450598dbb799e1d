"""virsh's side: the stack's own domain under another name, by qemu-img and `virsh create`."""

from __future__ import annotations

import ipaddress
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

from bench import commands
from bench.stopwatch import Stopwatch
from probe.errors import ProbeError
from shop import catalogue

NAME: Final = "triptych-bench-virsh"
MAC: Final = "52:54:00:be:0c:01"
#: Beside the stacks' own pools: libvirt's security drivers let QEMU read there.
FOLDER: Final = Path("/var/lib/libvirt/triptych/bench-virsh")
CONSOLE: Final = Path(f"/var/log/libvirt/qemu/{NAME}-console.log")
TIMEOUT_S: Final = 300.0


@dataclass(frozen=True)
class Files:
    """Where this side's disks lie."""

    root: Path
    data: Path
    seed: Path

    @classmethod
    def under(cls, folder: Path) -> Files:
        """Return the files of a folder."""
        return cls(folder / "root.qcow2", folder / "data.qcow2", folder / "seed.iso")


def adapt(xml: str, files: Files) -> str:
    """Return a domain's XML under our name, with our disks, MAC address, network and console."""
    domain: Any = etree.fromstring(xml.encode())
    for node in domain.findall("uuid"):
        domain.remove(node)
    domain.find("name").text = NAME
    for disk in domain.iterfind("devices/disk"):
        source = disk.find("source")
        old = source.get("file") or source.get("volume") or ""
        if disk.get("device") == "cdrom" or old.endswith(".iso"):
            new = files.seed
        else:
            new = files.root if "-root-" in old else files.data
        disk.set("type", "file")
        source.attrib.clear()
        source.set("file", str(new))
    for interface in domain.iterfind("devices/interface"):
        interface.find("mac").set("address", MAC)
        source = interface.find("source")
        source.attrib.clear()
        source.set("network", NAME)
    for kind in ("serial", "console"):
        for source in domain.iterfind(f"devices/{kind}[@type='file']/source"):
            source.set("path", str(CONSOLE))
    return str(etree.tostring(domain, encoding="unicode"))


def seed_of(xml: str) -> Path:
    """Return the cloud-init disk of a domain."""
    domain: Any = etree.fromstring(xml.encode())
    for source in domain.iterfind("devices/disk/source"):
        path = source.get("file") or ""
        if path.endswith(".iso"):
            return Path(path)
    raise ProbeError("the stack's domain has no cloud-init disk")


def network_xml(subnet: ipaddress.IPv4Network, address: str) -> str:
    """Return a NAT network with the machine's address reserved."""
    return (
        f"<network><name>{NAME}</name><forward mode='nat'/><domain name='{NAME}.test'/>"
        f"<ip address='{subnet.network_address + 1}' netmask='{subnet.netmask}'><dhcp>"
        f"<range start='{subnet.network_address + 2}' end='{subnet.broadcast_address - 1}'/>"
        f"<host mac='{MAC}' name='shop' ip='{address}'/></dhcp></ip></network>"
    )


@dataclass(frozen=True)
class VirshSide:
    """The same disk with the same seed, by hand."""

    uri: str
    golden: Path
    subnet: ipaddress.IPv4Network
    address: str

    @property
    def url(self) -> str:
        """Return where the machine's gateway will answer."""
        return f"https://{self.address}:8443"

    def create(self, domain_xml: str) -> None:
        """Take over a stack's domain: its XML and its seed; like a program, they are not timed."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(seed_of(domain_xml), FOLDER / "seed.master.iso")
        (FOLDER / "domain.xml").write_text(adapt(domain_xml, Files.under(FOLDER)), encoding="utf-8")
        (FOLDER / "network.xml").write_text(
            network_xml(self.subnet, self.address), encoding="utf-8"
        )

    def first_transaction(self) -> float:
        """Make disks, network and domain; return the seconds to the first transaction."""
        files = Files.under(FOLDER)
        watch = Stopwatch(self.url)
        try:
            started_at = time.monotonic()
            _make_disk("-F", "qcow2", "-b", self.golden, files.root)
            _make_disk(files.data, str(catalogue.MACHINE.data_disk_bytes))
            shutil.copyfile(FOLDER / "seed.master.iso", files.seed)
            self._virsh("net-create", FOLDER / "network.xml")
            self._virsh("create", FOLDER / "domain.xml")
            return watch.seconds_since(started_at, TIMEOUT_S)
        finally:
            watch.close()

    def down(self) -> None:
        """Remove domain, network and disks; what is not there is no fault."""
        for words in (("destroy", NAME), ("net-destroy", NAME)):
            with suppress(ProbeError):
                self._virsh(*words)
        for path in (Files.under(FOLDER).root, Files.under(FOLDER).data, CONSOLE):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, seed included."""
        self.down()
        shutil.rmtree(FOLDER, ignore_errors=True)

    def _virsh(self, *words: str | Path) -> None:
        commands.run(["virsh", "--connect", self.uri, "--quiet", *words], cwd=Path("/"))


def _make_disk(*words: str | Path) -> None:
    commands.run(["qemu-img", "create", "-q", "-f", "qcow2", *words], cwd=Path("/"))
