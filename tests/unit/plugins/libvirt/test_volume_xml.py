"""Pools and volumes as XML."""

from __future__ import annotations

from plugins.libvirt.volume_xml import BackingStore, pool_xml, volume_xml
from tests.support.libvirt_xml import canonical


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
