"""Kubernetes' datastore: the services that keep data, each with a claim on a volume."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.kubernetes import pod
from components.kubernetes.platform import Platform


@dataclass(frozen=True, kw_only=True)
class DatastoreArgs(base.DatastoreArgs[Platform]):
    """Arguments of ``Datastore``."""


class Datastore(pulumi.ComponentResource):
    """One StatefulSet per service, with a claim that outlives it.

    Outputs: ``instances``, each service's StatefulSet by the service's name; ``volumes``, the
    names of the claims.
    """

    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: DatastoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:kubernetes:Datastore", name, None, opts)
        running = {
            service.name: pod.run(
                f"{name}-{service.name}", service, args.platform, args.secrets, self
            )
            for service in args.services
        }
        self.revisions = {k: r.revision for k, r in running.items()}
        self.instances = pulumi.Output.all(**{k: r.workload for k, r in running.items()})
        self.volumes = pulumi.Output.all(*(v for r in running.values() for v in r.volumes))
        self.register_outputs({"instances": self.instances, "volumes": self.volumes})
