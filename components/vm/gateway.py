"""The virtual machine's gateway: the way in, reached at the machine's own address."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components import base
from components.vm import guest_files
from components.vm.platform import Platform


@dataclass(frozen=True, kw_only=True)
class GatewayArgs(base.GatewayArgs[Platform]):
    """Arguments of ``Gateway``: ``address`` and ``port`` are the machine's."""


class Gateway(pulumi.ComponentResource):
    """What cloud-init writes for the reverse proxy that ends TLS.

    Outputs: ``url``, the storefront's address; ``instances``, its systemd unit by the service's
    name; ``volumes``, none.
    """

    url: pulumi.Output[str]
    instances: pulumi.Output[dict[str, str]]
    volumes: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:vm:Gateway", name, None, opts)
        self.files = guest_files.for_services(args.services, args.secrets)
        self.url = pulumi.Output.from_input(base.storefront_url(args.address, args.port))
        self.instances = pulumi.Output.from_input(
            {s.name: guest_files.unit_name(s) for s in args.services}
        )
        self.volumes = pulumi.Output.from_input([])
        self.register_outputs(
            {"url": self.url, "instances": self.instances, "volumes": self.volumes}
        )
