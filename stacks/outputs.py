"""What every stack exports, whatever the model: tests and the probe rely on these keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from shop.model import Limits


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """A stack's outputs. ``inspect`` alone differs per model: it is for tools that look inside."""

    model: str
    shape: str
    storefront_url: pulumi.Output[str]
    ca_certificate: pulumi.Output[str]
    limits: Limits
    prefix: str
    accelerator: str
    inspect: Mapping[str, Any]

    def export(self) -> dict[str, Any]:
        """Return the outputs under the names that users see."""
        url = self.storefront_url
        return {
            "model": self.model,
            "shape": self.shape,
            "storefront_url": url,
            "endpoints": {
                "api": pulumi.Output.concat(url, "/api/v1"),
                "live": pulumi.Output.concat(url, "/health/live"),
                "ready": pulumi.Output.concat(url, "/health/ready"),
            },
            "readiness_probe": {
                "url": pulumi.Output.concat(url, "/health/ready"),
                "ca_certificate": self.ca_certificate,
            },
            "ca_certificate": self.ca_certificate,
            "limits": {"memory_mib": self.limits.memory_mib, "cpus": self.limits.cpus},
            "prefix": self.prefix,
            "accelerator": self.accelerator,
            "inspect": dict(self.inspect),
        }
