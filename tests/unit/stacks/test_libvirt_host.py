"""Preflight of libvirt."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.vm.platform import GoldenDisk
from stacks import libvirt_host
from stacks.artefacts import Guest
from stacks.hosts import PreflightError


def named(
    name: str, xml: str = "", active: bool = True, volumes: Sequence[str] = ()
) -> SimpleNamespace:
    return SimpleNamespace(
        name=lambda: name,
        XMLDesc=lambda: xml,
        isActive=lambda: active,
        listVolumes=lambda: list(volumes),
    )


class FakeLibvirt(libvirt_host.LibvirtHost):
    """A daemon with some objects."""

    def __init__(
        self,
        domains: Sequence[SimpleNamespace] = (),
        networks: Sequence[SimpleNamespace] = (),
        pools: Sequence[SimpleNamespace] = (),
    ) -> None:
        super().__init__("qemu+ssh://far/system")
        self._fake = SimpleNamespace(
            listAllDomains=lambda: list(domains),
            listAllNetworks=lambda: list(networks),
            listAllStoragePools=lambda: list(pools),
        )

    def connection(self) -> SimpleNamespace:
        return self._fake


CACHE = named(
    "triptych-cache",
    "<pool><target><path>/var/lib/libvirt/triptych/cache</path></target></pool>",
    volumes=("guest-k.qcow2", "vmlinuz-k", "initrd-k"),
)
GUEST = Guest(
    key="k",
    disk=Path("/nonexistent/guest-k.qcow2"),
    kernel=Path("/nonexistent/vmlinuz-k"),
    initrd=Path("/nonexistent/initrd-k"),
    pool="triptych-cache",
    volume="guest-k.qcow2",
    kernel_volume="vmlinuz-k",
    initrd_volume="initrd-k",
    cmdline="root=/dev/vda",
    virtual_bytes=1,
    unpacked_bytes=1,
)


def check_libvirt(host: libvirt_host.LibvirtHost, *, keep_images: bool = True) -> GoldenDisk:
    return libvirt_host.check(
        host,
        stack="unit",
        prefix="triptych-unit",
        subnet=IPv4Network("10.99.0.0/24"),
        guest=GUEST,
        keep_images=keep_images,
    )


class TestLibvirt:
    def test_golden_disk_is_found_in_the_cache(self) -> None:
        assert (
            check_libvirt(FakeLibvirt(pools=[CACHE])).pool_path == "/var/lib/libvirt/triptych/cache"
        )

    def test_golden_disk_is_missing(self) -> None:
        empty = named("triptych-cache", "<path>/x</path>", volumes=("initrd-k",))
        with pytest.raises(
            PreflightError, match=r"\(guest-k.qcow2, vmlinuz-k missing\).*make build"
        ):
            check_libvirt(FakeLibvirt(pools=[empty]))

    def test_cold_needs_the_files(self) -> None:
        with pytest.raises(PreflightError, match=r"/nonexistent/guest-k.qcow2 is missing"):
            check_libvirt(FakeLibvirt(), keep_images=False)

    def test_foreign_domain_of_our_name(self) -> None:
        foreign = named("triptych-unit", "<domain><description>mine</description></domain>")
        with pytest.raises(PreflightError, match=r'domain "triptych-unit".*does not belong'):
            check_libvirt(FakeLibvirt(domains=[foreign], pools=[CACHE]))

    def test_own_domain(self) -> None:
        own = named("triptych-unit", "<description>triptych.stack=unit</description>")
        check_libvirt(FakeLibvirt(domains=[own], pools=[CACHE]))

    def test_another_stacks_domain_whose_name_begins_alike(self) -> None:
        other = named("triptych-unit", "<description>triptych.stack=unit-2</description>")
        with pytest.raises(PreflightError, match=r"does not belong"):
            check_libvirt(FakeLibvirt(domains=[other], pools=[CACHE]))

    def test_subnet_taken_by_another_network(self) -> None:
        xml = "<ip family='ipv4' address='10.99.0.1' prefix='24'>"
        with pytest.raises(PreflightError, match=r'vm_subnet: .* overlaps .*"default"'):
            check_libvirt(FakeLibvirt(networks=[named("default", xml)], pools=[CACHE]))

    def test_own_network_may_have_the_subnet(self) -> None:
        xml = "<bridge name='virbr7'/><ip family='ipv4' address='10.99.0.1' prefix='24'>"
        check_libvirt(FakeLibvirt(networks=[named("triptych-unit", xml)], pools=[CACHE]))

    def test_host_routes_are_read(self) -> None:
        for device, network in libvirt_host._host_routes():
            assert device
            assert network.prefixlen > 0

    def test_no_daemon(self) -> None:
        uri = "qemu+unix:///system?socket=/nonexistent/libvirt.sock"
        with pytest.raises(PreflightError, match=r"no libvirt daemon answers"):
            libvirt_host.LibvirtHost(uri).connection()
