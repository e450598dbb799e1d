"""The node image of Kubernetes: what goes into it, and by which names."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.support import ROOT
from toolchain import upstream
from toolchain.artefacts import keys, node, registry
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.tools import TOOLS

LISTED = """\
registry.k8s.io/kube-apiserver:v1.37.2
registry.k8s.io/kube-controller-manager:v1.37.2
registry.k8s.io/kube-scheduler:v1.37.2
registry.k8s.io/kube-proxy:v1.37.2
registry.k8s.io/coredns/coredns:v1.14.6
registry.k8s.io/pause:3.10.2
registry.k8s.io/etcd:3.7.0-0
"""


def test_kubeadms_names_go_to_our_images_and_one_image_has_four() -> None:
    found = node.control_plane_refs(LISTED.split())
    assert set(found) == set(keys.CONTROL_PLANE)
    assert [ref.rpartition("/")[2].partition(":")[0] for ref in found["kubernetes"]] == [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
    ]
    assert found["coredns"] == ("registry.k8s.io/coredns/coredns:v1.14.6",)


def test_an_image_that_kubeadm_wants_and_we_have_not_is_an_error() -> None:
    with pytest.raises(ToolchainError, match=r"we have not: registry\.k8s\.io/novel:1"):
        node.control_plane_refs([*LISTED.split(), "registry.k8s.io/novel:1"])
    with pytest.raises(ToolchainError, match="does not name all"):
        node.control_plane_refs(LISTED.split()[1:-1])


def test_a_layout_has_each_image_once_and_each_of_its_names(tmp_path: Path) -> None:
    layout, pushed = tmp_path / "layout", tmp_path / "pushed"
    blob = hashlib.sha256(b"layer").hexdigest()
    manifest = b'{"mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    pushed.mkdir()
    (pushed / blob).write_bytes(b"layer")
    (pushed / "manifest.json").write_bytes(manifest)
    (pushed / "version").write_text("Directory Transport Version: 1.1\n")
    node.start_layout(layout)
    node.add_to_layout(layout, pushed, ["one:1", "two:1"])
    node.add_to_layout(layout, pushed, ["three:1"])
    index = json.loads((layout / "index.json").read_text())
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    assert names == ["one:1", "two:1", "three:1"]
    digest = hashlib.sha256(manifest).hexdigest()
    assert {entry["digest"] for entry in index["manifests"]} == {f"sha256:{digest}"}
    blobs = {path.name for path in (layout / "blobs/sha256").iterdir()}
    assert blobs == {digest, blob}
    assert all(
        hashlib.sha256((layout / "blobs/sha256" / name).read_bytes()).hexdigest() == name
        for name in blobs
    )


def test_kindest_node_is_taken_where_images_are_reached_and_nobody_says_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(node.CHOICE_VARIABLE, raising=False)
    monkeypatch.setattr(upstream, "images_reachable", lambda: True)
    assert "kindest/node" in node.kindest_is_had()
    monkeypatch.setenv(node.CHOICE_VARIABLE, "build")
    assert node.kindest_is_had() == ""
    monkeypatch.delenv(node.CHOICE_VARIABLE)
    monkeypatch.setattr(upstream, "images_reachable", lambda: False)
    assert node.kindest_is_had() == ""


def test_the_node_pulled_and_the_node_built_are_of_one_minor_version() -> None:
    pulled = node.KINDEST.partition(":v")[2].partition("@")[0]
    assert pulled.split(".")[:2] == TOOLS["kubernetes"].version.split(".")[:2]
    assert re.search(r"@sha256:[0-9a-f]{64}$", node.KINDEST)


def test_a_node_of_other_sources_is_none(our_paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    built = node.Node(
        ref="127.0.0.1:5085/triptych/node:x",
        digest="sha256:d",
        image_id="sha256:i",
        shipped_bytes=1,
        unpacked_bytes=2,
        own_bytes=2,
        build_s=3.0,
        version="1.37.2",
        source="built",
    )
    record = our_paths.artefacts / f"node-{keys.node_key(ROOT)}.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(built.__dict__))
    monkeypatch.setattr(registry, "manifest", lambda name, digest: (name, digest))
    assert node.read_node(our_paths) == built
    monkeypatch.setattr(registry, "manifest", lambda name, digest: None)
    assert node.read_node(our_paths) is None
    monkeypatch.setattr(node, "node_key", lambda root: "another")
    monkeypatch.setattr(registry, "manifest", lambda name, digest: (name, digest))
    assert node.read_node(our_paths) is None


def test_every_image_inside_has_a_dockerfile_that_takes_its_own_binary() -> None:
    for name in (*keys.CONTROL_PLANE, *keys.STORAGE, *keys.ADD_ONS):
        text = (ROOT / keys.NODE_IMAGES / name / "Dockerfile").read_text()
        assert re.search(rf"^COPY (--chmod=0755 )?{name} /", text, re.MULTILINE), name
        assert re.search(r"^FROM (scratch|\$\{TOOLS\})$", text, re.MULTILINE), name
