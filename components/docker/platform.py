"""Docker's platform: one private network and the images, both of which the services need first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components import base

#: Everything that a stack makes in the daemon carries this label with the stack's name.
STACK_LABEL = "triptych.stack"


@dataclass(frozen=True, kw_only=True)
class PlatformArgs(base.PlatformArgs):
    """Arguments of ``Platform``: ``images`` has each image's reference by its short name."""

    images: Mapping[str, str]


class Platform(pulumi.ComponentResource):
    """A bridge network of the stack's own, and the images pulled or found.

    Output: ``network``, the network's name.
    """

    network: pulumi.Output[str]

    def __init__(
        self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"{base.TOKEN_PACKAGE}:docker:Platform", name, None, opts)
        self.stack = args.stack
        self.prefix = args.prefix
        child = pulumi.ResourceOptions(parent=self)
        network = docker.Network(
            f"{name}-network",
            name=args.prefix,
            driver="bridge",
            labels=[docker.NetworkLabelArgs(label=STACK_LABEL, value=args.stack)],
            # The name is fixed, and the daemon would let two networks share it.
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )
        # Containers take `image_id`: by name, upstream's plugin sees a change in every preview
        # (pulumi-docker 325).
        self.image_ids = {
            short: docker.RemoteImage(
                f"{name}-image-{short}", name=ref, keep_locally=args.keep_images, opts=child
            ).image_id
            for short, ref in args.images.items()
        }
        self.network = network.name
        self.register_outputs({"network": self.network})
