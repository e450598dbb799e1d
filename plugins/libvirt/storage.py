"""Look-ups and removal of volumes, shared by Volume, CloudInitDisk and Domain."""

from __future__ import annotations

from collections.abc import Callable

import libvirt

from plugins.bridge import Operation, UserError
from plugins.libvirt import xml
from plugins.libvirt.base import found, quietly, retry_while_busy
from plugins.libvirt.errors import is_not_found


def pool_by_name(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    """Return the pool of that name, started; raises UserError when there is none."""
    pool = found(connection.storagePoolLookupByName, name)
    if pool is None:
        raise UserError(f"can't find storage pool '{name}'")
    if not pool.isActive():
        pool.create(0)
    return pool


def volume_by_key(
    connection: libvirt.virConnect, key: str, pool_name: str | None = None
) -> libvirt.virStorageVol | None:
    """Return the volume with that key, or None when it is gone.

    libvirt keeps a list that others may have made stale: when it does not know the volume, or the
    file behind it is gone, the pool is started and read again before the answer counts.
    """
    volume = found(connection.storageVolLookupByKey, key)
    if volume is not None and _is_there(volume):
        return volume
    pool = found(volume.storagePoolLookupByVolume) if volume is not None else None
    if pool is None and pool_name:
        pool = found(connection.storagePoolLookupByName, pool_name)
    if pool is None:
        return None
    if not pool.isActive():
        quietly(lambda: pool.create(0))
    quietly(lambda: retry_while_busy(None, lambda: pool.refresh(0)))
    volume = found(connection.storageVolLookupByKey, key)
    return volume if volume is not None and _is_there(volume) else None


def volume_by_name(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Return the volume of that name, or None; the pool is read again before the answer counts."""
    volume = found(pool.storageVolLookupByName, name)
    if volume is None or not _is_there(volume):
        retry_while_busy(None, lambda: pool.refresh(0))
        volume = found(pool.storageVolLookupByName, name)
    return volume


def _is_there(volume: libvirt.virStorageVol) -> bool:
    try:
        volume.info()  # looks at the file itself
    except libvirt.libvirtError as error:
        if is_not_found(error) or "No such file" in str(error) or "cannot stat" in str(error):
            return False
        raise
    return True


def remove_volume(
    op: Operation, connection: libvirt.virConnect, key: str, pool_name: str | None = None
) -> None:
    """Delete a volume; that it is gone already is success."""
    volume = volume_by_key(connection, key, pool_name)
    if volume is None:
        return
    try:
        retry_while_busy(op, lambda: volume.delete(0))
    except libvirt.libvirtError as error:
        if not is_not_found(error):
            raise


def make_volume(
    op: Operation,
    connection: libvirt.virConnect,
    pool: libvirt.virStoragePool,
    name: str,
    document: str,
    remedy: str,
    fill: Callable[[libvirt.virStorageVol], None] | None = None,
    suffix: str = "",
) -> libvirt.virStorageVol:
    """Create a volume and `fill` it; on failure, and after a killed run, nothing half-made stays.

    A volume of that name that a killed run of this stack left is replaced; any other one is never
    touched: raises UserError with `remedy` as what to do. The resource's id is the volume's key
    and `suffix`.
    """
    entry = op.begin(name)
    volume = None
    try:
        _clear_the_name(op, pool, name, remedy)
        entry.record(f"{_target_path(pool)}/{name}{suffix}")
        volume = pool.createXML(document, 0)
        entry.record(volume.key() + suffix)
        if fill is not None:
            fill(volume)
    except BaseException:
        if volume is not None:
            made = volume
            quietly(lambda: retry_while_busy(None, lambda: made.delete(0)))
        entry.drop()
        raise
    return volume


def _clear_the_name(op: Operation, pool: libvirt.virStoragePool, name: str, remedy: str) -> None:
    """Remove a volume that a killed run left; raises UserError for one that is not ours."""
    left = op.left_over(name)
    existing = found(pool.storageVolLookupByName, name)
    if existing is not None and not _is_there(existing):
        existing = volume_by_name(pool, name)
    if existing is not None:
        key = existing.key()
        if all((entry.id or "").partition(";")[0] != key for entry in left):
            raise UserError(
                f"volume '{name}' already exists in storage pool '{pool.name()}' and is not part "
                f"of this stack: {remedy}"
            )
        retry_while_busy(op, lambda: existing.delete(0))
    for entry in left:
        entry.drop()


def _target_path(pool: libvirt.virStoragePool) -> str:
    return xml.text(xml.parse(pool.XMLDesc(0)), "target/path")
