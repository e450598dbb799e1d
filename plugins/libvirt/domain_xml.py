"""Domain: inputs, and what was looked up for them, to libvirt XML."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from plugins.bridge import UserError
from plugins.libvirt import xml

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
_WITHOUT_SPICE = ("aarch64", "s390x", "ppc64")
_DIRECT_MODES = {"vepa": "vepa", "macvtap": "bridge", "passthrough": "passthrough"}


@dataclass(frozen=True)
class VolumeRef:
    """Where a volume is: its pool, its name there, and its format."""

    pool: str
    name: str
    format: str


@dataclass(frozen=True)
class Facts:
    """What the XML needs beyond the inputs.

    `volumes` by volume id; `networks` and `macs` by the interface's index, None where the
    interface is on no libvirt network.
    """

    uuid: str
    host_arch: str
    volumes: Mapping[str, VolumeRef] = field(default_factory=dict)
    networks: tuple[str | None, ...] = ()
    macs: tuple[str, ...] = ()
    cloudinit_path: str | None = None


def random_mac() -> str:
    """MAC address in the range of QEMU/KVM guests, upper case as upstream writes it."""
    tail = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))
    return f"52:54:00:{tail}"


def domain_xml(inputs: Mapping[str, Any], facts: Facts) -> str:
    """Define XML of a domain, element for element as upstream's provider makes it."""
    ignition = inputs.get("coreosIgnition")
    root = etree.Element("domain", nsmap={"qemu": _QEMU} if ignition else None)
    root.set("type", str(inputs.get("type") or "kvm"))
    xml.add(root, "name", inputs["name"])
    xml.add(root, "uuid", facts.uuid)
    if inputs.get("description"):
        xml.add(root, "description", inputs["description"])
    xml.add(root, "memory", inputs.get("memory") or 512, attributes={"unit": "MiB"})
    xml.add(root, "vcpu", inputs.get("vcpu") or 1)
    _add_os(root, inputs, facts)
    if (inputs.get("arch") or facts.host_arch) != "s390x":
        features = xml.add(root, "features")
        for feature in ("pae", "acpi", "apic"):
            xml.add(features, feature)
    xml.add(root, "cpu", attributes={"mode": (inputs.get("cpu") or {}).get("mode")})
    devices = xml.add(root, "devices")
    if inputs.get("emulator"):
        xml.add(devices, "emulator", inputs["emulator"])
    _add_disks(devices, inputs, facts)
    if facts.cloudinit_path:
        devices.append(cloudinit_disk(facts.cloudinit_path))
    for index, filesystem in enumerate(inputs.get("filesystems") or []):
        _add_filesystem(devices, index, filesystem)
    for index, interface in enumerate(inputs.get("networkInterfaces") or []):
        _add_interface(devices, index, interface, facts)
    for index, console in enumerate(inputs.get("consoles") or []):
        _add_console(devices, index, console)
    channel = xml.add(devices, "channel", attributes={"type": "unix"})
    agent = {"type": "virtio", "name": "org.qemu.guest_agent.0"}
    xml.add(channel, "target", attributes=agent)
    _add_tpm(devices, inputs.get("tpm"))
    _add_graphics(devices, inputs.get("graphics"), facts.host_arch)
    if inputs.get("video"):
        model = {"type": inputs["video"].get("type") or "cirrus"}
        xml.add(xml.add(devices, "video"), "model", attributes=model)
    rng = xml.add(devices, "rng", attributes={"model": "virtio"})
    rng_device = os.environ.get("TF_LIBVIRT_RNG_DEV") or "/dev/urandom"
    xml.add(rng, "backend", rng_device, attributes={"model": "random"})
    if ignition:
        line = xml.add(root, f"{{{_QEMU}}}commandline")
        key = str(ignition).partition(";")[0]
        fw_cfg = f"name={inputs.get('fwCfgName') or 'opt/com.coreos/config'},file={key}"
        for value in ("-fw_cfg", fw_cfg):
            xml.add(line, f"{{{_QEMU}}}arg", attributes={"value": value})
    return xml.render(root)


def _add_os(root: xml.Element, inputs: Mapping[str, Any], facts: Facts) -> None:
    arch = inputs.get("arch")
    block = xml.add(root, "os")
    if (arch or facts.host_arch) == "aarch64":
        block.set("firmware", "efi")
    machine = {"arch": arch, "machine": inputs.get("machine")}
    xml.add(block, "type", "hvm", attributes=machine)
    if inputs.get("firmware"):
        flags = {"readonly": "yes", "secure": "no", "type": "pflash"}
        xml.add(block, "loader", inputs["firmware"], attributes=flags)
        nvram = inputs.get("nvram")
        if nvram:
            template = {"template": nvram.get("template")}
            xml.add(block, "nvram", nvram.get("file"), attributes=template)
    for key in ("kernel", "initrd"):
        if inputs.get(key):
            xml.add(block, key, inputs[key])
    cmdline = kernel_command_line(inputs.get("cmdlines") or [])
    if cmdline:
        xml.add(block, "cmdline", cmdline)
    for boot in inputs.get("bootDevices") or []:
        for device in boot.get("devs") or []:
            xml.add(block, "boot", attributes={"dev": device})


