"""The node image of Kubernetes: what goes into it, by which names, and how clusters are made."""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import clean, graph, plugins, tools, upstream
from toolchain.artefacts import keys, node, registry
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.steps import Outcome, Runner, Step, check_graph
from toolchain.tools import LARGE, TOOLS, tool_step

ROOT = Path(__file__).resolve().parents[2]
LISTED = """\
registry.k8s.io/kube-apiserver:v1.37.2
registry.k8s.io/kube-controller-manager:v1.37.2
registry.k8s.io/kube-scheduler:v1.37.2
registry.k8s.io/kube-proxy:v1.37.2
registry.k8s.io/coredns/coredns:v1.14.6
registry.k8s.io/pause:3.10.2
registry.k8s.io/etcd:3.7.0-0
"""
KIND_VALUES = {
    "name": "triptych-kubernetes",
    "node_image": "127.0.0.1:5085/triptych/node:0123456789ab",
    "api_address": "127.0.0.1",
    "api_port": "0",
    "bind_address": "127.0.0.1",
    "gateway_port": "8443",
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=ROOT, cache=tmp_path / "cache", run=tmp_path / "run")


def documents(*files: str) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from yaml.safe_load_all((ROOT / file).read_text())


def workloads() -> list[dict[str, Any]]:
    """Return what runs pods in a cluster besides the control plane."""
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "k8s/addons").glob("*.yaml"))]
    files.append("k8s/node/rootfs/kind/manifests/default-storage.yaml")
    kinds = ("Deployment", "DaemonSet", "StatefulSet")
    return [found for found in documents(*files) if found["kind"] in kinds]


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


