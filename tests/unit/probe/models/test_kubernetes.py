"""A cluster's phases, parts and processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probe import cgroups, models, processes, project, texts
from probe.errors import ProbeError
from probe.experiments.resources import Resources
from probe.models import cluster, kubernetes
from probe.models.base import NODE_WATCHED_S, Roles, Stamps
from probe.models.kubernetes import (
    STEPS,
    ClusterEvents,
    KubernetesInspector,
    KubernetesPreparation,
    KubernetesWatcher,
    NodeWatcher,
    disk_usage,
    pod_group,
)
from tests.support.host_fakes import MIB, FakeContainers, Proc, docker_event
from tests.support.probe_fakes import FakeClock, make_context, target

PREFIX = "triptych-cmp-1-kubernetes"


# What happens while a deployment comes up.


def event(kind: str, name: str, namespace: str = PREFIX, **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **content.pop("metadata", {})}
    return {"type": kind, "object": {"metadata": metadata, **content}}


def pod(service: str, *, ready: bool = False, running: bool = False, **metadata: Any) -> Any:
    state = "running" if running else "waiting"
    conditions = [{"type": "PodScheduled", "status": "True"}]
    conditions.append({"type": "Ready", "status": "True" if ready else "False"})
    return event(
        "MODIFIED",
        f"{service}-0",
        metadata={"labels": {"app.kubernetes.io/name": service}, **metadata},
        status={"conditions": conditions, "containerStatuses": [{"state": {state: {}}}]},
    )


def addon(name: str, available: int, namespace: str = "kube-system") -> dict[str, Any]:
    return event(
        "MODIFIED",
        name,
        namespace,
        metadata={"generation": 1},
        spec={"replicas": 1},
        status={"observedGeneration": 1, "availableReplicas": available},
    )


def replay(events: ClusterEvents, clock: FakeClock, *steps: tuple[float, str, Any]) -> None:
    for at, kind, what in steps:
        clock.now = at
        events.take(kind, what)


def ready_node() -> dict[str, Any]:
    return event("ADDED", "n", status={"conditions": [{"type": "Ready", "status": "True"}]})


def test_watches_become_phases_and_steps() -> None:
    clock = FakeClock()
    stamps = Stamps(clock=clock)
    events = ClusterEvents(stamps, PREFIX, own=True)
    pulled = {"reason": "Pulled", "message": "in 1 s"}
    replay(
        events,
        clock,
        (1, "nodes", event("ADDED", "n", status={"conditions": []})),
        (2, "nodes", ready_node()),
        (3, "pods", pod("postgres")),
        (4, "events", event("ADDED", "e1", involvedObject={"name": "postgres-0"}, **pulled)),
        (5, "events", event("ADDED", "e2", involvedObject={"name": "auth-0"}, **pulled)),
        (6, "pods", pod("auth", running=True)),
        (7, "pods", pod("gateway", running=True)),
        (8, "pods", pod("auth", running=True)),  # said again: it counts the first time
        (9, "pods", pod("gateway", ready=True, running=True)),
        (
            10,
            "endpointslices",
            event(
                "MODIFIED",
                "gateway-x",
                metadata={"labels": {"kubernetes.io/service-name": "gateway"}},
                endpoints=[{"conditions": {"ready": True}}],
            ),
        ),
        (11, "deployments", addon("coredns", 0)),
        (12, "deployments", addon("coredns", 1)),
        (13, "deployments", addon("gateway", 1, PREFIX)),  # the shop's own
        (14, "ingresses", event("ADDED", "gateway", status={})),
        (15, "ingresses", event("MODIFIED", "gateway", status={"loadBalancer": {"ingress": [{}]}})),
        (16, "pods", {**pod("auth", ready=True, running=True), "type": "DELETED"}),
        (17, "pods", pod("valkey", ready=True, running=True, deletionTimestamp="now")),
    )
    assert stamps.copy() == {
        "node_ready": 2,
        "platform_ready": 2,
        "pods_scheduled": 7,
        "images_pulled": 5,
        "containers_started": 7,
        "workload_started": 6,
        "pods_ready": 9,
        "endpoints_ready": 10,
        "addons_ready": 12,
        "ingress_programmed": 15,
    }
    assert set(stamps.copy()) - {"platform_ready", "workload_started"} < set(STEPS)
    assert {step for step, _ in texts.STEPS} == set(STEPS)


def test_in_the_users_cluster_the_namespace_is_the_platform() -> None:
    clock = FakeClock()
    stamps = Stamps(clock=clock)
    events = ClusterEvents(stamps, PREFIX, own=False)
    replay(
        events,
        clock,
        (1, "nodes", ready_node()),
        (2, "deployments", addon("coredns", 1)),
        (3, "namespaces", event("ADDED", "default", status={"phase": "Active"})),
        (4, "namespaces", event("ADDED", PREFIX, status={"phase": "Active"})),
    )
    assert stamps.copy() == {"platform_created": 4, "platform_ready": 4}


def test_the_cluster_is_created_when_its_node_starts() -> None:
    clock = FakeClock()
    watcher = NodeWatcher(PREFIX, stamps=Stamps(clock=clock))
    for at, what in (
        (1, docker_event("network", "create", PREFIX)),
        (2, docker_event("container", "start", f"{PREFIX}-registry")),
        (3, docker_event("container", "start", f"{PREFIX}-control-plane")),
        (4, docker_event("container", "start", "triptych-other-control-plane")),
    ):
        clock.now = at
        watcher.take(what)
    assert watcher.stamps() == {"platform_created": 3}


def test_late_addons_and_what_a_cluster_has_not_are_said() -> None:
    stamps = Stamps(clock=FakeClock())
    own = KubernetesWatcher(PREFIX, {}, stamps=stamps, node=NodeWatcher(PREFIX, stamps=stamps))
    assert own.missing() == {}
    own._events.take("deployments", addon("metrics-server", 0))
    assert own.missing() == {"addons_ready": "not available yet: deployment metrics-server"}
    theirs = KubernetesWatcher(PREFIX, {"cluster": "existing", "context": "c"}, stamps=Stamps())
    assert set(theirs.missing()) == {"cluster_created", "node_ready", "addons_ready"}


# What belongs to a deployment, from a made-up node.

NODE = "triptych-s-control-plane"


def cluster_pod(name: str, namespace: str, uid: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels}}


PODS = [
    cluster_pod("postgres-0", "triptych-s", "u-1", **{"app.kubernetes.io/name": "postgres"}),
    cluster_pod("auth-a", "triptych-s", "u-2", **{"app.kubernetes.io/name": "auth"}),
    cluster_pod("auth-b", "triptych-s", "u-3", **{"app.kubernetes.io/name": "auth"}),
    cluster_pod("coredns-x", "kube-system", "u-4"),
    {
        "metadata": {
            "name": "etcd",
            "namespace": "kube-system",
            "uid": "mirror",
            "labels": {"tier": "control-plane"},
            "annotations": {"kubernetes.io/config.hash": "feed"},
        }
    },
]


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    root = tmp_path / "cgroup"
    pods = "docker/idnode/kubelet/kubepods"
    for path, used, cpu_s in (
        ("docker/idnode", 1000, 100),
        ("docker/idnode/init", 10, 1),
        (f"{pods}/podu-1", 120, 10),
        (f"{pods}/podu-1/c", 120, 10),
        # As systemd names them.
        (f"{pods}/kubepods-burstable.slice/kubepods-burstable-podu_2.slice", 50, 4),
        (f"{pods}/burstable/podu-3", 30, 2),
        (f"{pods}/podu-4", 20, 1),
        (f"{pods}/podfeed", 200, 40),
        ("docker/idreg", 25, 3),
    ):
        folder = root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.current").write_text(f"{(used + 5) * MIB}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {5 * MIB}\n")
        (folder / "cpu.stat").write_text(f"usage_usec {cpu_s * 1_000_000}\n")
        (folder / "cgroup.procs").write_text("")
    (root / "docker/idnode/init/cgroup.procs").write_text("100\n101\n")
    (root / pods / "podu-1/c/cgroup.procs").write_text("110\n")
    (root / pods / "burstable/podu-3/cgroup.procs").write_text("111\n")
    (root / pods / "podfeed/cgroup.procs").write_text("120\n")
    (root / "docker/idreg/cgroup.procs").write_text("130\n")
    (root / "cgroup.controllers").write_text("cpu memory\n")
    return root


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    proc = Proc(tmp_path / "proc")
    mib = 1024
    proc.add(1, 0, "/sbin/init", 5 * mib)
    proc.add(10, 1, "/usr/sbin/dockerd", 60 * mib)
    proc.add(11, 10, "containerd --config x", 30 * mib)
    proc.add(90, 1, "/usr/bin/containerd-shim-runc-v2 -id node", 3 * mib, ticks=100)
    proc.add(91, 1, "/usr/bin/containerd-shim-runc-v2 -id reg", 3 * mib, ticks=100)
    proc.add(92, 10, "/usr/bin/docker-proxy -container-ip 172.20.0.2 -x", 2 * mib)
    proc.add(100, 90, "/sbin/init", 5 * mib, cg="/docker/idnode/init")
    proc.add(101, 100, "containerd", 70 * mib, cg="/docker/idnode/init")
    for pid, uid in ((110, "podu-1/c"), (111, "burstable/podu-3"), (120, "podfeed")):
        proc.add(pid, 101, "x", 100 * mib, cg=f"/docker/idnode/kubelet/kubepods/{uid}")
    proc.add(130, 91, "registry", 25 * mib, cg="/docker/idreg")
    proc.add(200, 1, "nginx", 500 * mib)  # somebody else's
    return proc


@pytest.fixture
def inspector(proc: Proc, groups: Path, tmp_path: Path) -> KubernetesInspector:
    def container(name: str, pid: int, address: str) -> dict[str, Any]:
        return {
            "Id": name,
            "State": {"Pid": pid},
            "NetworkSettings": {"Networks": {"n": {"IPAddress": address}}},
            "Mounts": [{"Destination": "/var", "Source": str(tmp_path / "var")}],
        }

    containers = {
        NODE: container("idnode", 100, "172.20.0.2"),
        "triptych-s-registry": container("idreg", 130, ""),
    }
    return KubernetesInspector(
        target("kubernetes", {"node": NODE, "registry": "triptych-s-registry"}),
        client=FakeContainers(containers),
        pods=lambda: PODS,
        proc=proc.root,
        cgroup_root=groups,
    )


def test_the_shops_pods_are_the_workload(inspector: KubernetesInspector) -> None:
    assert inspector.roles() == Roles(
        frozenset({110, 111}),
        frozenset({90, 91, 92, 100, 101, 120, 130}),
        frozenset({10, 11}),
    )
    assert inspector.marks() == ("idnode", "idreg")


def test_platform_and_application_are_told_apart(inspector: KubernetesInspector) -> None:
    """Together they make up what the node's control group, its registry and shims have."""
    shares = inspector.shares()
    assert {n: u.memory_bytes // MIB for n, u in shares.services.items()} == {
        "postgres": 120,
        "auth": 80,
    }
    assert {n: (u.memory_bytes // MIB, u.cpu_s) for n, u in shares.platform.items()} == {
        "control plane": (200, 40),
        "add-ons": (20, 1),
        "kubelet, containerd and the node's system": (580, 43),
        "image registry": (25, 3),
        "shims and port proxies": (8, 2),
    }


def test_the_tables_shares_have_the_platforms_parts(
    inspector: KubernetesInspector, proc: Proc, groups: Path, tmp_path: Path
) -> None:
    context = make_context(tmp_path, model="kubernetes")
    samples = Resources(proc=proc.root, cgroup_root=groups).observe(context, inspector)
    shares = {
        (s.labels["scope"], s.labels["part"]): s.value
        for s in samples
        if s.metric == "share_memory_bytes"
    }
    assert shares["application", "total"] == 200 * MIB
    assert shares["platform", "total"] == 833 * MIB
    assert shares["shared", "total"] == 90 * MIB
    own = [s.value for s in samples if s.metric == "memory_pss_bytes" and s.labels["role"] == "own"]
    assert own == [(200 + 8 + 75 + 100 + 25) * MIB]


def test_the_stacks_own_node_dies_as_a_whole(
    inspector: KubernetesInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(processes, "kill", killed.extend)
    node = inspector.kills("products")[-1]
    assert (node.fault, node.watched_s) == ("node", NODE_WATCHED_S)
    node.strike()
    assert killed == [100]  # its init: all that is in it goes with that


def test_a_cluster_that_is_not_here_cannot_be_looked_into() -> None:
    with pytest.raises(ProbeError, match="the cluster is the user's"):
        KubernetesInspector(target("kubernetes", {"node": None}), client=FakeContainers({}))


def test_a_node_without_the_shops_pods_is_no_zero(inspector: KubernetesInspector) -> None:
    inspector._read_pods = lambda: PODS[3:]
    with pytest.raises(ProbeError, match="no pod of namespace"):
        inspector.shares()


def test_the_nodes_disk_is_told_apart(inspector: KubernetesInspector, tmp_path: Path) -> None:
    var = tmp_path / "var"
    for path, kib in (("lib/containerd/a", 64), ("lib/etcd/b", 16), ("log/c", 8)):
        (var / path).parent.mkdir(parents=True, exist_ok=True)
        (var / path).write_bytes(b"x" * kib * 1024)
    (var / "lib/containerd/twice").hardlink_to(var / "lib/containerd/a")
    parts = {(p.scope, p.part): p.size_bytes for p in inspector._node_disk(app=32 * 1024)}
    assert parts["application", "the shop's layers in the node"] == 32 * 1024
    assert sum(parts.values()) == disk_usage(var)
    assert parts["data", "volume claims"] == 0
    # Twice there, but once on the disk.
    assert disk_usage(var / "lib/containerd") < 2 * 64 * 1024


def test_a_group_is_found_by_its_whole_uid(groups: Path) -> None:
    assert pod_group(groups, "u-2") is not None
    assert pod_group(groups, "u") is None
    assert pod_group(groups, "-1") is None


def test_the_nodes_group_is_above_its_first_process(groups: Path) -> None:
    inside = cgroups.Membership(2, groups / "docker/idnode/init", groups / "docker/idnode/init")
    assert cgroups.above(inside, "idnode").memory == groups / "docker/idnode"
    assert cgroups.above(inside, "other") == inside


# Before the clock starts.


class FakePreparation:
    def cold(self) -> str:
        return "removed"

    def warm(self) -> str:
        return "pulled"

    def fetched_bytes(self) -> int | None:
        return 7


def test_cold_and_warm_are_about_the_nodes_image() -> None:
    own = KubernetesPreparation({}, {}, docker=FakePreparation())  # type: ignore[arg-type]
    assert (own.cold(), own.fetched_bytes()) == ("removed", 7)
    assert own.warm().startswith("pulled; the node pulls the shop's own")
    theirs = KubernetesPreparation({}, {"cluster": "existing"})
    assert theirs.cold() == theirs.warm() == kubernetes._EXISTING
    assert theirs.fetched_bytes() is None


def test_what_a_cluster_is_made_of() -> None:
    built = {"kubernetes": {"node": {"ref": "n"}}, "images": {"registry": {"ref": "r"}}}
    assert project.cluster_images_of(built) == {"node": {"ref": "n"}, "registry": {"ref": "r"}}
    assert project.cluster_images_of({}) == {}


def test_a_kubeconfig_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    damaged = tmp_path / "config"
    damaged.write_text(json.dumps({"kind": "Config"}))
    with pytest.raises(ProbeError, match="the kubeconfig cannot be used"):
        cluster.connect(damaged, "nowhere")
    assert "kubernetes" in models.MODELS
