"""Removing a domain."""

from __future__ import annotations

import libvirt

from plugins.libvirt.base import quietly
from plugins.libvirt.errors import is_not_found

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
)


def remove_domain(domain: libvirt.virDomain, *, strict: bool = False) -> None:
    """Stop and undefine a domain; `strict` raises what `quietly` would hide."""

    def stop() -> None:
        if domain.isActive():
            domain.destroy()

    def undefine() -> None:
        if not domain.isPersistent():
            return
        try:
            domain.undefineFlags(_UNDEFINE)
        except libvirt.libvirtError as error:
            # Not every hypervisor knows the flags.
            if error.get_error_code() not in (
                libvirt.VIR_ERR_NO_SUPPORT,
                libvirt.VIR_ERR_INVALID_ARG,
            ):
                raise
            domain.undefine()

    for step in (stop, undefine):
        if not strict:
            quietly(step)
            continue
        try:
            step()
        except libvirt.libvirtError as error:
            if not is_not_found(error):  # a transient domain is gone once it has stopped
                raise
