"""Preflight checks against daemons that answer as real ones do, and the artefacts' index."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Network
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pulumi
import pytest

from components.kubernetes import cluster, tools
from shop.model import Limits
from stacks import docker_host, hosts, kubernetes_host, libvirt_host, parts
from stacks.artefacts import Artefacts, ArtefactsError, Guest, Image
from stacks.hosts import PreflightError

OURS = {"triptych.stack": "unit"}


def container(name, labels=None, ports=()):
    return {"Id": f"id-{name}", "Names": [f"/{name}"], "Labels": labels or {}, "Ports": list(ports)}


def published(port, ip="127.0.0.1"):
    return {"IP": ip, "PublicPort": port, "PrivatePort": 8443, "Type": "tcp"}


class FakeDocker(docker_host.DockerHost):
    """A daemon with some containers; what is removed is recorded."""

    def __init__(self, *containers, root="/", images=()):
        super().__init__(None)
        self.removed = []
        self._root = root
        self._containers = containers
        api = SimpleNamespace(
            containers=lambda **_: list(containers),
            images=lambda: [{"RepoTags": list(images)}],
        )
        self._fake = SimpleNamespace(api=api, info=lambda: {"DockerRootDir": root})

    def client(self):
        return self._fake


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_docker(host, port, images=None):
    docker_host.check(
        host,
        stack="unit",
        containers=("triptych-unit-gateway", "triptych-unit-monolith"),
        gateway="triptych-unit-gateway",
        address="127.0.0.1",
        port=port,
        images=images or {},
    )


class TestDocker:
    def test_nothing_in_the_way(self, free_port):
        check_docker(FakeDocker(container("someone-elses")), free_port)

    def test_foreign_container_of_our_name(self, free_port):
        host = FakeDocker(container("triptych-unit-monolith", {"triptych.stack": "other"}))
        with pytest.raises(PreflightError, match=r'"triptych-unit-monolith".*does not belong'):
            check_docker(host, free_port)

    def test_own_gateway_may_have_the_port(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            gateway = container("triptych-unit-gateway", OURS, [published(port)])
            check_docker(FakeDocker(gateway), port)

    def test_own_gateway_on_another_port_is_no_excuse(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            gateway = container("triptych-unit-gateway", OURS, [published(1)])
            with pytest.raises(PreflightError, match=f"port {port} .* another program"):
                check_docker(FakeDocker(gateway), port)

    @pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
    def test_port_of_another_container(self, free_port, ip):
        host = FakeDocker(container("web", ports=[published(free_port, ip)]))
        with pytest.raises(PreflightError, match=r'gateway_port.*container "web"'):
            check_docker(host, free_port)

    def test_same_port_on_another_address_is_free(self, free_port):
        check_docker(
            FakeDocker(container("web", ports=[published(free_port, "10.0.0.1")])), free_port
        )

    def test_disk_too_small_for_the_missing_images(self, free_port, tmp_path):
        images = {"monolith": Image(ref="r/monolith:1", unpacked_bytes=2**60)}
        with pytest.raises(PreflightError, match=r"disk too small: .* MiB in /.* are free"):
            check_docker(FakeDocker(root=str(tmp_path)), free_port, images)
        # An image that is there already needs no more room.
        check_docker(FakeDocker(root=str(tmp_path), images=["r/monolith:1"]), free_port, images)

    def test_no_daemon(self):
        host = docker_host.DockerHost("unix:///nonexistent/docker.sock")
        with pytest.raises(PreflightError, match=r"no Docker daemon answers at unix:///nonexist"):
            host.client()

    def test_no_permission(self):
        error = Exception("x")
        error.__cause__ = PermissionError(13, "Permission denied")
        text = docker_host.DockerHost(None)._refusal(error)
        assert text.startswith("no permission to use the Docker daemon")
        assert "\n" not in text

    def test_where_the_daemon_is(self, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "ssh://me@far")
        assert docker_host.DockerHost(None).address == "ssh://me@far"
        assert not docker_host.DockerHost(None).is_local
        assert docker_host.DockerHost("unix:///run/x.sock").is_local


def named(name, xml="", active=True, volumes=()):
    return SimpleNamespace(
        name=lambda: name,
        XMLDesc=lambda: xml,
        isActive=lambda: active,
        listVolumes=lambda: list(volumes),
    )


class FakeLibvirt(libvirt_host.LibvirtHost):
    """A daemon with some objects."""

    def __init__(self, domains=(), networks=(), pools=()):
        super().__init__("qemu+ssh://far/system")
        self._fake = SimpleNamespace(
            listAllDomains=lambda: list(domains),
            listAllNetworks=lambda: list(networks),
            listAllStoragePools=lambda: list(pools),
        )

    def connection(self):
        return self._fake


CACHE = named(
    "triptych-cache",
    "<pool><target><path>/var/lib/libvirt/triptych/cache</path></target></pool>",
    volumes=("guest-k.qcow2", "vmlinuz-k", "initrd-k"),
)
GUEST = Guest(
    key="k",
    disk=Path("/nonexistent/guest-k.qcow2"),
    kernel=Path("/nonexistent/vmlinuz-k"),
    initrd=Path("/nonexistent/initrd-k"),
    pool="triptych-cache",
    volume="guest-k.qcow2",
    kernel_volume="vmlinuz-k",
    initrd_volume="initrd-k",
    cmdline="root=/dev/vda",
    virtual_bytes=1,
    unpacked_bytes=1,
)


def check_libvirt(host, *, keep_images=True):
    return libvirt_host.check(
        host,
        stack="unit",
        prefix="triptych-unit",
        subnet=IPv4Network("10.99.0.0/24"),
        guest=GUEST,
        keep_images=keep_images,
    )


class TestLibvirt:
    def test_golden_disk_is_found_in_the_cache(self):
        assert (
            check_libvirt(FakeLibvirt(pools=[CACHE])).pool_path == "/var/lib/libvirt/triptych/cache"
        )

    def test_golden_disk_is_missing(self):
        empty = named("triptych-cache", "<path>/x</path>", volumes=("initrd-k",))
        with pytest.raises(
            PreflightError, match=r"\(guest-k.qcow2, vmlinuz-k missing\).*make build"
        ):
            check_libvirt(FakeLibvirt(pools=[empty]))

    def test_cold_needs_the_files(self):
        with pytest.raises(PreflightError, match=r"/nonexistent/guest-k.qcow2 is missing"):
            check_libvirt(FakeLibvirt(), keep_images=False)

    def test_foreign_domain_of_our_name(self):
        foreign = named("triptych-unit", "<domain><description>mine</description></domain>")
        with pytest.raises(PreflightError, match=r'domain "triptych-unit".*does not belong'):
            check_libvirt(FakeLibvirt(domains=[foreign], pools=[CACHE]))

    def test_own_domain(self):
        own = named("triptych-unit", "<description>triptych.stack=unit</description>")
        check_libvirt(FakeLibvirt(domains=[own], pools=[CACHE]))

    def test_another_stacks_domain_whose_name_begins_alike(self):
        other = named("triptych-unit", "<description>triptych.stack=unit-2</description>")
        with pytest.raises(PreflightError, match=r"does not belong"):
            check_libvirt(FakeLibvirt(domains=[other], pools=[CACHE]))

    def test_subnet_taken_by_another_network(self):
        xml = "<ip family='ipv4' address='10.99.0.1' prefix='24'>"
        with pytest.raises(PreflightError, match=r'vm_subnet: .* overlaps .*"default"'):
            check_libvirt(FakeLibvirt(networks=[named("default", xml)], pools=[CACHE]))

    def test_own_network_may_have_the_subnet(self):
        xml = "<bridge name='virbr7'/><ip family='ipv4' address='10.99.0.1' prefix='24'>"
        check_libvirt(FakeLibvirt(networks=[named("triptych-unit", xml)], pools=[CACHE]))

    def test_host_routes_are_read(self):
        for device, network in libvirt_host._host_routes():
            assert device
            assert network.prefixlen > 0

    def test_no_daemon(self):
        uri = "qemu+unix:///system?socket=/nonexistent/libvirt.sock"
        with pytest.raises(PreflightError, match=r"no libvirt daemon answers"):
            libvirt_host.LibvirtHost(uri).connection()


NODE = Image(ref="r/node:1", unpacked_bytes=1)


class FakeKind(FakeDocker):
    """A daemon with a network, and an image of the node unless told otherwise."""

    def __init__(self, *containers, networks=(), images=("r/node:1",), **more):
        super().__init__(*containers, images=images, **more)
        self._fake.api.networks = lambda names: list(networks)
        self._fake.api.inspect_distribution = self._unknown

    def _unknown(self, reference):
        from docker.errors import NotFound

        raise NotFound(f"{reference} unknown")


def node(network="triptych-unit", ports=()):
    labels = {"io.x-k8s.kind.cluster": "triptych-unit"}
    made = container("triptych-unit-control-plane", labels, ports)
    return {**made, "NetworkSettings": {"Networks": {network: {}}}}


def check_kind(host, port, **changes):
    arguments = {
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
    def programs(self, monkeypatch):
        monkeypatch.setattr(tools, "find", lambda name: f"/usr/bin/{name}")

    def test_nothing_in_the_way(self, free_port):
        check_kind(FakeKind(container("someone-elses")), free_port)

    @pytest.mark.parametrize("missing", ["docker", "kind", "kubectl"])
    def test_a_program_is_missing(self, free_port, monkeypatch, missing):
        monkeypatch.setattr(tools, "find", lambda name: None if name == missing else name)
        with pytest.raises(PreflightError, match=f"{missing} is missing: run `make build`"):
            check_kind(FakeKind(), free_port)

    def test_a_daemon_elsewhere(self, free_port):
        host = FakeKind()
        host._host = "ssh://me@far"
        with pytest.raises(PreflightError, match=r"ssh://me@far: set triptych:cluster to existing"):
            check_kind(host, free_port)

    def test_foreign_registry_container(self, free_port):
        host = FakeKind(container("triptych-unit-registry"))
        with pytest.raises(PreflightError, match=r'"triptych-unit-registry".*does not belong'):
            check_kind(host, free_port)

    def test_foreign_network(self, free_port):
        host = FakeKind(networks=[{"Name": "triptych-unit", "Labels": {}}])
        with pytest.raises(PreflightError, match=r'network "triptych-unit".*does not belong'):
            check_kind(host, free_port)

    def test_foreign_cluster(self, free_port):
        with pytest.raises(PreflightError, match=r"kind delete cluster --name triptych-unit"):
            check_kind(FakeKind(node("kind")), free_port)

    def test_own_cluster_may_have_the_port(self):
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

    def test_no_node_image_anywhere(self, free_port):
        with pytest.raises(PreflightError, match=r"r/node:1, is nowhere: run `make build`"):
            check_kind(FakeKind(images=()), free_port)

    def test_disk_too_small(self, free_port):
        images = {"auth": Image(ref="r/auth:1", unpacked_bytes=2**60)}
        with pytest.raises(PreflightError, match="disk too small: the kubernetes stack"):
            check_kind(FakeKind(), free_port, images=images)
        # A cluster that is there has them.
        check_kind(FakeKind(node(ports=[published(free_port)])), free_port, images=images)

    def test_memory_too_small(self, free_port):
        with pytest.raises(PreflightError, match=r"too little memory: .* are available"):
            check_kind(FakeKind(), free_port, limits=Limits(2**30, 2.0))

    def test_leftovers_are_removed_if_they_are_ours(self, monkeypatch):
        hooks, removed, warnings = {}, [], []
        monkeypatch.setattr(hosts, "before_create", lambda found, _names: hooks.update(found))
        monkeypatch.setattr(pulumi.log, "warn", warnings.append)
        monkeypatch.setattr(cluster, "nodes", lambda _name: {"triptych-unit-control-plane": True})
        monkeypatch.setattr(cluster, "delete", removed.append)
        asked = SimpleNamespace(new_inputs={"name": "triptych-unit"})
        kubernetes_host.clear_leftovers(FakeKind(node("kind")), "unit", "triptych-unit", "")
        with pytest.raises(PreflightError, match="not of this stack"):
            hooks[cluster.TYPE](asked)
        kubernetes_host.clear_leftovers(FakeKind(node()), "unit", "triptych-unit", "")
        hooks[cluster.TYPE](asked)
        assert removed == ["triptych-unit"]
        assert "left by a run that was killed" in warnings[0]


def default(kind, name, mark=True):
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

    found = USUAL
    namespaces = ()
    version = MappingProxyType({"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
    refusal = None

    def contexts(self):
        return ["kind-other", "mine"]

    def ask(self, *query):
        if self.refusal:
            raise tools.ToolError(self.refusal)
        if query[0] == "version":
            return json.dumps({"serverVersion": dict(self.version)})
        return json.dumps({"items": list(self.namespaces if "namespaces" in query else self.found)})


class TestExistingCluster:
    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tools, "find", lambda name: f"/usr/bin/{name}")
        file = tmp_path / "kubeconfig"
        file.write_text("apiVersion: v1")
        return str(file)

    def check(self, file, context="mine", ingress_class=None, storage_class=None, **answers):
        access = type("Cluster", (FakeCluster,), answers)(kubeconfig=file, context=context)
        kubernetes_host.check_existing(
            access,
            stack="unit",
            prefix="triptych-unit",
            ingress_class=ingress_class,
            storage_class=storage_class,
        )

    def test_all_is_there(self, file):
        self.check(file)
        self.check(file, ingress_class="nginx", storage_class="standard")

    def test_no_kubeconfig(self, file):
        with pytest.raises(PreflightError, match=r"triptych:kubeconfig: there is no file /nowhere"):
            self.check("/nowhere/config")

    def test_the_default_kubeconfig_counts_if_none_is_set(self, file, monkeypatch):
        monkeypatch.setenv("KUBECONFIG", file)
        self.check(None)
        monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
        with pytest.raises(PreflightError, match="/nowhere/config"):
            self.check(None)

    def test_wrong_context(self, file):
        with pytest.raises(PreflightError, match=r'context: "prod" is not in .*kind-other, mine'):
            self.check(file, context="prod")

    def test_not_reached(self, file):
        with pytest.raises(PreflightError, match=r"context mine: .*connection refused"):
            self.check(file, refusal="kubectl version: connection refused")

    @pytest.mark.parametrize(("major", "minor"), [("1", "29"), ("1", "29+"), ("0", "99")])
    def test_too_old(self, file, major, minor):
        version = {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.4"}
        with pytest.raises(PreflightError, match=r"1\.30 is the oldest"):
            self.check(file, version=version)

    def test_old_enough(self, file):
        self.check(file, version={"major": "1", "minor": "30+", "gitVersion": "v1.30.1-gke"})

    def test_no_metrics(self, file):
        with pytest.raises(PreflightError, match=r"no metrics API"):
            self.check(file, found=USUAL[:2])
        down = {**METRICS, "status": {"conditions": [{"type": "Available", "status": "False"}]}}
        with pytest.raises(PreflightError, match=r"no metrics API"):
            self.check(file, found=(*USUAL[:2], down))

    def test_no_default_classes(self, file):
        storage = default("StorageClass", "standard", mark=False)
        with pytest.raises(PreflightError, match=r"storage_class: .* no default .*standard"):
            self.check(file, found=(storage, *USUAL[1:]))
        self.check(file, storage_class="standard", found=(storage, *USUAL[1:]))
        with pytest.raises(PreflightError, match=r"ingress_class: .* no default .*none"):
            self.check(file, found=(USUAL[0], METRICS))

    def test_unknown_classes(self, file):
        with pytest.raises(PreflightError, match=r'storage_class: .* no "fast": it has standard'):
            self.check(file, storage_class="fast")
        with pytest.raises(PreflightError, match=r'ingress_class: .* no "traefik": it has nginx'):
            self.check(file, ingress_class="traefik")

    def test_foreign_namespace(self, file):
        foreign = {"metadata": {"name": "triptych-unit", "labels": {"triptych.stack": "other"}}}
        with pytest.raises(PreflightError, match=r'namespace "triptych-unit".*does not belong'):
            self.check(file, namespaces=(foreign,))
        own = {"metadata": {"name": "triptych-unit", "labels": OURS}}
        self.check(file, namespaces=(own,))


class TestArtefacts:
    def test_missing(self, tmp_path):
        with pytest.raises(ArtefactsError, match=r"nothing is built yet.*make build"):
            Artefacts.load(tmp_path / "none.json")

    @pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 2, "guests": {}}x'])
    def test_not_usable(self, tmp_path, text):
        file = tmp_path / "artefacts.json"
        file.write_text(text)
        with pytest.raises(ArtefactsError, match=r"not usable .*make build") as caught:
            Artefacts.load(file)
        assert "\n" not in str(caught.value)

    def test_half_built(self, tmp_path):
        file = tmp_path / "artefacts.json"
        file.write_text(json.dumps({"schema": 2, "images": {}, "guests": {}}))
        artefacts = Artefacts.load(file)
        with pytest.raises(ArtefactsError, match=r'image "gateway" is not built'):
            artefacts.image("gateway")
        with pytest.raises(ArtefactsError, match=r"image of the Kubernetes node is not built"):
            artefacts.require_node()
        with pytest.raises(ArtefactsError, match=r'shape "monolith" is not built'):
            artefacts.require_guest("monolith")

    def test_changed_sources_are_named(self, monkeypatch):
        warnings = []
        monkeypatch.setattr(pulumi.log, "warn", warnings.append)
        sources = {"monolith": "old", "gateway": "same", "guest-monolith": "old"}
        artefacts = Artefacts(sources=sources, images={}, guests={})
        monkeypatch.setattr(
            "toolchain.artefacts.keys.source_keys",
            lambda _root: {"monolith": "new", "gateway": "same", "guest-monolith": "new"},
        )
        parts.warn_if_outdated(artefacts, ("monolith", "gateway"))
        assert len(warnings) == 1
        assert "changed since it was built: monolith;" in warnings[0]
        parts.warn_if_outdated(artefacts, ("gateway",))
        assert len(warnings) == 1


def test_refused_port_range_is_not_called_taken(monkeypatch):
    monkeypatch.setattr(
        socket.socket, "bind", lambda *_: (_ for _ in ()).throw(PermissionError(13))
    )
    assert hosts.port_is_free("127.0.0.1", 443)


def test_an_address_that_is_not_this_hosts():
    with pytest.raises(PreflightError, match=r"bind_address: this host has no address 192.0.2.77"):
        hosts.port_is_free("192.0.2.77", 8443)