def test_a_node_of_other_sources_is_none(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
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
    record = paths.artefacts / f"node-{keys.node_key(ROOT)}.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(built.__dict__))
    monkeypatch.setattr(registry, "manifest", lambda name, digest: (name, digest))
    assert node.read_node(paths) == built
    monkeypatch.setattr(registry, "manifest", lambda name, digest: None)
    assert node.read_node(paths) is None
    monkeypatch.setattr(node, "node_key", lambda root: "another")
    monkeypatch.setattr(registry, "manifest", lambda name, digest: (name, digest))
    assert node.read_node(paths) is None


def test_every_image_inside_has_a_dockerfile_that_takes_its_own_binary() -> None:
    for name in (*keys.CONTROL_PLANE, *keys.STORAGE, *keys.ADD_ONS):
        text = (ROOT / keys.NODE_IMAGES / name / "Dockerfile").read_text()
        assert re.search(rf"^COPY (--chmod=0755 )?{name} /", text, re.MULTILINE), name
        assert re.search(r"^FROM (scratch|\$\{TOOLS\})$", text, re.MULTILINE), name


def test_the_graph_has_all_that_goes_into_the_node(paths: Paths) -> None:
    found = {step.name: step for step in check_graph(graph.build_steps(paths))}
    needs = set(found[node.STEP].needs)
    assert set(keys.NODE_TOOLS) | {"kind", "base-image", "node-debian"} == needs
    assert next(iter(found)) == "kubernetes"  # The longest.
    # Each wants several GB: never both at once.
    assert {name for name, step in found.items() if step.lock == LARGE} == {
        "kubernetes",
        graph.PROVIDER,
    }
    assert graph.PROVIDER in found["plugins"].needs
    assert node.STEP in found["artefacts"].needs


def test_what_tests_run_is_built_even_if_the_node_image_is_there(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def step(paths: Paths, name: str, *args: object, **options: object) -> Step:
        if "spared" not in options:
            asked.append(name)
        return tool_step(paths, name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graph, "tool_step", step)
    check_graph(graph.build_steps(paths))
    assert not {"kubernetes", "etcd"} & set(asked)
    asked.clear()
    check_graph(graph.build_steps(paths, tested=True))
    assert {"kubernetes", "etcd"} <= set(asked)


def test_without_a_cluster_nothing_of_it_is_built(paths: Paths) -> None:
    names = {step.name for step in check_graph(graph.steps_for(paths, "build", "docker,vm"))}
    assert not {name for name in names if "kube" in name or "node" in name or name == "etcd"}
    assert {"image-monolith", "guest-monolith", "artefacts", "plugins", "image-registry"} <= names
    everything = {step.name for step in graph.steps_for(paths, "build")}
    assert names < everything
    assert {step.name for step in graph.steps_for(paths, "build", "kubernetes")} == everything


def test_an_unknown_model_is_refused_before_anything_is_built(paths: Paths) -> None:
    with pytest.raises(ToolchainError, match="unknown model 'lxc': known are docker, kubernetes"):
        graph.steps_for(paths, "build", "docker,lxc")


def test_linters_wait_for_nothing_of_kubernetes(paths: Paths) -> None:
    names = {step.name for step in graph.lint_steps(paths)}
    assert not names & {*keys.NODE_TOOLS, node.STEP, graph.PROVIDER, "kubectl"}


@pytest.mark.parametrize("name", keys.NODE_TOOLS)
def test_what_is_inside_is_never_taken_from_the_path(name: str) -> None:
    assert TOOLS[name].accept is None
    assert TOOLS[name].release is None
    assert not TOOLS[name].published


@pytest.mark.parametrize("tool", [t for t in TOOLS.values() if t.name != "ingress"])
def test_a_tools_version_is_that_of_its_module(tool: tools.Tool) -> None:
    text = (ROOT / tool.folder / "go.mod").read_text()
    versions = set(re.findall(r"^\t?(?:require )?\S+ v(\S+)", text, re.MULTILINE))
    if tool.name == graph.PROVIDER:  # No release has been published as a module.
        assert any(version.startswith("4.0.0-20260115033456-") for version in versions)
    else:
        assert tool.version in versions
    assert (ROOT / tool.folder / "go.sum").is_file()


def test_the_provider_is_of_the_sdks_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"pulumi_kubernetes=={TOOLS[graph.PROVIDER].version}" in lines
    assert "kubernetes" in plugins.PROVIDERS


def test_the_provider_is_installed_as_a_plugin(paths: Paths, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    here = Paths(root=tmp_path / "clone", cache=paths.cache, run=paths.run)
    with pytest.raises(ToolchainError, match="pulumi-resource-kubernetes is not there"):
        plugins.install_provider(here, "kubernetes", "4.25.0", environ)
    binary = tools.tool_dir(here, graph.PROVIDER) / graph.PROVIDER
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\necho provider\n")
    binary.chmod(0o755)
    found = plugins.install_provider(here, "kubernetes", "4.25.0", environ)
    assert found == plugins.Found(binary, plugins.BUILT)
    wrapper = here.pulumi_home / "plugins/resource-kubernetes-v4.25.0" / graph.PROVIDER
    assert str(binary) in wrapper.read_text()
    # It is no upstream plugin: a second run finds the same again.
    assert plugins.find_upstream(here, "kubernetes", "4.25.0", environ) is None
    assert plugins.install_provider(here, "kubernetes", "4.25.0", environ) == found


class Silent:
    """A reporter that shows nothing."""

    def started(self, name: str, detail: str, last_s: float | None) -> None:
        """Show nothing."""

    def changed(self, name: str, detail: str) -> None:
        """Show nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return a clone on a machine that has no tools and reaches no releases."""
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(upstream, "reachable", lambda: False)
    clone = tmp_path / "clone"
    for name in ("go.mod", "go.sum"):
        (clone / "toolchain/go/kubernetes").mkdir(parents=True, exist_ok=True)
        (clone / "toolchain/go/kubernetes" / name).write_text("")
    return Paths(root=clone, cache=tmp_path / "cache", run=tmp_path / "run")


def test_kubectl_is_kubernetes_by_another_name(offline: Paths) -> None:
    binary = tools.tool_dir(offline, "kubernetes") / "kubernetes"
    binary.parent.mkdir(parents=True)
    binary.write_text('#!/bin/sh\necho "$(basename "$0") $*: Client Version: v1.37.2"\n')
    binary.chmod(0o755)
    (outcome,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert outcome.state == "done", outcome.error
    assert (offline.bin / "kubectl").samefile(tools.tool_dir(offline, "kubectl") / "kubectl")
    assert tools.read_records(offline)["kubectl"]["source"] == "built as kubernetes"
    assert tools.have(offline, "kubectl")
    (again,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert again.state == "present"


def test_without_kubernetes_there_is_no_kubectl_and_a_word_on_it(offline: Paths) -> None:
    (outcome,) = Runner(offline.logs, Silent()).run([tools.tool_step(offline, "kubectl")])
    assert outcome.state == "failed"
    assert "TRIPTYCH_NODE=build" in outcome.error


def test_what_is_spared_is_neither_had_nor_built(offline: Paths) -> None:
    spared = tools.tool_step(offline, "kubernetes", spared=lambda: "in the node image")
    never = tools.tool_step(offline, "kubernetes", never=lambda: "not needed")
    (outcome,) = Runner(offline.logs, Silent()).run([spared])
    assert (outcome.state, outcome.detail) == ("present", "in the node image")
    (outcome,) = Runner(offline.logs, Silent()).run([never])
    assert (outcome.state, outcome.detail) == ("done", "not needed")
    assert not tools.tool_dir(offline, "kubernetes").exists()


def test_checksums_may_be_of_one_file_alone() -> None:
    assert upstream.checksum_for("A" * 64 + "\n", "kubectl") == "a" * 64


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


def test_clean_takes_only_our_kind_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, ...]] = []

    def command(*argv: str) -> bool:
        done.append(argv)
        return True

    listed = "aaa triptych-kubernetes\nbbb kind\nccc my-triptych-\nddd triptych-dev\neee\n"

    def capture(*argv: str) -> str:
        if argv[1] == "ps":
            return listed if clean.KIND_LABEL in argv[4] else "fff\n"
        return ""

    monkeypatch.setattr(clean, "capture", capture)
    monkeypatch.setattr(clean, "_command", command)
    monkeypatch.setattr(clean, "find", lambda name: Path("/usr/bin/docker"))
    monkeypatch.setattr(clean, "docker_socket", lambda: None)
    removed = clean.clean_docker()
    assert [(one.kind, one.name) for one in removed] == [
        ("kind cluster", "triptych-kubernetes"),
        ("kind cluster", "triptych-dev"),
        ("container", "fff"),  # The registry's, which has our label: then the networks are empty.
        ("network", "triptych-dev"),
        ("network", "triptych-kubernetes"),
    ]
    assert ("docker", "rm", "--force", "--volumes", "aaa") in done
    assert not [argv for argv in done if {"bbb", "ccc", "eee", "kind"} & set(argv)]
