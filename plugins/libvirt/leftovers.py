"""What a killed run made and a `destroy` does not know of, for lack of an `up` in between.

An object in the state that others of the state use is deleted after them. So when it is deleted
and something that a killed run made still uses it, that something is in no state and can go.
"""

from __future__ import annotations

from functools import partial

import libvirt

from plugins.bridge import Operation
from plugins.libvirt import xml
from plugins.libvirt.base import found, quietly, retry_while_busy
from plugins.libvirt.removal import remove_domain


def remove_domains(
    op: Operation, connection: libvirt.virConnect, *, network: str = "", volume: str = ""
) -> None:
    """Remove domains of killed runs that are on a network or use a volume (by its path)."""
    for entry in op.journal.of_killed_runs():
        domain = found(connection.lookupByUUIDString, entry.id) if _is_domain(entry.urn) else None
        if domain is None:
            continue
        if _uses(connection, domain, network, volume):
            op.journal.left_over(entry.urn, entry.name)  # waits for the killed run's own clean-up
            remove_domain(domain)
            entry.drop()


def _is_domain(urn: str) -> bool:
    return urn.split("::")[2].endswith("libvirt:index/domain:Domain")


def _uses(
    connection: libvirt.virConnect, domain: libvirt.virDomain, network: str, volume: str
) -> bool:
    definition = xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if network:
        sources = definition.findall("devices/interface/source")
        return any(source.get("network") == network for source in sources)
    for source in definition.findall("devices/disk/source"):
        path = source.get("file", "")
        pool = found(connection.storagePoolLookupByName, source.get("pool") or "")
        if pool is not None:
            used = found(pool.storageVolLookupByName, source.get("volume"))
            path = "" if used is None else used.path()
        if path == volume:
            return True
    return False


def remove_volumes(op: Operation, pool: libvirt.virStoragePool) -> None:
    """Remove volumes of killed runs from a pool that is about to be deleted."""
    for entry in op.journal.of_killed_runs():
        key = (entry.id or "").partition(";")[0]
        for volume in pool.listAllVolumes():
            if volume.key() == key:
                op.journal.left_over(entry.urn, entry.name)
                quietly(partial(retry_while_busy, op, partial(volume.delete, 0)))
                entry.drop()
