"""The virtual machine's datastore: a disk that outlives the machine, and the services' files."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_libvirt as libvirt

from components import base
from components.vm import guest_files
from components.vm.platform import Platform
from shop import catalogue


@dataclass(frozen=True, kw_only=True)
class DatastoreArgs(base.DatastoreArgs[Platform]):
    """Arguments of ``Datastore``."""


class Datastore(pulumi.ComponentResource):
    """The data disk, and what cloud-init writes for the services that keep data on it.

    Outputs: ``instances``, each service's systemd unit by the service's name; ``volumes``, the
    name of the data disk.
    """

    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: DatastoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:vm:Datastore", name, None, opts)
        disk = libvirt.Volume(
            f"{name}-data",
            name=f"{args.platform.prefix}-data.qcow2",
            pool=args.platform.pool,
            size=catalogue.MACHINE.data_disk_bytes,
            format="qcow2",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.data_disk_id = disk.id
        self.files = guest_files.for_services(args.services, args.secrets)
        self.instances = pulumi.Output.from_input(
            {s.name: guest_files.unit_name(s) for s in args.services}
        )
        self.volumes = pulumi.Output.all(disk.name)
        self.register_outputs({"instances": self.instances, "volumes": self.volumes})
