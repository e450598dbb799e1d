"""Domain: libvirt's XML to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plugins.libvirt import xml
from plugins.libvirt.domain_xml import split_command_line

# State that upstream keeps for Terraform's sake: the time-out of a create, 5 minutes in ns.
META = '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":300000000000}}'
_DISK = {
    "blockDevice": "",
    "file": "",
    "scsi": False,
    "url": "",
    "volumeId": "",
    "wwn": "",
}
_CONSOLE = {
    "sourceHost": "127.0.0.1",
    "sourcePath": "",
    "sourceService": "0",
    "targetPort": "",
    "targetType": "",
    "type": "",
}
_CPU_MODES = ("host-passthrough", "host-model", "maximum")
# libvirt keeps the machine types `pc` and `q35` under the name of their newest version.
_VERSIONED = {"pc": "pc-i440fx-", "q35": "pc-q35-"}
_MIB_PER = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}


@dataclass(frozen=True)
class NetworkInfo:
    """A network as a domain's interface sees it."""

    id: str
    dhcp_hostname: str = ""


@dataclass(frozen=True)
class Seen:
    """What libvirt says about a domain: its definition and what is known of it while it runs.

    `volume_id(pool, name)` gives a volume's id, `networks` what is known by network name,
    `addresses` the guest's addresses by upper-case MAC, `short_machine(name)` the short name of a
    versioned machine type.
    """

    definition: str
    running: bool
    autostart: bool
    short_machine: Callable[[str], str] = lambda machine: machine
    networks: Mapping[tuple[str, str], NetworkInfo] = field(default_factory=dict)
    addresses: Mapping[str, list[str]] = field(default_factory=dict)
    volume_id: Callable[[str, str], str] = lambda pool, name: ""


def domain_outputs(seen: Seen, prior: Mapping[str, Any]) -> dict[str, Any]:
    """Return a domain's outputs; what libvirt does not tell comes from `prior`.

    `prior` is the last known state (the inputs on creation, empty for an import).
    """
    root = xml.parse(seen.definition)
    machine = xml.attribute(root, "os/type", "machine")
    memory = root.find("memory")
    unit = "KiB" if memory is None else memory.get("unit", "KiB")
    return {
        "__meta": prior.get("__meta", META),
        "arch": xml.attribute(root, "os/type", "arch"),
        "autostart": seen.autostart,
        "bootDevices": prior.get("bootDevices") or [],
        "cloudinit": prior.get("cloudinit"),
        "cmdlines": split_command_line(xml.text(root, "os/cmdline")),
        "consoles": _consoles(root, prior),
        "coreosIgnition": prior.get("coreosIgnition", ""),
        "cpu": _cpu(root, prior),
        "description": xml.text(root, "description"),
        "disks": _disks(root, prior.get("disks") or [], seen.volume_id),
        "emulator": xml.text(root, "devices/emulator"),
        "filesystems": prior.get("filesystems") or [],
        "firmware": xml.text(root, "os/loader") or None,
        "fwCfgName": prior.get("fwCfgName", "opt/com.coreos/config"),
        "graphics": prior.get("graphics"),
        "id": xml.text(root, "uuid"),
        "initrd": xml.text(root, "os/initrd"),
        "kernel": xml.text(root, "os/kernel"),
        "machine": _machine(machine, prior.get("machine") or "", seen),
        "memory": round(int(xml.text(root, "memory", "0")) * _MIB_PER[unit]),
        "metadata": None,
        "name": xml.text(root, "name"),
        "networkInterfaces": _interfaces(root, prior.get("networkInterfaces") or [], seen),
        "nvram": prior.get("nvram"),
        "qemuAgent": bool(prior.get("qemuAgent")),
        "running": seen.running,
        "tpm": prior.get("tpm"),
        "type": root.get("type"),
        "vcpu": int(xml.text(root, "vcpu", "1")),
        "video": prior.get("video"),
        "xml": prior.get("xml"),
    }


def _machine(machine: str, prior: str, seen: Seen) -> str:
    """Return the name by which the machine type was asked for."""
    if machine == prior or (prior in _VERSIONED and machine.startswith(_VERSIONED[prior])):
        return prior
    return seen.short_machine(machine)


def _cpu(root: xml.Element, prior: Mapping[str, Any]) -> dict[str, Any] | None:
    mode = xml.attribute(root, "cpu", "mode")
    if prior.get("cpu"):
        return {"mode": mode or prior["cpu"].get("mode")}
    # Without a mode in the program libvirt writes down its default: that is no difference.
    return {"mode": mode} if not prior and mode in _CPU_MODES else None


