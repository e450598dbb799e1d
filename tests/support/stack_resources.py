"""Resources of a stack, by what they are for."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pulumi_mocks import Deployed, Registered


def service_containers(deployed: Deployed) -> dict[str, Registered]:
    """Return the containers that run services, by the service's name."""
    return {
        c.inputs["name"].removeprefix("triptych-unit-"): c
        for c in deployed.of("Container")
        if c.inputs["mustRun"]
    }


def cloud_config(deployed: Deployed) -> dict[str, Any]:
    """Return what a machine is told at its first start."""
    (disk,) = deployed.of("CloudInitDisk")
    header, _, body = disk.inputs["userData"].partition("\n")
    assert header == "#cloud-config"
    config: dict[str, Any] = json.loads(body)
    return config
