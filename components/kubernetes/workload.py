"""Kubernetes' workload: the shop's own services and what they call besides the datastore."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.kubernetes import pod
from components.kubernetes.platform import Platform


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs(base.WorkloadArgs[Platform]):
    """Arguments of ``Workload``."""


class Workload(pulumi.ComponentResource):
    """One Deployment per service. They start at once: each waits for what it needs by itself.

    Outputs: ``instances``, each service's Deployment by the service's name; ``volumes``, none.
    """

    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:kubernetes:Workload", name, None, opts)
        running = {
            service.name: pod.run(
                f"{name}-{service.name}",
                service,
                args.platform,
                args.secrets,
                self,
                env=base.environment_of(args, service),
            )
            for service in args.services
        }
        self.revisions = {k: r.revision for k, r in running.items()}
        self.instances = pulumi.Output.all(**{k: r.workload for k, r in running.items()})
        self.volumes = pulumi.Output.all(*(v for r in running.values() for v in r.volumes))
        self.register_outputs({"instances": self.instances, "volumes": self.volumes})
