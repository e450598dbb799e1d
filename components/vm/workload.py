"""The virtual machine's workload: the shop's own services as units in the guest."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.vm import guest_files
from components.vm.platform import Platform


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs(base.WorkloadArgs[Platform]):
    """Arguments of ``Workload``."""


class Workload(pulumi.ComponentResource):
    """What cloud-init writes for the shop's own services.

    Outputs: ``instances``, each service's systemd unit by the service's name; ``volumes``, none.
    """

    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:vm:Workload", name, None, opts)
        self.files = guest_files.for_services(
            args.services, args.secrets, lambda service: base.environment_of(args, service)
        )
        self.instances = pulumi.Output.from_input(
            {s.name: guest_files.unit_name(s) for s in args.services}
        )
        self.volumes = pulumi.Output.from_input([])
        self.register_outputs({"instances": self.instances, "volumes": self.volumes})
