"""A domain's inputs to XML and back."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from plugins.bridge import UserError
from plugins.bridge.diff import diff_fields
from plugins.libvirt import xml
from plugins.libvirt.domain_read import Seen, domain_outputs
from plugins.libvirt.domain_schema import INPUTS
from plugins.libvirt.domain_xml import (
    Facts,
    VolumeRef,
    domain_xml,
    kernel_command_line,
    split_command_line,
)

UUID = "00000000-0000-0000-0000-000000000001"


def domain(inputs: dict[str, Any], **facts: Any) -> etree._Element:
    given = {"name": "vm", **inputs}
    return xml.parse(domain_xml(given, Facts(uuid=UUID, host_arch="x86_64", **facts)))


def test_smallest_domain_has_upstream_defaults() -> None:
    root = domain({})
    assert root.get("type") == "kvm"
    assert xml.text(root, "memory") == "512"
    assert xml.text(root, "vcpu") == "1"
    assert [e.tag for e in root.find("features")] == ["pae", "acpi", "apic"]  # type: ignore[union-attr]
    assert xml.attribute(root, "devices/graphics", "type") == "spice"
    assert xml.attribute(root, "devices/channel/target", "name") == "org.qemu.guest_agent.0"
    assert xml.text(root, "devices/rng/backend") == "/dev/urandom"


def test_disks_of_every_kind() -> None:
    disks = [
        {"volumeId": "/p/a"},
        {"volumeId": "/p/b", "scsi": True, "wwn": "05abcd0123456789"},
        {"file": "/iso/x.iso"},
        {"file": "/img/y.qcow2"},
        {"url": "http://h:81/z.iso"},
        {"blockDevice": "/dev/sdz"},
    ]
    volumes = {"/p/a": VolumeRef("p", "a", "qcow2"), "/p/b": VolumeRef("p", "b", "raw")}
    root = domain({"disks": disks}, volumes=volumes, cloudinit_path="/p/ci.iso")
    seen = [
        (
            disk.get("type"),
            disk.get("device"),
            xml.attribute(disk, "driver", "type"),
            xml.attribute(disk, "target", "dev"),
            xml.attribute(disk, "target", "bus"),
        )
        for disk in root.findall("devices/disk")
    ]
    assert seen == [
        ("volume", "disk", "qcow2", "vda", "virtio"),
        ("volume", "disk", "raw", "sda", "scsi"),
        ("file", "cdrom", "raw", "hda", "ide"),
        ("file", "disk", "qcow2", "vdd", "virtio"),
        ("network", "cdrom", "raw", "hdb", "ide"),
        ("block", "disk", "raw", "vdf", "virtio"),
        ("file", "cdrom", "raw", "hdd", "ide"),
    ]
    assert xml.attribute(root, "devices/controller", "model") == "virtio-scsi"
    assert xml.text(root, "devices/disk[7]/serial") == "cloudinit"
    assert xml.text(root, "devices/disk[2]/wwn") == "05abcd0123456789"

    outputs = domain_outputs(_seen(root), {"disks": disks, "name": "vm"})
    changes = list(diff_fields({"disks": INPUTS["disks"]}, outputs, {"disks": disks}))
    assert changes == []


def _seen(root: etree._Element) -> Seen:
    return Seen(
        definition=xml.render(root),
        running=True,
        autostart=False,
        volume_id=lambda pool, name: f"/{pool}/{name}",
    )


def test_interfaces_of_every_kind() -> None:
    interfaces = [
        {"networkId": "u", "mac": "52:54:00:00:00:01"},
        {"bridge": "br0"},
        {"macvtap": "eth0"},
        {"vepa": "eth1"},
        {"passthrough": "eth2"},
    ]
    macs = tuple(f"52:54:00:00:00:0{n}" for n in range(5))
    networks = ("n", None, None, None, None)
    root = domain({"networkInterfaces": interfaces}, macs=macs, networks=networks)
    sources = [
        (element.get("type"), dict(element.find("source").attrib))  # type: ignore[union-attr]
        for element in root.findall("devices/interface")
    ]
    assert sources == [
        ("network", {"network": "n"}),
        ("bridge", {"bridge": "br0"}),
        ("direct", {"dev": "eth0", "mode": "bridge"}),
        ("direct", {"dev": "eth1", "mode": "vepa"}),
        ("direct", {"dev": "eth2", "mode": "passthrough"}),
    ]
    with pytest.raises(UserError, match=r"networkInterfaces\[0\] needs one of"):
        domain({"networkInterfaces": [{}]}, macs=macs[:1], networks=(None,))


def test_boot_firmware_consoles_graphics_and_the_rest() -> None:
    root = domain(
        {
            "kernel": "/k",
            "initrd": "/i",
            "cmdlines": [{"root": "/dev/vda", "console": "ttyS0"}, {"_": "ro quiet"}],
            "firmware": "/fw.fd",
            "nvram": {"file": "/vars.fd", "template": "/t.fd"},
            "bootDevices": [{"devs": ["hd", "network"]}],
            "consoles": [
                {"type": "pty", "targetPort": "0", "targetType": "serial"},
                {"type": "tcp", "targetPort": "1", "sourceService": "99"},
                {"type": "file", "targetPort": "2", "sourcePath": "/log"},
            ],
            "graphics": {"type": "vnc", "listenType": "address", "websocket": -1},
            "video": {"type": "vga"},
            "filesystems": [{"source": "/s", "target": "t", "readonly": False}],
            "tpm": {"backendVersion": "2.0", "model": "tpm-tis"},
            "cpu": {"mode": "maximum"},
        }
    )
    assert xml.text(root, "os/kernel") == "/k"
    assert xml.text(root, "os/cmdline") == "console=ttyS0 ro quiet root=/dev/vda"
    assert xml.text(root, "os/loader") == "/fw.fd"
    assert xml.attribute(root, "os/nvram", "template") == "/t.fd"
    assert [e.get("dev") for e in root.findall("os/boot")] == ["hd", "network"]
    assert [e.get("type") for e in root.findall("devices/console")] == ["pty", "tcp", "dev"]
    assert dict(root.find("devices/graphics/listen").attrib) == {  # type: ignore[union-attr]
        "type": "address",
        "address": "127.0.0.1",
    }
    assert xml.attribute(root, "devices/graphics", "websocket") == "-1"
    assert root.find("devices/filesystem/readonly") is None
    assert xml.attribute(root, "devices/tpm/backend", "version") == "2.0"
    assert xml.attribute(root, "cpu", "mode") == "maximum"


def test_graphics_none_is_refused_as_upstream_does() -> None:
    with pytest.raises(UserError, match="only supports vnc/spice"):
        domain({"graphics": {"type": "none"}})


def test_kernel_command_line_comes_back_as_upstream_reads_it() -> None:
    maps = [{"console": "ttyS0", "root": "/dev/vda"}, {"_": "quiet ro"}]
    assert split_command_line(kernel_command_line(maps)) == maps
    twice = [{"console": "tty0"}, {"console": "ttyS0"}]
    assert split_command_line(kernel_command_line(twice)) == twice
    assert split_command_line("") is None
