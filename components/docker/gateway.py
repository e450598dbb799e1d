"""Docker's gateway: the way in, the one container with a port on the host."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.docker import container
from components.docker.platform import Platform


@dataclass(frozen=True, kw_only=True)
class GatewayArgs(base.GatewayArgs[Platform]):
    """Arguments of ``Gateway``: ``address`` and ``port`` are the host's."""


class Gateway(pulumi.ComponentResource):
    """The reverse proxy that ends TLS, published on the host.

    Outputs: ``url``, the storefront's address; ``instances``, its container by the service's name;
    ``volumes``, the name of the volume with its certificate.
    """

    url: pulumi.Output[str]
    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:docker:Gateway", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        running = {
            service.name: container.run(
                f"{name}-{service.name}",
                service,
                args.platform,
                args.secrets,
                child,
                published=container.Published(args.address, args.port),
            )
            for service in args.services
        }
        self.url = pulumi.Output.from_input(base.storefront_url(args.address, args.port))
        self.instances = pulumi.Output.all(**{k: r.container for k, r in running.items()})
        self.volumes = pulumi.Output.all(*(v for r in running.values() for v in r.volumes))
        self.register_outputs(
            {"url": self.url, "instances": self.instances, "volumes": self.volumes}
        )
