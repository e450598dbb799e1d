"""Docker's workload: the shop's own services and what they call besides the datastore."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.docker import container
from components.docker.platform import Platform


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs(base.WorkloadArgs[Platform]):
    """Arguments of ``Workload``."""


class Workload(pulumi.ComponentResource):
    """One container per service. They start at once: each waits for what it needs by itself.

    Outputs: ``instances``, each service's container by the service's name; ``volumes``, the names
    of the volumes with secrets.
    """

    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:docker:Workload", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        running = {
            service.name: container.run(
                f"{name}-{service.name}",
                service,
                args.platform,
                args.secrets,
                child,
                env=base.environment_of(args, service),
            )
            for service in args.services
        }
        self.instances = pulumi.Output.all(**{k: r.container for k, r in running.items()})
        self.volumes = pulumi.Output.all(*(v for r in running.values() for v in r.volumes))
        self.register_outputs({"instances": self.instances, "volumes": self.volumes})
