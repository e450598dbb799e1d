"""Network: inputs to libvirt XML, and libvirt XML to outputs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

from plugins.bridge import UserError
from plugins.libvirt import xml

MODES = ("nat", "none", "route", "open", "bridge")
_MANAGED = ("nat", "none", "route", "open")
# Of the smallest subnet: network address, host, broadcast, and at least some for guests.
_MINIMUM_HOST_BITS = 3


def network_xml(inputs: Mapping[str, Any]) -> str:
    """Define XML of a network from its inputs, as upstream's provider makes it."""
    mode = str(inputs.get("mode") or "nat").lower()
    if mode not in MODES:
        raise UserError(f"unsupported network mode '{mode}': use one of {', '.join(MODES)}")
    if mode == "bridge" and not inputs.get("bridge"):
        raise UserError("'bridge' must be provided when using the bridged network mode")
    dns = inputs.get("dns") or {}
    options = (inputs.get("dnsmasqOptions") or {}).get("options") or []
    namespaces = {"dnsmasq": "http://libvirt.org/schemas/network/dnsmasq/1.0"}
    root = etree.Element("network", nsmap=namespaces if options else None)
    xml.add(root, "name", inputs["name"])
    if mode != "none":
        forward = xml.add(root, "forward", attributes={"mode": mode})
        if mode == "nat":
            ports = {"start": 1024, "end": 65535}
            xml.add(xml.add(forward, "nat"), "port", attributes=ports)
    bridge = {"name": inputs.get("bridge"), "stp": "" if mode == "bridge" else "on"}
    xml.add(root, "bridge", attributes=bridge)
    if inputs.get("mtu"):
        xml.add(root, "mtu", attributes={"size": int(inputs["mtu"])})
    if inputs.get("domain"):
        local = "yes" if dns.get("localOnly") else ""
        xml.add(root, "domain", attributes={"name": inputs["domain"], "localOnly": local})
    if mode in _MANAGED:
        _add_dns(root, dns)
        dhcp = (inputs.get("dhcp") or {}).get("enabled")
        for address in inputs.get("addresses") or []:
            _add_ip(root, address, dhcp=True if dhcp is None else bool(dhcp))
    for index, route in enumerate(inputs.get("routes") or []):
        _add_route(root, index, route)
    if options:
        namespace = "{" + namespaces["dnsmasq"] + "}"
        block = xml.add(root, f"{namespace}options")
        for option in options:
            value = f"{option.get('optionName', '')}={option.get('optionValue', '')}"
            xml.add(block, f"{namespace}option", attributes={"value": value})
    return xml.render(root)


def _add_dns(root: xml.Element, dns: Mapping[str, Any]) -> None:
    # Upstream writes the attribute only where `enabled` is true: a false value reads as unset.
    block = xml.add(root, "dns", attributes={"enable": "yes" if dns.get("enabled") else ""})
    for forwarder in dns.get("forwarders") or []:
        address = forwarder.get("address")
        if address:
            address = str(_ip(address, "dns.forwarders"))
        attributes = {"domain": forwarder.get("domain"), "addr": address}
        xml.add(block, "forwarder", attributes=attributes)
    for srv in dns.get("srvs") or []:
        for key in ("port", "weight", "priority"):
            if srv.get(key) and not str(srv[key]).isdigit():
                raise UserError(f"dns.srvs: {key} '{srv[key]}' is not a number")
        keys = ("service", "protocol", "target", "port", "priority", "weight", "domain")
        xml.add(block, "srv", attributes={key: srv.get(key) for key in keys})
    for address, names in hosts_by_address(dns.get("hosts") or []).items():
        block.append(dns_host(address, names))


