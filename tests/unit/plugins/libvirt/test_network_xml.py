"""A network's inputs to XML and back."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.bridge import UserError
from plugins.libvirt import xml
from plugins.libvirt.network_xml import network_outputs, network_xml
from tests.support.libvirt_xml import canonical


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
