"""Turns failures into one clear line for the user."""

from __future__ import annotations

import libvirt

from plugins.bridge import UserError

NOT_FOUND = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
    }
)


def is_not_found(error: libvirt.libvirtError) -> bool:
    """Whether libvirt says that the object looked up is not there."""
    return error.get_error_code() in NOT_FOUND


def one_line(text: str) -> str:
    """Fold a message of several lines into one."""
    return " ".join(text.split())


def explain(error: libvirt.libvirtError, doing: str) -> UserError:
    """Say in one line what failed while `doing` and, where it is known, what helps."""
    message = one_line(error.get_error_message() or str(error))
    return UserError(f"{doing}: {message}{_remedy(message)}")


# Part of libvirt's message -> what the user can do about it.
_REMEDIES = (
    ("No space left on device", "the disk that holds the storage pool is full: free some space"),
    ("Disk quota exceeded", "the disk quota of the storage pool is used up: free some space"),
    ("Could not open", "the hypervisor's user may not read that file: check owner and mode"),
    ("Permission denied", "check owner and mode of that path and of the folders above it"),
    ("Network is already in use by interface", "choose another address range in `addresses`"),
    ("already in use", "choose another name"),
    ("Cannot access storage file", "the file is gone or the hypervisor may not read it"),
    ("cannot set up guest memory", "the host has too little free memory for this domain"),
    ("Cannot allocate memory", "the host has too little free memory for this domain"),
    (
        "IDE controllers are unsupported",
        "use machine 'pc': the cloud-init disk is an IDE CD-ROM, which this machine type lacks",
    ),
    ("No PCI buses available", "no such `machine`, or one without PCI: use 'pc' or 'q35'"),
    (
        "KVM is not available",
        "this host has no usable KVM: set the domain's `type` to 'qemu'",
    ),
    (
        "does not support virt type 'kvm'",
        "this host has no usable KVM: set the domain's `type` to 'qemu'",
    ),
    (
        "invalid argument: could not get preferred machine",
        "the emulator is missing or no hypervisor of that `type` and `arch` is installed",
    ),
)


def _remedy(message: str) -> str:
    return next((f" ({hint})" for part, hint in _REMEDIES if part in message), "")
