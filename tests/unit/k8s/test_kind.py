"""How clusters are made."""

from __future__ import annotations

import json
import re
import string

import yaml

from tests.support import ROOT
from tests.support.manifests import workloads

KIND_VALUES = {
    "name": "triptych-kubernetes",
    "node_image": "127.0.0.1:5085/triptych/node:0123456789ab",
    "api_address": "127.0.0.1",
    "api_port": "0",
    "bind_address": "127.0.0.1",
    "gateway_port": "8443",
}


def test_the_kind_config_names_its_placeholders_and_needs_no_others() -> None:
    text = (ROOT / "k8s/kind.yaml").read_text()
    template = string.Template(text)
    assert set(template.get_identifiers()) == set(KIND_VALUES)
    documented = re.findall(r"^#   (\w+)  ", text, re.MULTILINE)
    assert set(documented) == set(KIND_VALUES)
    config = yaml.safe_load(template.substitute(KIND_VALUES))
    (only,) = config["nodes"]
    assert only["image"] == KIND_VALUES["node_image"]
    assert only["extraPortMappings"] == [
        {
            "listenAddress": "127.0.0.1",
            "hostPort": 8443,
            "containerPort": 30443,
            "protocol": "TCP",
        }
    ]
    patched = [yaml.safe_load(patch)["kind"] for patch in config["kubeadmConfigPatches"]]
    assert patched == [
        "KubeletConfiguration",
        "KubeProxyConfiguration",
        "InitConfiguration",
        "ClusterConfiguration",
    ]
    # kubeadm takes a file by its name, and one that it does not know is an error.
    assert {path.name for path in (ROOT / "k8s/node/rootfs/kind/patches").iterdir()} == {
        f"{target}+strategic.yaml"
        for target in (
            *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
            "corednsdeployment",
        )
    }


def test_the_clusters_networks_are_the_same_everywhere() -> None:
    config = yaml.safe_load(
        string.Template((ROOT / "k8s/kind.yaml").read_text()).substitute(KIND_VALUES)
    )
    cni = json.loads((ROOT / "k8s/node/rootfs/etc/cni/net.d/10-triptych.conflist").read_text())
    assert cni["plugins"][0]["ipam"]["ranges"] == [[{"subnet": config["networking"]["podSubnet"]}]]
    (router,) = [found for found in workloads() if found["metadata"]["name"] == "kube-router"]
    (container,) = router["spec"]["template"]["spec"]["containers"]
    services = config["networking"]["serviceSubnet"]
    assert f"--service-cluster-ip-range={services}" in container["args"]
