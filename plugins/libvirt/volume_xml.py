"""Pool and volume: XML that goes to libvirt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugins.libvirt import xml


@dataclass(frozen=True)
class BackingStore:
    """The volume that another one is layered on."""

    path: str
    format: str
    capacity_bytes: int


def pool_xml(inputs: Mapping[str, Any]) -> str:
    """Define XML of a storage pool."""
    pool = xml.root("pool", type=str(inputs["type"]))
    xml.add(pool, "name", inputs["name"])
    source = inputs.get("source")
    if source:
        block = xml.add(pool, "source")
        if source.get("name"):
            xml.add(block, "name", source["name"])
        for device in source.get("devices") or []:
            xml.add(block, "device", attributes={"path": device.get("path")})
    target = inputs.get("target")
    path = (target.get("path") if target else inputs.get("path")) or ""
    xml.add(xml.add(pool, "target"), "path", path)
    return xml.render(pool)


def volume_xml(
    name: str,
    *,
    capacity_bytes: int,
    format_: str,
    backing: BackingStore | None = None,
    mode: str = "644",
) -> str:
    """Define XML of a volume; `mode` is the file's octal permissions."""
    volume = xml.root("volume")
    xml.add(volume, "name", name)
    xml.add(volume, "allocation", 0)
    xml.add(volume, "capacity", capacity_bytes, attributes={"unit": "bytes"})
    target = xml.add(volume, "target")
    xml.add(target, "format", attributes={"type": format_})
    xml.add(xml.add(target, "permissions"), "mode", mode)
    if backing is not None:
        store = xml.add(volume, "backingStore")
        xml.add(store, "path", backing.path)
        xml.add(store, "format", attributes={"type": backing.format})
    return xml.render(volume)


def volume_format(document: str) -> str:
    """Format of a volume from libvirt's XML, or an empty string."""
    return xml.attribute(xml.parse(document), "target/format", "type")
