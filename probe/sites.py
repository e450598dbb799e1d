"""Free places for a deployment beside others: a port, a subnet."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterable
from pathlib import Path

import libvirt
import psutil
from lxml import etree

from probe.errors import ProbeError

#: Subnets are taken from here; the default of ``vm_subnet`` is its first.
RANGE = ipaddress.IPv4Network("10.91.0.0/16")
#: Where the kernel says which ports it gives to connections (ip-sysctl.rst).
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Services that have a port of their own mostly have one below this.
_FIRST_PORT = 20_000
_PORTS_TRIED = 200


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on, and that the kernel gives no connection.

    A deployment keeps its port while load opens thousands of connections: one from the kernel's
    own range could be taken by any of them while a container is made anew. Raises ProbeError if
    there is none.
    """
    first, last = _ephemeral_ports()
    below, above = range(_FIRST_PORT, first), range(last + 1, 2**16)
    ports = [*below, *above]
    port: int
    for port in random.sample(ports, min(_PORTS_TRIED, len(ports))):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((address, port))
            except OSError:
                continue
            return port
    raise ProbeError(f"no TCP port from {_FIRST_PORT} on is free at {address}")


def _ephemeral_ports() -> tuple[int, int]:
    """Return the first and the last port that the kernel gives to connections."""
    try:
        first, last = _EPHEMERAL.read_text().split()
    except OSError:
        return 32768, 60999
    return int(first), int(last)


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