def _consoles(root: xml.Element, prior: Mapping[str, Any]) -> list[dict[str, Any]]:
    if prior:
        return [{**_CONSOLE, **console} for console in prior.get("consoles") or []]
    consoles = []
    for element in root.findall("devices/console"):
        found = {
            "sourceHost": xml.attribute(element, "source", "host"),
            "sourcePath": xml.attribute(element, "source", "path"),
            "sourceService": xml.attribute(element, "source", "service"),
            "targetPort": xml.attribute(element, "target", "port"),
            "targetType": xml.attribute(element, "target", "type"),
            "type": element.get("type", ""),
        }
        consoles.append({**_CONSOLE, **{key: value for key, value in found.items() if value}})
    return consoles


def _disks(
    root: xml.Element, prior: list[Mapping[str, Any]], volume_id: Callable[[str, str], str]
) -> list[dict[str, Any]]:
    disks: list[dict[str, Any]] = []
    for element in root.findall("devices/disk"):
        if xml.text(element, "serial") in ("cloudinit", "ignition"):
            continue
        known = prior[len(disks)] if len(disks) < len(prior) else {}
        disk: dict[str, Any] = {
            **_DISK,
            "scsi": xml.attribute(element, "target", "bus") == "scsi",
            # A WWN that the program did not choose is random: writing it down would be a change.
            "wwn": xml.text(element, "wwn") if known.get("wwn") or not prior else "",
        }
        source = element.find("source")
        if source is None:
            disks.append(disk)
            continue
        if element.get("type") == "network":
            host = source.find("host")
            name, port = ("", "") if host is None else (host.get("name"), host.get("port"))
            authority = f"{name}:{port}" if port and f":{port}/" in known.get("url", "") else name
            disk["url"] = f"{source.get('protocol')}://{authority}{source.get('name')}"
        elif element.get("type") == "volume":
            pool, name = source.get("pool", ""), source.get("volume", "")
            disk["volumeId"] = volume_id(pool, name) or f"{pool}/{name}"
        elif element.get("type") == "block":
            disk["blockDevice"] = source.get("dev", "")
        else:
            disk["file"] = source.get("file", "")
        disks.append(disk)
    return disks


def _interfaces(
    root: xml.Element, prior: list[Mapping[str, Any]], seen: Seen
) -> list[dict[str, Any]]:
    interfaces = []
    for index, element in enumerate(root.findall("devices/interface")):
        known = prior[index] if index < len(prior) else {}
        mac = xml.attribute(element, "mac", "address").upper()
        interface: dict[str, Any] = {
            "addresses": list(seen.addresses.get(mac, [])),
            "bridge": "",
            "hostname": known.get("hostname") or "",
            "mac": mac,
            "macvtap": "",
            "networkId": "",
            "networkName": "",
            "passthrough": "",
            "vepa": "",
            "waitForLease": bool(known.get("waitForLease")),
        }
        source = element.find("source")
        kind = element.get("type")
        if source is not None and kind == "network":
            name = source.get("network", "")
            info = seen.networks.get((name, mac), NetworkInfo(id=""))
            interface["networkName"] = name
            interface["networkId"] = info.id
            interface["hostname"] = info.dhcp_hostname or interface["hostname"]
        elif source is not None and kind == "bridge":
            interface["bridge"] = source.get("bridge", "")
        elif source is not None and kind == "direct":
            key = {"vepa": "vepa", "bridge": "macvtap", "passthrough": "passthrough"}
            interface[key.get(source.get("mode", ""), "macvtap")] = source.get("dev", "")
        interfaces.append(interface)
    return interfaces


def interfaces_on_networks(definition: str) -> list[tuple[str, str]]:
    """Network name and upper-case MAC of each interface that is on a libvirt network."""
    return [
        (
            xml.attribute(element, "source", "network"),
            xml.attribute(element, "mac", "address").upper(),
        )
        for element in xml.parse(definition).findall("devices/interface")
        if element.get("type") == "network"
    ]


def machine_names(capabilities: str, arch: str) -> dict[str, str]:
    """Canonical machine names of an architecture to the short ones (`pc-i440fx-7.2` to `pc`)."""
    return {
        machine.get("canonical", ""): (machine.text or "").strip()
        for guest_arch in xml.parse(capabilities).findall("guest/arch")
        if guest_arch.get("name") == arch
        for machine in guest_arch.findall("machine")
        if machine.get("canonical")
    }
