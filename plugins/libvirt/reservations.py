"""Static DHCP entries of a network for the interfaces of domains."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import libvirt

from plugins.bridge import UserError
from plugins.libvirt.network_xml import dhcp_host, dhcp_hostname, dhcp_subnet_index

Undo = Callable[[], object]

_ALSO_LIVE = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_SECTION = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST


def reserve(network: libvirt.virNetwork, address: str, mac: str, name: str) -> Undo:
    """Reserve an address for a MAC and return what takes a new entry back.

    An entry for the MAC is changed, otherwise one is added. Raises UserError for a bad address.
    """
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UserError(f"could not parse addresses '{address}'") from None
    document = network.XMLDesc(0)
    index = dhcp_subnet_index(document, address)
    if index < 0:
        raise UserError(
            f"address {address} is in none of the subnets of network '{network.name()}'"
        )
    host = dhcp_host(address, mac, name)
    if dhcp_hostname(document, mac):
        network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_MODIFY, _SECTION, index, host, _ALSO_LIVE)
        return lambda: None
    network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, _SECTION, index, host, _ALSO_LIVE)
    return lambda: network.update(
        libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, _SECTION, index, host, _ALSO_LIVE
    )
