"""The provider: configuration and resource types."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from plugins.bridge import Resource, Schema, string
from plugins.libvirt.base import ConnectedProvider
from plugins.libvirt.cloud_init_disk import CloudInitDisk
from plugins.libvirt.connection import DEFAULT_URI, Connection
from plugins.libvirt.domain import Domain
from plugins.libvirt.network import Network
from plugins.libvirt.pool import Pool
from plugins.libvirt.volume import Volume


class LibvirtProvider(ConnectedProvider):
    """Stands in for pulumi-libvirt 0.5.4 (terraform-provider-libvirt 0.8.1)."""

    name = "libvirt"
    version = "0.5.4"
    upstream = "libvirt plugin 0.5.4"
    config: ClassVar[Schema] = {"uri": string(force_new=True)}
    resources: ClassVar[tuple[type[Resource[Any]], ...]] = (
        Pool,
        Volume,
        CloudInitDisk,
        Network,
        Domain,
    )

    def __init__(self) -> None:
        self.connection = Connection(_default_uri())

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the connection URI; empty means LIBVIRT_DEFAULT_URI, else qemu:///system."""
        self.connection = Connection(config.get("uri") or _default_uri())


def _default_uri() -> str:
    return os.environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI
