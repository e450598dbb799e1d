"""The stack's objects as kubectl gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import (
    kubectl_side,
)
from probe.errors import ProbeError


def test_a_stacks_objects_are_what_kubectl_applies() -> None:
    secret = {"plaintext": json.dumps("c2VjcmV0")}
    inputs: list[tuple[str, dict[str, Any]]] = [
        (
            "kubernetes:core/v1:Secret",
            {"kind": "Secret", "metadata": {"name": "s"}, "data": secret},
        ),
        ("kubernetes:core/v1:Namespace", {"kind": "Namespace", "metadata": {"name": "triptych-x"}}),
        ("pulumi:providers:kubernetes", {"kubeconfig": "k"}),
        ("docker:index/network:Network", {"name": "n"}),
    ]
    state = {
        "deployment": {
            "resources": [{"type": t, "inputs": {**i, "__defaults": []}} for t, i in inputs]
        }
    }
    objects = kubectl_side.manifests(state, "triptych-x")
    assert [o["kind"] for o in objects] == ["Namespace", "Secret"]
    assert objects[1] == {"kind": "Secret", "metadata": {"name": "s"}, "data": "c2VjcmV0"}
    with pytest.raises(ProbeError, match="no namespace triptych-y"):
        kubectl_side.manifests(state, "triptych-y")
