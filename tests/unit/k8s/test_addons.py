"""What runs in a cluster besides the control plane."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.manifests import workloads
from toolchain.artefacts import keys, node
from toolchain.tools import TOOLS


def test_add_ons_are_of_the_versions_that_are_in_the_node() -> None:
    found = {
        container["image"]
        for workload in workloads()
        for container in workload["spec"]["template"]["spec"]["containers"]
    }
    wanted = {
        f"{node.PREFIX}/{name}:{TOOLS[name].version}" for name in (*keys.STORAGE, *keys.ADD_ONS)
    }
    assert found == wanted
    storage = (ROOT / "k8s/node/rootfs/kind/manifests/default-storage.yaml").read_text()
    assert set(re.findall(r"triptych\.invalid/\S+", storage)) <= wanted


@pytest.mark.parametrize("workload", workloads(), ids=lambda found: found["metadata"]["name"])
def test_add_ons_are_hardened_and_bounded(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    for container in pod["containers"]:
        context = {**pod.get("securityContext", {}), **container["securityContext"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not context.get("privileged")
        if not pod.get("hostNetwork"):
            assert context["runAsNonRoot"] is True
        assert container["imagePullPolicy"] == "IfNotPresent"
        resources = container["resources"]
        assert resources["limits"]["memory"]
        assert set(resources["requests"]) == {"cpu", "memory"}
