"""Pool: a directory (or volume group) that holds volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import libvirt

from plugins.bridge import (
    CheckFailure,
    Created,
    Operation,
    Schema,
    Unknown,
    UserError,
    integer,
    list_of,
    object_of,
    string,
)
from plugins.libvirt import leftovers, xml
from plugins.libvirt.base import XSLT, LibvirtResource, failing_as, found, quietly, retry_while_busy
from plugins.libvirt.volume_xml import pool_xml

_TYPES = ("dir", "logical")


class Pool(LibvirtResource):
    """libvirt:index/pool:Pool."""

    token = "libvirt:index/pool:Pool"
    inputs: ClassVar[Schema] = {
        "allocation": integer(computed=True, force_new=True),
        "available": integer(computed=True, force_new=True),
        "capacity": integer(computed=True, force_new=True),
        "name": string(force_new=True, required=True),
        "path": string(force_new=True),
        "source": object_of(
            {
                "devices": list_of(object_of({"path": string(force_new=True)})),
                "name": string(force_new=True),
            },
            force_new=True,
        ),
        "target": object_of({"path": string(computed=True, force_new=True)}, computed=True),
        "type": string(force_new=True, required=True),
        "xml": object_of(XSLT, force_new=True),
    }

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check the pool's type and that its path is given once."""
        failures = []
        if not isinstance(inputs["type"], Unknown) and inputs["type"] not in _TYPES:
            failures.append(
                CheckFailure("type", 'only storage pools of type "dir" and "logical" are supported')
            )
        target = inputs.get("target")
        if inputs.get("path") is not None:
            op.warn(f"{op.urn} verification warning: use target.path instead")
            if isinstance(target, dict) and target.get("path") is not None:
                failures.append(CheckFailure("path", '"path" conflicts with target.path'))
        elif inputs["type"] == "dir" and not target:
            failures.append(CheckFailure("target", "a pool of type dir needs target.path"))
        return failures

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Define, build and start the pool; a failure leaves no definition behind."""
        name = inputs["name"]
        doing = f"can't create storage pool '{name}'"
        with failing_as(doing), self.provider.connection.exclusive(f"pool {name}"):
            entry = op.begin(name)
            existing = found(self.libvirt.storagePoolLookupByName, name)
            if existing is not None:
                try:
                    self._adopt(op, name, existing)
                except BaseException:
                    entry.drop()
                    raise
                entry.record(existing.UUIDString())
                return Created(existing.UUIDString(), self._state(existing, inputs))
            uuid = str(uuid4())
            entry.record(uuid)
            document = xml.parse(pool_xml(inputs))
            xml.add(document, "uuid", uuid)
            pool = None
            try:
                pool = self.libvirt.storagePoolDefineXML(
                    xml.transformed(xml.render(document), inputs), 0
                )
                entry.record(pool.UUIDString())
                pool.build(0)
                pool.setAutostart(1)
                pool.create(0)
                retry_while_busy(op, lambda: pool.refresh(0))
            except BaseException:
                if pool is not None:
                    self._remove_half_made(pool)
                entry.drop()
                raise
            return Created(pool.UUIDString(), self._state(pool, inputs))

    def _adopt(self, op: Operation, name: str, pool: libvirt.virStoragePool) -> None:
        """Finish a pool that a killed run began; raises UserError when it is not ours."""
        uuid = pool.UUIDString()
        if all(entry.id != uuid for entry in op.left_over(name)):
            raise UserError(
                f"storage pool '{name}' already exists and is not part of this stack: choose "
                f"another name, or bring it in with `pulumi import {self.token} "
                f"{op.logical_name} {uuid}`"
            )
        if not pool.isActive():
            pool.build(0)
            pool.create(0)
        pool.setAutostart(1)
        retry_while_busy(op, lambda: pool.refresh(0))

    @staticmethod
    def _remove_half_made(pool: libvirt.virStoragePool) -> None:
        if pool.isActive():
            quietly(pool.destroy)
        # Removes the directory only when it is empty: one that had files before stays.
        quietly(lambda: pool.delete(0))
        quietly(pool.undefine)

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the pool's state; sizes in bytes."""
        with failing_as(f"can't read storage pool {id}"):
            pool = found(self.libvirt.storagePoolLookupByUUIDString, id)
            return None if pool is None else self._state(pool, state)

    def _state(self, pool: libvirt.virStoragePool, prior: Mapping[str, Any]) -> dict[str, Any]:
        document = xml.parse(pool.XMLDesc(0))
        _, capacity, allocation, available = pool.info()
        path = xml.text(document, "target/path")
        source: dict[str, Any] = {}
        devices = [{"path": d.get("path")} for d in document.findall("source/device")]
        source_name = xml.text(document, "source/name")
        if document.get("type") != "dir" and (devices or source_name):
            source = {"devices": devices, "name": source_name}
        old_path = prior.get("path")
        return {
            "allocation": allocation,
            "available": available,
            "capacity": capacity,
            "id": pool.UUIDString(),
            "name": pool.name(),
            "path": path if old_path else None,
            "source": source or prior.get("source"),
            "target": None if old_path else {"path": path},
            "type": document.get("type"),
            "xml": prior.get("xml"),
        }

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Nothing of a pool changes in place."""
        return {**state, **inputs}

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Stop the pool, remove its directory and definition; volumes in it are never removed."""
        with failing_as(f"can't delete storage pool '{state.get('name', id)}'"):
            pool = found(self.libvirt.storagePoolLookupByUUIDString, id)
            if pool is None:
                return
            name = pool.name()
            with self.provider.connection.exclusive(f"pool {name}"):
                document = xml.parse(pool.XMLDesc(0))
                path = xml.text(document, "target/path")
                owns_storage = document.get("type") == "dir" or (
                    document.find("source/device") is not None
                )
                if pool.isActive():
                    self._refuse_if_not_empty(op, pool, path, owns_storage=owns_storage)
                    retry_while_busy(op, pool.destroy)
                if owns_storage:
                    self._remove_storage(pool, path)
                pool.undefine()

    @staticmethod
    def _refuse_if_not_empty(
        op: Operation, pool: libvirt.virStoragePool, path: str, *, owns_storage: bool
    ) -> None:
        if not owns_storage:
            return
        try:
            retry_while_busy(op, lambda: pool.refresh(0))
        except libvirt.libvirtError:
            return  # the directory is gone: there is nothing in it
        leftovers.remove_volumes(op, pool)
        left = sorted(pool.listVolumes())
        if left:
            raise UserError(
                f"storage pool '{pool.name()}' still holds volumes that are not part of this "
                f"stack ({', '.join(left)}): remove them from {path} first"
            )

    @staticmethod
    def _remove_storage(pool: libvirt.virStoragePool, path: str) -> None:
        try:
            pool.delete(0)
        except libvirt.libvirtError as error:
            if "No such file or directory" in str(error) or not Path(path).parent.exists():
                return
            if pool.isPersistent():
                quietly(lambda: pool.create(0))
            raise
