"""A stack's outputs become a target."""

from __future__ import annotations

from typing import Any

import pytest

from probe.errors import StackNotUp
from probe.target import from_outputs
from tests.support.host_fakes import MIB

# Outputs, names, counts.

OUTPUTS: dict[str, Any] = {
    "model": "docker",
    "shape": "monolith",
    "storefront_url": "https://127.0.0.1:8443",
    "endpoints": {"api": "https://127.0.0.1:8443/api/v1"},
    "readiness_probe": {"url": "https://127.0.0.1:8443/health/ready"},
    "ca_certificate": "PEM",
    "limits": {"memory_mib": 1280.0, "cpus": 2.0},
    "prefix": "triptych-docker",
    "accelerator": "none",
    "inspect": {"containers": {}},
}


def test_outputs_become_a_target() -> None:
    found = from_outputs("docker", OUTPUTS)
    assert found.gateway_url == "https://127.0.0.1:8443"
    assert found.memory_limit_bytes == 1280 * MIB


def test_a_stack_that_is_not_up_is_one_clear_line() -> None:
    with pytest.raises(StackNotUp, match="not up: run `pulumi up -s docker`"):
        from_outputs("docker", {})
    half = {k: v for k, v in OUTPUTS.items() if k != "readiness_probe"}
    with pytest.raises(StackNotUp, match="lacks the output 'readiness_probe'"):
        from_outputs("docker", half)
