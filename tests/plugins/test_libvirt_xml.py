"""The pure parts: inputs to XML and back, ISO images, error texts. No libvirtd needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from plugins.bridge import UserError
from plugins.bridge.diff import diff_fields
from plugins.libvirt import iso9660, source, xml
from plugins.libvirt.domain_read import Seen, domain_outputs
from plugins.libvirt.domain_schema import INPUTS
from plugins.libvirt.domain_xml import (
    Facts,
    VolumeRef,
    domain_xml,
    kernel_command_line,
    split_command_line,
)
from plugins.libvirt.network_xml import network_outputs, network_xml
from plugins.libvirt.volume_xml import BackingStore, pool_xml, volume_xml

UUID = "00000000-0000-0000-0000-000000000001"


def canonical(document: str) -> str:
    parser = etree.XMLParser(remove_blank_text=True)
    return etree.tostring(etree.fromstring(document, parser), pretty_print=True).decode()


def domain(inputs: dict[str, Any], **facts: Any) -> etree._Element:
    given = {"name": "vm", **inputs}
    return xml.parse(domain_xml(given, Facts(uuid=UUID, host_arch="x86_64", **facts)))


def test_pool_and_volume() -> None:
    inputs = {"name": "p", "type": "dir", "target": {"path": "/a/b"}}
    assert canonical(pool_xml(inputs)) == canonical(
        "<pool type='dir'><name>p</name><target><path>/a/b</path></target></pool>"
    )
    backing = BackingStore("/a/base", "qcow2", 10)
    document = volume_xml("v", capacity_bytes=20, format_="qcow2", backing=backing)
    assert canonical(document) == canonical(
        "<volume><name>v</name><allocation>0</allocation><capacity unit='bytes'>20</capacity>"
        "<target><format type='qcow2'/><permissions><mode>644</mode></permissions></target>"
        "<backingStore><path>/a/base</path><format type='qcow2'/></backingStore></volume>"
    )


def test_network_with_everything() -> None:
    inputs = {
        "name": "n",
        "mode": "nat",
        "bridge": "br7",
        "mtu": 9000,
        "domain": "a.test",
        "addresses": ["10.1.2.0/24", "fd00:1::/64"],
        "dns": {
            "enabled": True,
            "localOnly": True,
            "forwarders": [{"address": "1.1.1.1"}, {"domain": "b.test", "address": "9.9.9.9"}],
            "hosts": [{"hostname": "z", "ip": "10.1.2.9"}, {"hostname": "a", "ip": "10.1.2.9"}],
            "srvs": [{"service": "etcd", "protocol": "tcp", "target": "z", "port": "2380"}],
        },
        "routes": [{"cidr": "10.9.0.0/16", "gateway": "10.1.2.5"}],
        "dnsmasqOptions": {"options": [{"optionName": "server", "optionValue": "/x/10.0.0.1"}]},
    }
    document = network_xml(inputs)
    assert canonical(document) == canonical(
        "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'><name>n</name>"
        "<forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>"
        "<bridge name='br7' stp='on'/><mtu size='9000'/><domain name='a.test' localOnly='yes'/>"
        "<dns enable='yes'><forwarder addr='1.1.1.1'/><forwarder domain='b.test' addr='9.9.9.9'/>"
        "<srv service='etcd' protocol='tcp' target='z' port='2380'/>"
        "<host ip='10.1.2.9'><hostname>a</hostname><hostname>z</hostname></host></dns>"
        "<ip family='ipv4' address='10.1.2.1' prefix='24'><dhcp>"
        "<range start='10.1.2.2' end='10.1.2.254'/></dhcp></ip>"
        "<ip family='ipv6' address='fd00:1::1' prefix='64'><dhcp>"
        "<range start='fd00:1::2' end='fd00:1::ffff:ffff:ffff:fffe'/></dhcp></ip>"
        "<route family='ipv4' address='10.9.0.0' prefix='16' gateway='10.1.2.5'/>"
        "<dnsmasq:options><dnsmasq:option value='server=/x/10.0.0.1'/></dnsmasq:options></network>"
    )
    outputs = network_outputs(document, autostart=True, prior=inputs)
    assert outputs["addresses"] == inputs["addresses"]
    assert outputs["routes"] == inputs["routes"]
    assert outputs["mtu"] == 9000
    assert outputs["dhcp"] == {"enabled": True}


@pytest.mark.parametrize("mode", ["none", "route", "open"])
def test_network_modes_with_dhcp_off(mode: str) -> None:
    inputs = {"name": "n", "mode": mode, "addresses": ["10.1.2.0/24"], "dhcp": {"enabled": False}}
    root = xml.parse(network_xml(inputs))
    assert xml.attribute(root, "forward", "mode") == ("" if mode == "none" else mode)
    assert root.find("forward/nat") is None
    assert root.find("ip") is not None
    assert root.find("ip/dhcp") is None


def test_network_bridge_mode() -> None:
    root = xml.parse(network_xml({"name": "n", "mode": "bridge", "bridge": "br0"}))
    assert dict(root.find("bridge").attrib) == {"name": "br0"}  # type: ignore[union-attr]
    assert root.find("dns") is None


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"mode": "x"}, "unsupported network mode 'x'"),
        ({"mode": "bridge"}, "'bridge' must be provided"),
        ({"addresses": ["10.0.0.0/31"]}, "netmask seems to be too strict"),
        ({"addresses": ["ten"]}, "error parsing addresses definition 'ten'"),
        ({"dns": {"hosts": [{"ip": "x", "hostname": "h"}]}}, "could not parse address 'x'"),
        ({"routes": [{"cidr": "10.0.0.0/8", "gateway": "fd00::1"}]}, "differ in family"),
    ],
)
def test_network_mistakes_are_named(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        network_xml({"name": "n", **inputs})
    assert "\n" not in str(caught.value)


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


def test_stylesheet_is_applied_and_a_bad_one_named() -> None:
    assert shutil.which("xsltproc")
    sheet = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        '<xsl:template match="@*|node()"><xsl:copy><xsl:apply-templates select="@*|node()"/>'
        '</xsl:copy></xsl:template><xsl:template match="devices/graphics"/></xsl:stylesheet>'
    )
    document = domain_xml({"name": "vm"}, Facts(uuid=UUID, host_arch="x86_64"))
    changed = xml.parse(xml.transformed(document, {"xml": {"xslt": sheet}}))
    assert changed.find("devices/graphics") is None
    assert changed.find("devices/rng") is not None
    with pytest.raises(UserError, match="xsltproc rejected the stylesheet") as caught:
        xml.transformed(document, {"xml": {"xslt": "<nonsense"}})
    assert "\n" not in str(caught.value)


def test_iso_image_round_trip() -> None:
    files = {"user-data": "#cloud-config\né\n" * 500, "meta-data": "", "network-config": "v: 2\n"}
    assert iso9660.read(iso9660.written(files)) == {
        "USER_DAT": files["user-data"],
        "META_DAT": "",
        "NETWORK_": "v: 2\n",
    }
    with pytest.raises(ValueError, match="not an ISO 9660"):
        iso9660.read(b"no image")


def test_sources(tmp_path: Path) -> None:
    image = tmp_path / "a.qcow2"
    image.write_bytes(b"QFI\xfb" + bytes(100))
    for location in (str(image), image.as_uri()):
        with source.opened(location) as opened:
            assert (opened.size_bytes, opened.is_qcow2) == (104, True)
            assert len(opened.stream.read()) == 104
    with (
        pytest.raises(UserError, match="No such file"),
        source.opened(str(tmp_path / "gone")),
    ):
        pass
    with pytest.raises(UserError, match="'ftp' is not supported"), source.opened("ftp://x/y"):
        pass