def hosts_by_address(hosts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """DNS hosts grouped by address, names sorted; raises UserError for a bad address."""
    grouped: dict[str, list[str]] = {}
    for host in hosts:
        address = str(host.get("ip", ""))
        _ip(address, "dns.hosts")
        grouped.setdefault(address, []).append(str(host.get("hostname", "")))
    return {address: sorted(names) for address, names in grouped.items()}


def dns_host(address: str, names: list[str]) -> xml.Element:
    """One `<host>` element of the DNS section."""
    host = xml.root("host", ip=address)
    for name in names:
        xml.add(host, "hostname", name)
    return host


def _add_ip(root: xml.Element, cidr: str, *, dhcp: bool) -> None:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise UserError(f"error parsing addresses definition '{cidr}': not a CIDR") from None
    host_bits = network.max_prefixlen - network.prefixlen
    family = f"ipv{network.version}"
    if host_bits < _MINIMUM_HOST_BITS:
        available = 2**host_bits - _MINIMUM_HOST_BITS
        raise UserError(
            f"netmask seems to be too strict: only {available} IPs available ({family})"
        )
    attributes = {"family": family, "address": network[1], "prefix": network.prefixlen}
    block = xml.add(root, "ip", attributes=attributes)
    if dhcp:
        span = {"start": network[2], "end": network[-2]}
        xml.add(xml.add(block, "dhcp"), "range", attributes=span)


def _add_route(root: xml.Element, index: int, route: Mapping[str, Any]) -> None:
    cidr, gateway = str(route.get("cidr", "")), str(route.get("gateway", ""))
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise UserError(f"routes[{index}]: '{cidr}' is not a CIDR") from None
    via = _ip(gateway, f"routes[{index}].gateway")
    if via.version != network.version:
        raise UserError(f"routes[{index}]: gateway {via} and network {network} differ in family")
    attributes = {
        "family": f"ipv{network.version}",
        "address": network.network_address,
        "prefix": network.prefixlen,
        "gateway": via,
    }
    xml.add(root, "route", attributes=attributes)


def _ip(address: str, where: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        raise UserError(f"{where}: could not parse address '{address}'") from None


def network_outputs(document: str, *, autostart: bool, prior: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's outputs; what libvirt's XML does not tell comes from `prior`.

    `prior` is the resource's last known state, or its inputs on creation.
    """
    root = xml.parse(document)
    mode = xml.attribute(root, "forward", "mode") or prior.get("mode")
    if not mode:  # an imported network without <forward> is an isolated one
        mode = "none"
    domain = xml.attribute(root, "domain", "name") or prior.get("domain")
    mtu = xml.attribute(root, "mtu", "size")
    subnets = [_subnet(ip) for ip in root.findall("ip")]
    dhcp = prior.get("dhcp")
    if root.find("ip/dhcp") is not None:
        dhcp = {"enabled": True}
    routes = [
        {"cidr": f"{r.get('address')}/{r.get('prefix')}", "gateway": r.get("gateway")}
        for r in root.findall("route")
    ]
    return {
        "addresses": subnets or prior.get("addresses"),
        "autostart": autostart,
        "bridge": xml.attribute(root, "bridge", "name"),
        "dhcp": None if dhcp is None else {"enabled": bool(dhcp.get("enabled"))},
        "dns": _dns_outputs(root, prior.get("dns")),
        "dnsmasqOptions": prior.get("dnsmasqOptions"),
        "domain": domain or None,
        "mode": mode,
        "mtu": int(mtu) if mtu else prior.get("mtu"),
        "name": xml.text(root, "name"),
        "routes": routes or list(prior.get("routes") or []),
        "xml": prior.get("xml"),
    }


def _subnet(ip: xml.Element) -> str:
    prefix = ip.get("prefix") or ip.get("netmask") or "32"
    return str(ipaddress.ip_network(f"{ip.get('address')}/{prefix}", strict=False))


def _dns_outputs(root: xml.Element, prior: Mapping[str, Any] | None) -> dict[str, Any] | None:
    block: dict[str, Any] = dict(prior or {})
    if root.find("domain") is not None:
        block["localOnly"] = xml.attribute(root, "domain", "localOnly").lower() == "yes"
    dns = root.find("dns")
    if dns is not None:
        if dns.get("enable"):
            block["enabled"] = dns.get("enable") == "yes"
        forwarders = [
            {"address": f.get("addr", ""), "domain": f.get("domain", "")}
            for f in dns.findall("forwarder")
        ]
        if forwarders:
            block["forwarders"] = forwarders
    hosts = [
        {"hostname": (name.text or "").strip(), "ip": host.get("ip", "")}
        for host in root.findall("dns/host")
        for name in host.findall("hostname")
    ]
    if not block and not hosts:
        return None
    return {
        "enabled": bool(block.get("enabled")),
        "forwarders": block.get("forwarders") or [],
        "hosts": hosts,
        "localOnly": bool(block.get("localOnly")),
        "srvs": block.get("srvs") or [],
    }


def dhcp_subnet_index(document: str, address: str) -> int:
    """Index of the network's `<ip>` element whose subnet holds `address`, -1 if none does."""
    for index, ip in enumerate(xml.parse(document).findall("ip")):
        if ipaddress.ip_address(address) in ipaddress.ip_network(_subnet(ip)):
            return index
    return -1


def has_dhcp(document: str) -> bool:
    """Whether libvirt runs DHCP for this kind of network (upstream's rule: by mode)."""
    root = xml.parse(document)
    if root.find("forward") is None:
        return True
    return xml.attribute(root, "forward", "mode", "nat") in ("nat", "route", "open", "")


def dhcp_hostname(document: str, mac: str) -> str:
    """Host name reserved for a MAC address in the network's DHCP section, or an empty string."""
    for host in xml.parse(document).findall("ip/dhcp/host"):
        if (host.get("mac") or "").upper() == mac.upper():
            return host.get("name") or ""
    return ""


def dhcp_host(address: str, mac: str, name: str) -> str:
    """One `<host>` element of the DHCP section."""
    return xml.render(xml.root("host", mac=mac, name=name, ip=address))