def kernel_command_line(cmdlines: Sequence[Mapping[str, Any]]) -> str:
    """Kernel command line from upstream's maps: sorted, key `_` for words without a value."""
    words = [
        str(value) if key == "_" else f"{key}={value}"
        for cmdline in cmdlines
        for key, value in cmdline.items()
    ]
    return " ".join(sorted(words))


def split_command_line(line: str) -> list[dict[str, str]] | None:
    """Kernel command line as maps, the way upstream reads it back: None when it is empty.

    All `key=value` words go in one map (a key that repeats begins the next one) and the words
    without a value together under `_` in a last one.
    """
    maps: list[dict[str, str]] = []
    current: dict[str, str] = {}
    plain = []
    for word in line.split(" "):
        key, separator, value = word.partition("=")
        if not separator:
            if word:
                plain.append(word)
            continue
        if key in current:
            maps.append(current)
            current = {}
        current[key] = value
    if current:
        maps.append(current)
    if plain:
        maps.append({"_": " ".join(plain)})
    return maps or None


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def _add_disks(devices: xml.Element, inputs: Mapping[str, Any], facts: Facts) -> None:
    isos = scsis = 0
    for index, disk in enumerate(inputs.get("disks") or []):
        target = {"dev": f"vd{_letters(index)}", "bus": "virtio"}
        driver = {"name": "qemu", "type": "raw"}
        device, wwn = "disk", ""
        if disk.get("scsi"):
            target = {"dev": f"sd{_letters(scsis)}", "bus": "scsi"}
            wwn = disk.get("wwn") or f"05abcd{secrets.token_hex(5)}"
            scsis += 1
        location = disk.get("url") or disk.get("file") or ""
        path = urlsplit(location).path if disk.get("url") else location
        if not disk.get("volumeId") and location:
            if path.endswith(".iso"):
                device = "cdrom"
                target = {"dev": f"hd{_letters(isos)}", "bus": "ide"}
                isos += 1
            elif path.endswith(".qcow2"):
                driver["type"] = "qcow2"
        element = etree.SubElement(devices, "disk")
        source = _disk_source(disk, facts, driver)
        kind = source.pop("kind", "file")
        element.set("type", kind)
        element.set("device", device)
        xml.add(element, "driver", attributes=driver)
        host = source.pop("host", None)
        block = xml.add(element, "source", attributes=source) if source else None
        if block is not None and host is not None:
            xml.add(block, "host", attributes=host)
        xml.add(element, "target", attributes=target)
        if wwn:
            xml.add(element, "wwn", wwn)
    if scsis:
        controller = {"type": "scsi", "model": "virtio-scsi"}
        xml.add(devices, "controller", attributes=controller)


def _disk_source(disk: Mapping[str, Any], facts: Facts, driver: dict[str, str]) -> dict[str, Any]:
    """Attributes of a disk's `<source>`, with `kind` (and `host`); sets the driver's type."""
    if disk.get("volumeId"):
        volume = facts.volumes[disk["volumeId"]]
        if volume.format in ("qcow2", "raw"):
            driver["type"] = volume.format
        return {"kind": "volume", "pool": volume.pool, "volume": volume.name}
    if disk.get("url"):
        url = urlsplit(disk["url"])
        host = {"name": url.hostname, "port": url.port}
        return {"kind": "network", "protocol": url.scheme, "name": url.path, "host": host}
    if disk.get("file"):
        return {"kind": "file", "file": disk["file"]}
    if disk.get("blockDevice"):
        return {"kind": "block", "dev": disk["blockDevice"]}
    raise UserError("each of `disks` needs volumeId, url, file or blockDevice")


def cloudinit_disk(path: str) -> xml.Element:
    """Make the CD-ROM with the cloud-init image; its serial number marks it as that."""
    disk = xml.root("disk", type="file", device="cdrom")
    xml.add(disk, "driver", attributes={"name": "qemu", "type": "raw"})
    xml.add(disk, "source", attributes={"file": path})
    xml.add(disk, "target", attributes={"dev": "hdd", "bus": "ide"})
    xml.add(disk, "serial", "cloudinit")
    return disk


