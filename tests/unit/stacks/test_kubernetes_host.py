"""Preflight of clusters: our own, and one that exists."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import pulumi
import pytest

from components.kubernetes import cluster, tools
from shop.model import Limits
from stacks import hosts, kubernetes_host
from stacks.artefacts import Image
from stacks.hosts import PreflightError
from tests.support.docker_fakes import OURS, FakeDocker, container, published

NODE = Image(ref="r/node:1", unpacked_bytes=1)


class FakeKind(FakeDocker):
    """A daemon with a network, and an image of the node unless told otherwise."""

    def __init__(
        self,
        *containers: Mapping[str, Any],
        networks: Sequence[Mapping[str, Any]] = (),
        images: Sequence[str] = ("r/node:1",),
    ) -> None:
        super().__init__(*containers, images=images)
        self._fake.api.networks = lambda names: list(networks)
        self._fake.api.inspect_distribution = self._unknown

    def _unknown(self, reference: str) -> NoReturn:
        from docker.errors import NotFound

        raise NotFound(f"{reference} unknown")


def node(network: str = "triptych-unit", ports: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    labels = {"io.x-k8s.kind.cluster": "triptych-unit"}
    made = container("triptych-unit-control-plane", labels, ports)
    return {**made, "NetworkSettings": {"Networks": {network: {}}}}


def check_kind(host: FakeKind, port: int, **changes: object) -> None:
    arguments: dict[str, Any] = {
        "stack": "unit",
        "prefix": "triptych-unit",
        "registry": "triptych-unit-registry",
        "address": "127.0.0.1",
        "port": port,
        "node": NODE,
        "images": {},
        "limits": Limits(1280, 2.0),
    }
    kubernetes_host.check_own(host, **{**arguments, **changes})


class TestKind:
    @pytest.fixture(autouse=True)
    def programs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tools, "find", lambda name: f"/usr/bin/{name}")

    def test_nothing_in_the_way(self, free_port: int) -> None:
        check_kind(FakeKind(container("someone-elses")), free_port)

    @pytest.mark.parametrize("missing", ["docker", "kind", "kubectl"])
    def test_a_program_is_missing(
        self, free_port: int, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.setattr(tools, "find", lambda name: None if name == missing else name)
        with pytest.raises(PreflightError, match=f"{missing} is missing: run `make build`"):
            check_kind(FakeKind(), free_port)

    def test_a_daemon_elsewhere(self, free_port: int) -> None:
        host = FakeKind()
        host._host = "ssh://me@far"
        with pytest.raises(PreflightError, match=r"ssh://me@far: set triptych:cluster to existing"):
            check_kind(host, free_port)

    def test_foreign_registry_container(self, free_port: int) -> None:
        host = FakeKind(container("triptych-unit-registry"))
        with pytest.raises(PreflightError, match=r'"triptych-unit-registry".*does not belong'):
            check_kind(host, free_port)

    def test_foreign_network(self, free_port: int) -> None:
        host = FakeKind(networks=[{"Name": "triptych-unit", "Labels": {}}])
        with pytest.raises(PreflightError, match=r'network "triptych-unit".*does not belong'):
            check_kind(host, free_port)

    def test_foreign_cluster(self, free_port: int) -> None:
        with pytest.raises(PreflightError, match=r"kind delete cluster --name triptych-unit"):
            check_kind(FakeKind(node("kind")), free_port)

    def test_own_cluster_may_have_the_port(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            own = FakeKind(
                node(ports=[published(port)]),
                networks=[{"Name": "triptych-unit", "Labels": OURS}],
            )
            check_kind(own, port)
            with pytest.raises(PreflightError, match=f"port {port} .* another program"):
                check_kind(FakeKind(), port)

    def test_no_node_image_anywhere(self, free_port: int) -> None:
        with pytest.raises(PreflightError, match=r"r/node:1, is nowhere: run `make build`"):
            check_kind(FakeKind(images=()), free_port)

    def test_disk_too_small(self, free_port: int) -> None:
        images = {"auth": Image(ref="r/auth:1", unpacked_bytes=2**60)}
        with pytest.raises(PreflightError, match="disk too small: the kubernetes stack"):
            check_kind(FakeKind(), free_port, images=images)
        # A cluster that is there has them.
        check_kind(FakeKind(node(ports=[published(free_port)])), free_port, images=images)

    def test_memory_too_small(self, free_port: int) -> None:
        with pytest.raises(PreflightError, match=r"too little memory: .* are available"):
            check_kind(FakeKind(), free_port, limits=Limits(2**30, 2.0))

    def test_leftovers_are_removed_if_they_are_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hooks: dict[str, Callable[[pulumi.ResourceHookArgs], None]] = {}
        removed: list[str] = []
        warnings: list[str] = []
        monkeypatch.setattr(hosts, "before_create", lambda found, _names: hooks.update(found))
        monkeypatch.setattr(pulumi.log, "warn", warnings.append)
        monkeypatch.setattr(cluster, "nodes", lambda _name: {"triptych-unit-control-plane": True})
        monkeypatch.setattr(cluster, "delete", removed.append)
        asked = pulumi.ResourceHookArgs(
            "urn", "id", "cluster", cluster.TYPE, {"name": "triptych-unit"}
        )
        kubernetes_host.clear_leftovers(FakeKind(node("kind")), "unit", "triptych-unit", "")
        with pytest.raises(PreflightError, match="not of this stack"):
            hooks[cluster.TYPE](asked)
        kubernetes_host.clear_leftovers(FakeKind(node()), "unit", "triptych-unit", "")
        hooks[cluster.TYPE](asked)
        assert removed == ["triptych-unit"]
        assert "left by a run that was killed" in warnings[0]


def default(kind: str, name: str, mark: bool = True) -> dict[str, Any]:
    key = f"{kind.lower()}.kubernetes.io/is-default-class"
    annotations = {key: "true"} if mark else {}
    return {"kind": kind, "metadata": {"name": name, "annotations": annotations}}


METRICS = {
    "kind": "APIService",
    "metadata": {"name": "v1beta1.metrics.k8s.io"},
    "status": {"conditions": [{"type": "Available", "status": "True"}]},
}
USUAL = (default("StorageClass", "standard"), default("IngressClass", "nginx"), METRICS)


class FakeCluster(kubernetes_host.ClusterAccess):
    """A cluster that answers as kubectl tells."""

    found: tuple[Mapping[str, Any], ...] = USUAL
    namespaces: tuple[Mapping[str, Any], ...] = ()
    version: Mapping[str, str] = MappingProxyType(
        {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}
    )
    refusal: str | None = None

    def contexts(self) -> list[str]:
        return ["kind-other", "mine"]

    def ask(self, *query: str) -> str:
        if self.refusal:
            raise tools.ToolError(self.refusal)
        if query[0] == "version":
            return json.dumps({"serverVersion": dict(self.version)})
        return json.dumps({"items": list(self.namespaces if "namespaces" in query else self.found)})


class TestExistingCluster:
    @pytest.fixture
    def file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(tools, "find", lambda name: f"/usr/bin/{name}")
        file = tmp_path / "kubeconfig"
        file.write_text("apiVersion: v1")
        return str(file)

    def check(
        self,
        file: str | None,
        context: str = "mine",
        ingress_class: str | None = None,
        storage_class: str | None = None,
        **answers: object,
    ) -> None:
        access = type("Cluster", (FakeCluster,), answers)(kubeconfig=file, context=context)
        kubernetes_host.check_existing(
            access,
            stack="unit",
            prefix="triptych-unit",
            ingress_class=ingress_class,
            storage_class=storage_class,
        )

    def test_all_is_there(self, file: str) -> None:
        self.check(file)
        self.check(file, ingress_class="nginx", storage_class="standard")

    def test_no_kubeconfig(self, file: str) -> None:
        with pytest.raises(PreflightError, match=r"triptych:kubeconfig: there is no file /nowhere"):
            self.check("/nowhere/config")

    def test_the_default_kubeconfig_counts_if_none_is_set(
        self, file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", file)
        self.check(None)
        monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
        with pytest.raises(PreflightError, match="/nowhere/config"):
            self.check(None)

    def test_wrong_context(self, file: str) -> None:
        with pytest.raises(PreflightError, match=r'context: "prod" is not in .*kind-other, mine'):
            self.check(file, context="prod")

    def test_not_reached(self, file: str) -> None:
        with pytest.raises(PreflightError, match=r"context mine: .*connection refused"):
            self.check(file, refusal="kubectl version: connection refused")

    @pytest.mark.parametrize(("major", "minor"), [("1", "29"), ("1", "29+"), ("0", "99")])
    def test_too_old(self, file: str, major: str, minor: str) -> None:
        version = {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.4"}
        with pytest.raises(PreflightError, match=r"1\.30 is the oldest"):
            self.check(file, version=version)

    def test_old_enough(self, file: str) -> None:
        self.check(file, version={"major": "1", "minor": "30+", "gitVersion": "v1.30.1-gke"})

    def test_no_metrics(self, file: str) -> None:
        with pytest.raises(PreflightError, match=r"no metrics API"):
            self.check(file, found=USUAL[:2])
        down = {**METRICS, "status": {"conditions": [{"type": "Available", "status": "False"}]}}
        with pytest.raises(PreflightError, match=r"no metrics API"):
            self.check(file, found=(*USUAL[:2], down))

    def test_no_default_classes(self, file: str) -> None:
        storage = default("StorageClass", "standard", mark=False)
        with pytest.raises(PreflightError, match=r"storage_class: .* no default .*standard"):
            self.check(file, found=(storage, *USUAL[1:]))
        self.check(file, storage_class="standard", found=(storage, *USUAL[1:]))
        with pytest.raises(PreflightError, match=r"ingress_class: .* no default .*none"):
            self.check(file, found=(USUAL[0], METRICS))

    def test_unknown_classes(self, file: str) -> None:
        with pytest.raises(PreflightError, match=r'storage_class: .* no "fast": it has standard'):
            self.check(file, storage_class="fast")
        with pytest.raises(PreflightError, match=r'ingress_class: .* no "traefik": it has nginx'):
            self.check(file, ingress_class="traefik")

    def test_foreign_namespace(self, file: str) -> None:
        foreign = {"metadata": {"name": "triptych-unit", "labels": {"triptych.stack": "other"}}}
        with pytest.raises(PreflightError, match=r'namespace "triptych-unit".*does not belong'):
            self.check(file, namespaces=(foreign,))
        own = {"metadata": {"name": "triptych-unit", "labels": OURS}}
        self.check(file, namespaces=(own,))
