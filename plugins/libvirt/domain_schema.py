"""Domain: the inputs' schema."""

from __future__ import annotations

from typing import Any

from plugins.bridge import Schema, boolean, integer, list_of, map_of, object_of, string
from plugins.libvirt.base import XSLT


def _same_mac(old: Any, new: Any) -> bool:
    return isinstance(old, str) and isinstance(new, str) and old.upper() == new.upper()


_CONSOLE: Schema = {
    "sourceHost": string(default="127.0.0.1"),
    "sourcePath": string(),
    "sourceService": string(default="0"),
    "targetPort": string(required=True),
    "targetType": string(),
    "type": string(required=True),
}
_DISK: Schema = {
    "blockDevice": string(),
    "file": string(),
    "scsi": boolean(default=False),
    "url": string(),
    "volumeId": string(),
    "wwn": string(),
}
_FILESYSTEM: Schema = {
    "accessmode": string(default="mapped"),
    "readonly": boolean(default=True),
    "source": string(required=True),
    "target": string(required=True),
}
_GRAPHICS: Schema = {
    "autoport": boolean(default=True),
    "listenAddress": string(default="127.0.0.1"),
    "listenType": string(default="none"),
    "type": string(default="spice"),
    "websocket": integer(),
}
_INTERFACE: Schema = {
    "addresses": list_of(string(), computed=True),
    "bridge": string(),
    "hostname": string(computed=True),
    "mac": string(computed=True, same=_same_mac),
    "macvtap": string(),
    "networkId": string(computed=True),
    "networkName": string(computed=True),
    "passthrough": string(),
    "vepa": string(),
    "waitForLease": boolean(),
}
_TPM: Schema = {
    "backendDevicePath": string(),
    "backendEncryptionSecret": string(),
    "backendPersistentState": boolean(),
    "backendType": string(default="emulator"),
    "backendVersion": string(),
    "model": string(),
}

INPUTS: Schema = {
    "arch": string(computed=True),
    "autostart": boolean(),
    "bootDevices": list_of(object_of({"devs": list_of(string())})),
    "cloudinit": string(),
    "cmdlines": list_of(map_of(string()), force_new=True),
    "consoles": list_of(object_of(_CONSOLE), force_new=True),
    "coreosIgnition": string(default="", force_new=True),
    "cpu": object_of({"mode": string(required=True)}, force_new=True),
    "description": string(force_new=True),
    "disks": list_of(object_of(_DISK), force_new=True),
    "emulator": string(computed=True),
    "filesystems": list_of(object_of(_FILESYSTEM), force_new=True),
    "firmware": string(force_new=True),
    "fwCfgName": string(default="opt/com.coreos/config", force_new=True),
    "graphics": object_of(_GRAPHICS),
    "initrd": string(),
    "kernel": string(),
    "machine": string(computed=True),
    "memory": integer(default=512, force_new=True),
    "name": string(force_new=True, required=True),
    "networkInterfaces": list_of(object_of(_INTERFACE)),
    "nvram": object_of({"file": string(required=True), "template": string()}, force_new=True),
    "qemuAgent": boolean(default=False),
    "running": boolean(default=True),
    "tpm": object_of(_TPM, force_new=True),
    "type": string(default="kvm", force_new=True),
    "vcpu": integer(default=1, force_new=True),
    "video": object_of({"type": string(default="cirrus")}),
    "xml": object_of(XSLT, force_new=True),
}

# Upstream takes a change of these for one in place, and then does nothing to the domain.
WITHOUT_EFFECT = (
    "arch",
    "bootDevices",
    "emulator",
    "graphics",
    "initrd",
    "kernel",
    "machine",
    "video",
)
