"""CloudInitDisk: an ISO image with cloud-init's NoCloud files, as a volume."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

import libvirt

from plugins.bridge import Created, Operation, Schema, UserError, string
from plugins.libvirt import iso9660, leftovers, storage
from plugins.libvirt.base import LibvirtResource, failing_as
from plugins.libvirt.source import Source
from plugins.libvirt.transfer import download, upload
from plugins.libvirt.volume_xml import volume_xml

# Input -> file in the image -> its plain ISO 9660 name.
_FILES = {
    "userData": ("user-data", "USER_DAT"),
    "metaData": ("meta-data", "META_DAT"),
    "networkConfig": ("network-config", "NETWORK_"),
}


def volume_key(id: str) -> str:
    """Key of the volume behind a cloud-init disk's id, `<key>;<uuid>`."""
    key, separator, _ = id.partition(";")
    if not separator:
        raise UserError(f"{id} is not the id of a CloudInitDisk (<volume path>;<uuid>)")
    return key


class CloudInitDisk(LibvirtResource):
    """libvirt:index/cloudInitDisk:CloudInitDisk."""

    token = "libvirt:index/cloudInitDisk:CloudInitDisk"
    inputs: ClassVar[Schema] = {
        "metaData": string(force_new=True),
        "name": string(force_new=True, required=True),
        "networkConfig": string(force_new=True),
        "pool": string(force_new=True, default="default"),
        "userData": string(force_new=True),
    }

    def create(self, op: Operation, inputs: dict[str, Any]) -> Created:
        """Make the image and upload it."""
        name = inputs["name"]
        with failing_as(f"can't create cloud-init disk '{name}'"):
            image = iso9660.written(
                {file: inputs.get(key) or "" for key, (file, _) in _FILES.items()}
            )
            pool = storage.pool_by_name(self.libvirt, inputs["pool"])
            # User data often holds secrets: unlike upstream's, the file is its owner's alone.
            document = volume_xml(name, capacity_bytes=len(image), format_="raw", mode="600")

            def fill(volume: libvirt.virStorageVol) -> None:
                source = Source(io.BytesIO(image), len(image), is_qcow2=False, is_file=False)
                upload(self.libvirt, op, volume, source, sparse=False)

            remedy = "choose another name, or remove it"
            suffix = f";{uuid4()}"
            volume = storage.make_volume(
                op, self.libvirt, pool, name, document, remedy, fill, suffix
            )
            id = volume.key() + suffix
            return Created(id, self._state(id, volume))

    def read(self, op: Operation, id: str, state: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the disk's state, read from the image itself."""
        with failing_as(f"can't read cloud-init disk {id}"):
            if not state and ";" not in id:  # an import may give the volume's path alone
                id = f"{id};{uuid4()}"
            volume = storage.volume_by_key(self.libvirt, volume_key(id), state.get("pool"))
            return None if volume is None else self._state(id, volume)

    def _state(self, id: str, volume: libvirt.virStorageVol) -> dict[str, Any]:
        try:
            files = iso9660.read(download(self.libvirt, volume, volume.info()[1]))
        except ValueError as error:
            raise UserError(f"volume {volume.key()} holds no cloud-init disk: {error}") from error
        state = {key: files.get(name, "") for key, (_, name) in _FILES.items()}
        pool = volume.storagePoolLookupByVolume().name()
        return {**state, "id": id, "name": volume.name(), "pool": pool}

    def update(
        self, op: Operation, id: str, state: Mapping[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Nothing of a cloud-init disk changes in place."""
        return {**state, **inputs}

    def delete(self, op: Operation, id: str, state: Mapping[str, Any]) -> None:
        """Delete the image."""
        with failing_as(f"can't delete cloud-init disk '{state.get('name', id)}'"):
            leftovers.remove_domains(op, self.libvirt, volume=volume_key(id))
            storage.remove_volume(op, self.libvirt, volume_key(id), state.get("pool"))