def _add_filesystem(devices: xml.Element, index: int, filesystem: Mapping[str, Any]) -> None:
    for key in ("source", "target"):
        if not filesystem.get(key):
            raise UserError(f"filesystems[{index}] must have a '{key}' set")
    mode = {"type": "mount", "accessmode": filesystem.get("accessmode") or "mapped"}
    block = xml.add(devices, "filesystem", attributes=mode)
    xml.add(block, "source", attributes={"dir": filesystem["source"]})
    xml.add(block, "target", attributes={"dir": filesystem["target"]})
    if filesystem.get("readonly", True):
        xml.add(block, "readonly")


def _add_interface(
    devices: xml.Element, index: int, interface: Mapping[str, Any], facts: Facts
) -> None:
    network = facts.networks[index]
    direct = next((key for key in _DIRECT_MODES if interface.get(key)), None)
    if network is not None:
        kind, source = "network", {"network": network}
    elif interface.get("bridge"):
        kind, source = "bridge", {"bridge": interface["bridge"]}
    elif direct:
        kind, source = "direct", {"dev": interface[direct], "mode": _DIRECT_MODES[direct]}
    else:
        raise UserError(
            f"networkInterfaces[{index}] needs one of networkId, networkName, bridge, vepa, "
            "macvtap, passthrough"
        )
    block = xml.add(devices, "interface", attributes={"type": kind})
    xml.add(block, "mac", attributes={"address": facts.macs[index]})
    xml.add(block, "source", attributes=source)
    xml.add(block, "model", attributes={"type": "virtio"})


def _add_console(devices: xml.Element, index: int, console: Mapping[str, Any]) -> None:
    port = str(console.get("targetPort", ""))
    if not port.isdigit() or int(port) > 0xFFFF:
        raise UserError(f"consoles[{index}]: invalid targetPort '{port}'")
    kind = str(console.get("type", ""))
    path = console.get("sourcePath")
    # Upstream writes every type but tcp and pty as `dev`, if it has a path.
    kind = kind if kind in ("tcp", "pty") else ("dev" if path else "pty")
    block = xml.add(devices, "console", attributes={"type": kind})
    if kind == "tcp":
        source = {
            "mode": "bind",
            "host": console.get("sourceHost") or "127.0.0.1",
            "service": console.get("sourceService") or "0",
        }
        xml.add(block, "source", attributes=source)
        xml.add(block, "protocol", attributes={"type": "telnet"})
    elif path:
        xml.add(block, "source", attributes={"path": path})
    xml.add(block, "target", attributes={"type": console.get("targetType"), "port": port})


def _add_tpm(devices: xml.Element, tpm: Mapping[str, Any] | None) -> None:
    if not tpm:
        return
    kind = tpm.get("backendType") or "emulator"
    if kind not in ("emulator", "passthrough"):
        raise UserError(f"tpm.backendType '{kind}' is not supported: use emulator or passthrough")
    block = xml.add(devices, "tpm", attributes={"model": tpm.get("model")})
    backend = xml.add(block, "backend", attributes={"type": kind})
    if kind == "passthrough":
        if tpm.get("backendDevicePath"):
            xml.add(backend, "device", attributes={"path": tpm["backendDevicePath"]})
        return
    if tpm.get("backendVersion"):
        backend.set("version", tpm["backendVersion"])
    if tpm.get("backendPersistentState") is not None:
        backend.set("persistent_state", "yes" if tpm["backendPersistentState"] else "no")
    if tpm.get("backendEncryptionSecret"):
        secret = {"secret": tpm["backendEncryptionSecret"]}
        xml.add(backend, "encryption", attributes=secret)


def _add_graphics(devices: xml.Element, graphics: Mapping[str, Any] | None, host_arch: str) -> None:
    if host_arch.startswith(_WITHOUT_SPICE):
        return
    if not graphics:
        # Upstream's default, with nothing to turn it off but a stylesheet.
        xml.add(devices, "graphics", attributes={"type": "spice", "autoport": "yes"})
        return
    kind = graphics.get("type") or "spice"
    if kind not in ("spice", "vnc"):
        raise UserError(
            f"this provider only supports vnc/spice as graphics type. Provided: '{kind}' "
            "(to have none, remove the element with xml.xslt)"
        )
    autoport = "yes" if graphics.get("autoport", True) else "no"
    attributes: dict[str, Any] = {"type": kind, "autoport": autoport}
    if kind == "vnc":
        attributes["websocket"] = graphics.get("websocket")
    block = xml.add(devices, "graphics", attributes=attributes)
    listen = graphics.get("listenType") or "none"
    listener = {"type": listen}
    if listen == "address":
        listener["address"] = graphics.get("listenAddress") or "127.0.0.1"
    xml.add(block, "listen", attributes=listener)
