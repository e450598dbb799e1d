"""A stack that is up, as its outputs describe it: the same keys in every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probe.errors import StackNotUp


@dataclass(frozen=True, slots=True)
class Target:
    """What the probe needs to know of a stack. ``inspect`` differs by model."""

    stack: str
    model: str
    shape: str
    storefront_url: str
    api_url: str
    ready_url: str
    ca_certificate: str
    accelerator: str
    prefix: str
    memory_limit_bytes: int
    cpu_limit: float
    inspect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gateway_url(self) -> str:
        """Return scheme, host and port of the gateway."""
        return "/".join(self.ready_url.split("/", 3)[:3])


def from_outputs(stack: str, outputs: Mapping[str, Any]) -> Target:
    """Return the target that a stack's outputs describe; raise StackNotUp if they do not."""
    if not outputs:
        raise StackNotUp(f"stack {stack} is not up: run `pulumi up -s {stack}` first")
    try:
        probe = outputs["readiness_probe"]
        limits = outputs["limits"]
        return Target(
            stack=stack,
            model=outputs["model"],
            shape=outputs["shape"],
            storefront_url=outputs["storefront_url"],
            api_url=outputs["endpoints"]["api"],
            ready_url=probe["url"],
            ca_certificate=outputs["ca_certificate"],
            accelerator=outputs.get("accelerator", "none"),
            prefix=outputs["prefix"],
            memory_limit_bytes=int(float(limits["memory_mib"]) * 1024**2),
            cpu_limit=float(limits["cpus"]),
            inspect=outputs.get("inspect") or {},
        )
    except (KeyError, TypeError) as error:
        raise StackNotUp(
            f"stack {stack} lacks the output {error} (half deployed?): run `pulumi up -s {stack}`"
        ) from None
