"""Volume: a disk image in a pool, empty, layered on another one, or filled from a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import libvirt

from plugins.bridge import (
    CheckFailure,
    Created,
    Operation,
    Schema,
    UserError,
    integer,
    object_of,
    string,
)
from plugins.libvirt import leftovers, storage, xml
from plugins.libvirt.base import XSLT, LibvirtResource, failing_as
from plugins.libvirt.source import opened
from plugins.libvirt.transfer import upload
from plugins.libvirt.volume_xml import BackingStore, volume_format, volume_xml

_SOURCE_EXCLUDES = ("size", "baseVolumeId", "baseVolumeName")


class Volume(LibvirtResource):
    """libvirt:index/volume:Volume; its id is libvirt's key, for files their path."""

    token = "libvirt:index/volume:Volume"
    inputs: ClassVar[Schema] = {
        "baseVolumeId": string(force_new=True),
        "baseVolumeName": string(force_new=True),
        "baseVolumePool": string(force_new=True),
        "format": string(computed=True, force_new=True),
        "name": string(force_new=True, required=True),
        "pool": string(force_new=True, default="default"),
        "size": integer(computed=True, force_new=True),
        "source": string(force_new=True),
        "xml": object_of(XSLT, force_new=True),
    }

    def check(
        self, op: Operation, inputs: dict[str, Any], old_inputs: Mapping[str, Any]
    ) -> list[CheckFailure]:
        """Check that what fills the volume is given once."""
        failures = []
        if inputs.get("source") is not None:
            failures += [
                CheckFailure(key, f"'{key}' can't be specified when also 'source' is given")
                for key in _SOURCE_EXCLUDES
                if inputs.get(key) is not None
            ]
        if inputs.get("baseVolumeId") is not None and inputs.get("baseVolumeName") is not None:
            failures.append(
                CheckFailure(
                    "baseVolumeName",
                    "'baseVolumeName' can't be specified when also 'baseVolumeId' is given",
                )
            )
        return failures

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make the volume; one with a source is only there once it is wholly uploaded."""
        name = inputs["name"]
        with failing_as(f"can't create volume '{name}'"):
            pool = storage.pool_by_name(self.libvirt, inputs["pool"])
            if inputs.get("source"):
                volume = self._from_source(op, inputs, pool)
            else:
                volume = self._from_size_or_base(op, inputs, pool)
            return Created(volume.key(), self._state(volume, inputs))

    def _from_source(
        self, op: Operation, inputs: dict[str, Any], pool: libvirt.virStoragePool
    ) -> libvirt.virStorageVol:
        location = inputs["source"]
        with opened(location) as source:
            format_ = inputs.get("format") or ("qcow2" if source.is_qcow2 else "raw")
            if source.is_qcow2 and format_ != "qcow2":
                raise UserError(
                    "format other than QCOW2 explicitly specified for image detected as QCOW2 "
                    f"image: {location}"
                )
            document = volume_xml(inputs["name"], capacity_bytes=source.size_bytes, format_=format_)

            def fill(volume: libvirt.virStorageVol) -> None:
                try:
                    upload(self.libvirt, op, volume, source, sparse=format_ == "raw")
                except OSError as error:
                    raise UserError(f"error while uploading source {location}: {error}") from error

            return self._make(op, inputs, pool, document, fill)

    def _from_size_or_base(
        self, op: Operation, inputs: dict[str, Any], pool: libvirt.virStoragePool
    ) -> libvirt.virStorageVol:
        backing = self._backing(inputs, pool)
        size_bytes = inputs.get("size")
        if size_bytes is None:
            # Upstream's default capacity is one byte.
            size_bytes = 1 if backing is None else backing.capacity_bytes
        if backing is not None and size_bytes < backing.capacity_bytes:
            raise UserError(
                f"volume '{inputs['name']}': size {size_bytes} is smaller than its base volume "
                f"{backing.path} of {backing.capacity_bytes} bytes: give at least that, or no size"
            )
        document = volume_xml(
            inputs["name"],
            capacity_bytes=size_bytes,
            format_=inputs.get("format") or "qcow2",
            backing=backing,
        )
        return self._make(op, inputs, pool, document, None)

    def _make(
        self,
        op: Operation,
        inputs: dict[str, Any],
        pool: libvirt.virStoragePool,
        document: str,
        fill: Any,
    ) -> libvirt.virStorageVol:
        name = inputs["name"]
        remedy = (
            "choose another name, remove it, or bring it in with "
            f"`pulumi import {self.token} {op.logical_name} <its path>`"
        )
        document = xml.transformed(document, inputs)
        return storage.make_volume(op, self.libvirt, pool, name, document, remedy, fill)

    def _backing(
        self, inputs: Mapping[str, Any], pool: libvirt.virStoragePool
    ) -> BackingStore | None:
        key, name = inputs.get("baseVolumeId"), inputs.get("baseVolumeName")
        if key:
            base = storage.volume_by_key(self.libvirt, key, inputs["pool"])
            if base is None:
                raise UserError(f"can't retrieve volume ID '{key}': it does not exist")
        elif name:
            pool_name = inputs.get("baseVolumePool")
            if pool_name:
                pool = storage.pool_by_name(self.libvirt, pool_name)
            base = storage.volume_by_name(pool, name)
            if base is None:
                raise UserError(
                    f"can't retrieve base volume with name '{name}': storage pool "
                    f"'{pool.name()}' has no such volume"
                )
        else:
            return None
        document = xml.parse(base.XMLDesc(0))
        return BackingStore(
            path=xml.text(document, "target/path"),
            format=xml.attribute(document, "target/format", "type"),
            capacity_bytes=base.info()[1],
        )

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the volume's state; size in bytes."""
        with failing_as(f"can't read volume {id}"):
            volume = storage.volume_by_key(self.libvirt, id, state.get("pool"))
            return None if volume is None else self._state(volume, state)

    @staticmethod
    def _state(volume: libvirt.virStorageVol, prior: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "baseVolumeId": prior.get("baseVolumeId"),
            "baseVolumeName": prior.get("baseVolumeName"),
            "baseVolumePool": prior.get("baseVolumePool"),
            "format": volume_format(volume.XMLDesc(0)) or prior.get("format"),
            "id": volume.key(),
            "name": volume.name(),
            "pool": volume.storagePoolLookupByVolume().name(),
            "size": volume.info()[1],
            "source": prior.get("source"),
            "xml": prior.get("xml"),
        }

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Nothing of a volume changes in place."""
        return {**state, **inputs}

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Delete the volume and its data."""
        with failing_as(f"can't delete volume '{state.get('name', id)}'"):
            leftovers.remove_domains(op, self.libvirt, volume=id)
            storage.remove_volume(op, self.libvirt, id, state.get("pool"))
