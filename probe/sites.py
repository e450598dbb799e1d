"""Free places for a deployment beside others: a port, a subnet."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterable

import libvirt
import psutil
from lxml import etree

from probe.errors import ProbeError

#: Subnets are taken from here; the default of ``vm_subnet`` is its first.
RANGE = ipaddress.IPv4Network("10.91.0.0/16")


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


def free_subnet(rng: random.Random, taken: Iterable[ipaddress.IPv4Network]) -> str:
    """Return a /24 that overlaps none of the taken ones; raise ProbeError if there is none."""
    busy = list(taken)
    # The first one is what a user's own vm stack would take.
    free = [
        net
        for net in list(RANGE.subnets(new_prefix=24))[1:]
        if not any(net.overlaps(other) for other in busy)
    ]
    if not free:
        raise ProbeError(f"no free /24 in {RANGE} for the machine's network")
    return str(rng.choice(free))


def taken_subnets(libvirt_uri: str) -> list[ipaddress.IPv4Network]:
    """Return the subnets of the host's interfaces and of libvirt's networks, running or not."""
    found: list[ipaddress.IPv4Network] = []
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family == socket.AF_INET and entry.netmask:
                found.append(
                    ipaddress.IPv4Network(f"{entry.address}/{entry.netmask}", strict=False)
                )
    try:
        connection = libvirt.open(libvirt_uri)
    except libvirt.libvirtError:
        return found
    try:
        for network in connection.listAllNetworks():
            root = etree.fromstring(network.XMLDesc())
            for ip in root.iter("ip"):
                address = ip.get("address")
                mask = ip.get("netmask") or ip.get("prefix") or "24"
                if address:
                    found.append(ipaddress.IPv4Network(f"{address}/{mask}", strict=False))
    finally:
        connection.close()
    return found


def vm_address(subnet: str) -> str:
    """Return the address that the vm stack reserves for its machine (the tenth of its subnet)."""
    return str(ipaddress.IPv4Network(subnet)[10])
