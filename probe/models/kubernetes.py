"""The Kubernetes model as seen from outside: Docker's events, the API server's watches, the node.

Stamps are the moments at which this host saw an event, never the cluster's own clock, whose
objects are dated to the second. What a cluster's processes take is read off the node's control
groups, which are the host's: so it can be told for a kind cluster on this host alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, ImageNotFound, NotFound

from probe import cgroups, host, processes, project
from probe.errors import ProbeError
from probe.models import cluster
from probe.models.base import (
    ADD_ONS,
    CONTROL_PLANE,
    NODE,
    NODE_WATCHED_S,
    PLATFORM_CREATED,
    PLATFORM_READY,
    PYTHON,
    WORKLOAD_STARTED,
    DiskPart,
    Environment,
    GuestMemory,
    Kill,
    PlatformPart,
    Roles,
    Shares,
    Stamps,
    Usage,
    is_ours,
)
from probe.models.docker import (
    DockerPreparation,
    DockerWatcher,
    connect,
    gateway_of,
    last_log_lines,
    shipped_layers,
)
from probe.target import Target
from shop.catalogue import DATASTORES, SURROUNDINGS

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.watch import Watch

#: The steps within the phases, in the order in which they usually come.
STEPS: Final = (
    "cluster_created",
    "node_ready",
    "images_pulled",
    "pods_scheduled",
    "containers_started",
    "pods_ready",
    "endpoints_ready",
    "addons_ready",
    "ingress_programmed",
)
#: How often is looked whether kind has written the kubeconfig (seconds).
_FILE_PERIOD_S: Final = 0.01
_LOG_LINES: Final = 8
_NODE_DIR: Final = "/var"

Event = Mapping[str, Any]


class ClusterEvents:
    """Turns what the API server says into stamps. Knows no connection.

    With ``own`` the cluster is the deployment's own: its node and add-ons are part of the clock. In
    a cluster that was there before, the platform is the shop's namespace.
    """

    def __init__(self, stamps: Stamps, namespace: str, *, own: bool) -> None:
        self._stamps = stamps
        self._namespace = namespace
        self._own = own
        self._lock = threading.Lock()
        #: What has been seen already, by what it stands for: each counts the first time.
        self._seen: dict[str, set[str]] = {}
        self._addons: dict[str, bool] = {}

    def take(self, kind: str, event: Event) -> None:
        """Stamp one event of a watch; ``kind`` is the API's plural."""
        if event["type"] not in ("ADDED", "MODIFIED"):
            return
        item = event["object"]
        name = str(item["metadata"]["name"])
        with self._lock:
            getattr(self, f"_{kind}")(name, item)

    def _note(self, step: str, name: str, phase: str | None = None) -> None:
        """Stamp a step, or a phase, the first time that it is said of ``name``; the last counts."""
        seen = self._seen.setdefault(phase or step, set())
        if name not in seen:
            seen.add(name)
            self._stamps.note(f"{step} {name}", phase or step, last=True)

    def _namespaces(self, name: str, item: Event) -> None:
        active = (item.get("status") or {}).get("phase") == "Active"
        if name == self._namespace and active and not self._own:
            self._note("namespace", name, PLATFORM_CREATED)
            self._note("namespace", name, PLATFORM_READY)

    def _nodes(self, name: str, item: Event) -> None:
        if self._own and _condition(item, "Ready"):
            self._note("node_ready", name)
            self._note("node_ready", name, PLATFORM_READY)

    def _pods(self, name: str, item: Event) -> None:
        if item["metadata"].get("deletionTimestamp"):
            return
        status = item.get("status") or {}
        if _condition(item, "PodScheduled"):
            self._note("pods_scheduled", name)
        containers = status.get("containerStatuses") or []
        if containers and all("running" in c["state"] for c in containers):
            self._note("containers_started", name)
            service = (item["metadata"].get("labels") or {}).get(cluster.SERVICE_LABEL, name)
            if service not in SURROUNDINGS:
                self._note("containers_started", name, WORKLOAD_STARTED)
        if _condition(item, "Ready"):
            self._note("pods_ready", name)

    def _events(self, _name: str, item: Event) -> None:
        about = item.get("involvedObject") or {}
        if item.get("reason") == "Pulled":
            self._note("images_pulled", f"{about.get('name')} {about.get('fieldPath', '')}")
        self._stamps.note(
            f"event {item.get('reason')} {about.get('name')}: {item.get('message', '')}"
        )

    def _endpointslices(self, name: str, item: Event) -> None:
        service = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name", name)
        endpoints = item.get("endpoints") or []
        if any((e.get("conditions") or {}).get("ready") for e in endpoints):
            self._note("endpoints_ready", service)

    def _ingresses(self, name: str, item: Event) -> None:
        status = item.get("status") or {}
        if (status.get("loadBalancer") or {}).get("ingress"):
            self._note("ingress_programmed", name)

    def _deployments(self, name: str, item: Event) -> None:
        wanted = (item.get("spec") or {}).get("replicas", 1)
        self._addon(f"deployment {name}", item, "availableReplicas", wanted)

    def _daemonsets(self, name: str, item: Event) -> None:
        wanted = (item.get("status") or {}).get("desiredNumberScheduled", 0)
        self._addon(f"daemonset {name}", item, "numberAvailable", wanted or 1)

    def _addon(self, name: str, item: Event, metric: str, wanted: int) -> None:
        if not self._own or item["metadata"].get("namespace") == self._namespace:
            return
        status = item.get("status") or {}
        current = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
        self._addons[name] = bool(current and status.get(metric, 0) >= wanted)
        if self._addons[name]:
            self._note("addons_ready", name)

    def late_addons(self) -> list[str]:
        """Return the add-ons that have not become available yet."""
        with self._lock:
            return sorted(name for name, ready in self._addons.items() if not ready)


def _condition(item: Event, kind: str) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


class NodeWatcher(DockerWatcher):
    """Docker's events of a kind cluster: it is created when its node's container starts."""

    def take(self, event: Event) -> None:
        """Stamp one event if it is this deployment's."""
        attributes = event.get("Actor", {}).get("Attributes", {})
        kind, action = event.get("Type", ""), event.get("Action", "")
        name = attributes.get("name", "")
        if not is_ours(name, self._prefix) or action.startswith("exec_"):
            return
        started = kind == "container" and action == "start" and name == node_name(self._prefix)
        self._stamps.note(f"{kind} {action} {name}", PLATFORM_CREATED if started else None)


def node_name(cluster: str) -> str:
    """Return the name of the container of a kind cluster's one node."""
    return f"{cluster}-control-plane"


def _listings(api: ApiClient, namespace: str) -> dict[str, Callable[..., Any]]:
    """Return how each kind that is watched is listed."""
    from kubernetes import client

    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    discovery, networking = client.DiscoveryV1Api(api), client.NetworkingV1Api(api)
    return {
        "namespaces": core.list_namespace,
        "nodes": core.list_node,
        "pods": partial(core.list_namespaced_pod, namespace),
        "events": partial(core.list_namespaced_event, namespace),
        "endpointslices": partial(discovery.list_namespaced_endpoint_slice, namespace),
        "ingresses": partial(networking.list_namespaced_ingress, namespace),
        "deployments": apps.list_deployment_for_all_namespaces,
        "daemonsets": apps.list_daemon_set_for_all_namespaces,
    }


class KubernetesWatcher:
    """Follows Docker's events until there is an API server, then the API server's watches too.

    The platform is created when the node's container starts, it is ready when the node says that it
    takes pods, the workload has started when the last of the shop's own services runs. The steps
    between are stamped as well. In a cluster that the user has the platform is the namespace.
    """

    def __init__(
        self,
        prefix: str,
        config: Mapping[str, str],
        *,
        stamps: Stamps | None = None,
        node: DockerWatcher | None = None,
    ) -> None:
        self._prefix = prefix
        self._own = config.get("cluster", "kind") == "kind"
        named = config.get("kubeconfig")
        self._file = project.KUBECONFIGS / prefix if self._own else Path(named) if named else None
        self._context = f"kind-{prefix}" if self._own else config.get("context", "")
        self._stamps = stamps or Stamps()
        self._events = ClusterEvents(self._stamps, prefix, own=self._own)
        self._node = node
        if self._own and node is None:
            self._node = NodeWatcher(
                prefix, docker_host=config.get("docker_host"), stamps=self._stamps
            )
        self._halt = threading.Event()
        self._watches: list[Watch] = []
        self._api: ApiClient | None = None

    def start(self) -> None:
        """Begin to watch; the API server is watched from when kind has said where it is."""
        if self._node is not None:
            self._node.start()
        if self._own:
            threading.Thread(target=self._await, name="kubeconfig", daemon=True).start()
        else:
            self._follow_all()

    def _await(self) -> None:
        assert self._file is not None
        while not self._halt.wait(_FILE_PERIOD_S):
            # kind's own lock and partial writes: it counts once it can be used.
            if self._file.is_file() and self._file.stat().st_size:
                with contextlib.suppress(ProbeError):
                    self._follow_all()
                    self._stamps.note("kind is done", "cluster_created")
                    return

    def _follow_all(self) -> None:
        from kubernetes.watch import Watch

        self._api = cluster.connect(self._file, self._context)
        for kind, listing in _listings(self._api, self._prefix).items():
            watch = Watch()
            self._watches.append(watch)
            threading.Thread(
                target=self._follow, args=(kind, watch, listing), name=f"watch-{kind}", daemon=True
            ).start()

    def _follow(self, kind: str, watch: Watch, listing: Callable[..., Any]) -> None:
        """Read one watch to its end, and another one then: the first events say what there is."""
        while not self._halt.wait(_FILE_PERIOD_S):
            try:
                for event in watch.stream(listing, deserialize=False):
                    self._events.take(kind, event)
            except Exception as error:
                # A stream that is shut under its reader raises whatever layer notices it first.
                if not self._halt.is_set():
                    self._stamps.note(f"watch of {kind} ended: {type(error).__name__}: {error}")

    def stamps(self) -> dict[str, float]:
        """Return phases and steps seen so far."""
        return self._stamps.copy()

    def missing(self) -> dict[str, str]:
        """Return the steps that this cluster has not, and add-ons that are late."""
        if not self._own:
            reason = "the cluster was there before"
            return dict.fromkeys(("cluster_created", "node_ready", "addons_ready"), reason)
        late = self._events.late_addons()
        return {"addons_ready": f"not available yet: {', '.join(late)}"} if late else {}

    def stop(self) -> None:
        """End watching."""
        self._halt.set()
        for watch in self._watches:
            watch.stop()
        if self._node is not None:
            self._node.stop()
        if self._api is not None:
            self._api.close()

    def log(self) -> list[dict[str, Any]]:
        """Return everything seen of this deployment."""
        return list(self._stamps.seen)

    def last_words(self) -> str:
        """Return what pods that are not ready say; the node's log where no API server is."""
        if self._api is None:
            return self._node.last_words() if self._node is not None else ""
        try:
            return _last_words(cluster.connect(self._file, self._context), self._prefix)
        except ProbeError as error:
            words = self._node.last_words() if self._node is not None else ""
            return f"{error}\n{words}"


def _last_words(api: ApiClient, namespace: str) -> str:
    from kubernetes import client

    lines: list[str] = []
    for pod in cluster.pods(api, namespace):
        if _condition(pod, "Ready"):
            continue
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        states = [
            f"{c['name']} {' '.join(c['state'])}" for c in status.get("containerStatuses") or []
        ]
        lines.append(f"{name}: {status.get('phase')}, {', '.join(states) or 'no container'}")
        # A container that has not started has no log, which is an error here.
        with contextlib.suppress(Exception):
            log = client.CoreV1Api(api).read_namespaced_pod_log(
                name, namespace, tail_lines=_LOG_LINES, _request_timeout=cluster.ANSWER_S
            )
            lines += [f"  {line}" for line in str(log).splitlines()]
    return "\n".join(lines)


class KubernetesInspector:
    """A kind cluster on this host: its node's container with every pod in it."""

    def __init__(
        self,
        target: Target,
        *,
        client: Any = None,
        pods: Callable[[], list[dict[str, Any]]] | None = None,
        proc: Path = processes.PROC,
        cgroup_root: Path = cgroups.CGROUP,
    ) -> None:
        self._target = target
        self._proc = proc
        self._cgroups = cgroup_root
        self._node = target.inspect.get("node")
        self._namespace = str(target.inspect.get("namespace", target.prefix))
        self._client = client or connect(None)
        self._read_pods = pods or self._ask_pods
        if not self._node:
            raise ProbeError(
                "the cluster is the user's: what it takes on its nodes is not seen from here"
            )

    def _ask_pods(self) -> list[dict[str, Any]]:
        with self._connected() as api:
            return cluster.pods(api, None)

    def _container(self, name: str) -> dict[str, Any]:
        try:
            return dict(self._client.api.inspect_container(name))
        except NotFound:
            raise ProbeError(f"container {name} is gone: is the stack still up?") from None

    def _own_containers(self) -> dict[str, dict[str, Any]]:
        """Return the node's container and that of its registry, if it has one."""
        names = [self._node, self._target.inspect.get("registry")]
        return {str(name): self._container(str(name)) for name in names if name}

    def _node_group(self) -> cgroups.Membership:
        pid = int(self._container(str(self._node))["State"]["Pid"])
        try:
            where = cgroups.membership(pid, self._proc, self._cgroups)
        except (FileNotFoundError, KeyError):
            raise ProbeError(f"container {self._node} does not run") from None
        # systemd, the node's first process, sits in a group of its own below the container's.
        return cgroups.above(where, self._container(str(self._node))["Id"])

    def roles(self) -> Roles:
        """Return the shop's pods; the rest of the node, its registry and shims; the daemons."""
        group = self._node_group()
        everything = cgroups.members(group.memory)
        pods = [p for p in self._read_pods() if p["metadata"]["namespace"] == self._namespace]
        workload: set[int] = set()
        for pod in pods:
            folder = pod_group(group.memory, pod["metadata"]["uid"])
            workload |= cgroups.members(folder) if folder else set()
        helpers = everything - workload
        shims, registry = self._around()
        daemons = processes.find("dockerd", self._proc) | processes.find("containerd", self._proc)
        # The node's containerd is found by its name too.
        return Roles(
            frozenset(workload),
            frozenset(helpers | shims | registry),
            frozenset(daemons - everything),
        )

    def _around(self) -> tuple[set[int], set[int]]:
        """Return the shims and port proxies of node and registry, and the registry's processes."""
        shims: set[int] = set()
        registry: set[int] = set()
        addresses: set[str] = set()
        for name, container in self._own_containers().items():
            pid = int(container["State"]["Pid"])
            if pid == 0:
                continue
            parent = processes.stat_of(pid, self._proc)
            if parent is not None:
                shims.add(parent.parent)
            if name != self._node:
                registry |= processes.tree_of(pid, self._proc)
            networks = container["NetworkSettings"]["Networks"].values()
            addresses |= {network.get("IPAddress", "") for network in networks} - {""}
        proxies = {
            pid
            for pid in processes.find("docker-proxy", self._proc)
            if addresses & set(processes.command_of(pid, self._proc))
        }
        return shims | proxies, registry

    def marks(self) -> tuple[str, ...]:
        """Return the ids of node and registry, which their control groups are named after."""
        return tuple(c["Id"] for c in self._own_containers().values())

    def guest_memory(self) -> GuestMemory | None:
        """Return None: there is no guest."""
        return None

    def shares(self) -> Shares:
        """Return each service's pods, and the platform apart: control plane, add-ons, the rest."""
        group = self._node_group()
        services: dict[str, Usage] = {}
        platform = {CONTROL_PLANE: Usage(0, 0.0), ADD_ONS: Usage(0, 0.0)}
        inside = Usage(0, 0.0)
        for pod in self._read_pods():
            used = self._pod_usage(group, pod)
            if used is None:
                continue
            inside = _plus(inside, used)
            labels = pod["metadata"].get("labels") or {}
            if pod["metadata"]["namespace"] == self._namespace:
                name = labels.get(cluster.SERVICE_LABEL, pod["metadata"]["name"])
                services[name] = _plus(services.get(name, Usage(0, 0.0)), used)
            else:
                part = CONTROL_PLANE if labels.get("tier") == "control-plane" else ADD_ONS
                platform[part] = _plus(platform[part], used)
        if not services:
            raise ProbeError(f"no pod of namespace {self._namespace} was found on the node")
        whole = self._usage(group)
        platform[NODE] = Usage(
            max(whole.memory_bytes - inside.memory_bytes, 0), max(whole.cpu_s - inside.cpu_s, 0.0)
        )
        shims, registry = self._around()
        if registry:
            first = cgroups.membership(min(registry), self._proc, self._cgroups)
            platform["image registry"] = self._usage(first)
        platform["shims and port proxies"] = Usage(
            processes.memory_of_all(shims, self._proc).pss_bytes,
            sum(s.cpu_with_children_s for p in shims if (s := processes.stat_of(p, self._proc))),
        )
        return Shares(services, platform=platform)

    def _pod_usage(self, group: cgroups.Membership, pod: Mapping[str, Any]) -> Usage | None:
        # A static pod's group is named after its manifest's digest, not after its mirror's uid.
        annotations = pod["metadata"].get("annotations") or {}
        uid = annotations.get("kubernetes.io/config.hash") or pod["metadata"]["uid"]
        memory, cpu = pod_group(group.memory, uid), pod_group(group.cpu, uid)
        if memory is None or cpu is None:
            return None
        return self._usage(cgroups.Membership(group.version, memory, cpu))

    def _usage(self, where: cgroups.Membership) -> Usage:
        try:
            found = cgroups.usage_of(where)
        except (OSError, KeyError, ValueError) as error:
            raise ProbeError(f"a control group cannot be read: {error}") from None
        return Usage(found.used_bytes - found.reclaimable_bytes, found.cpu_s)

    def platform_parts(self) -> tuple[PlatformPart, ...]:
        """Return the daemons; the rest of the platform is told by control groups."""
        return (PlatformPart("shared", "dockerd and containerd", "daemons"),)

    def disk(self, artefacts: dict[str, Any]) -> list[DiskPart]:
        """Return what is pulled (node, registry, the shop's layers) and what lies on the host."""
        parts: list[DiskPart] = []
        images = dict(self._target.inspect.get("images", {}))
        platform = project.cluster_images_of(artefacts)
        for name, image in platform.items():
            size = int(image["shipped_bytes"])
            parts.append(
                DiskPart("shipped", "platform", f"{name} image", size, "the build's record")
            )
        shipped = shipped_layers(list(images.values()))
        if shipped is not None:
            common, own = shipped
            note = "registry manifests"
            parts.append(DiskPart("shipped", "platform", "base image", common, note))
            parts.append(DiskPart("shipped", "application", "own layers", own, note))
        for name, image in platform.items():
            try:
                size = int(self._client.images.get(image["ref"]).attrs["Size"])
            except (ImageNotFound, APIError):
                continue
            parts.append(
                DiskPart("unpacked", "platform", f"{name} image in Docker", size, "image size")
            )
        known = project.images_of(artefacts, self._target.shape).values()
        app = sum(int(image.get("own_bytes", 0)) for image in known)
        return parts + self._node_disk(app)

    def _node_disk(self, app: int) -> list[DiskPart]:
        """Return what the node has written, by what it is for."""
        root = self._node_volume()
        folders = {
            "containerd": root / "lib" / "containerd",
            "etcd": root / "lib" / "etcd",
            "claims": root / "local-path-provisioner",
        }
        sizes = {name: disk_usage(folder) for name, folder in folders.items()}
        rest = max(disk_usage(root) - sum(sizes.values()), 0)
        app = min(app, sizes["containerd"])
        note = "as large as in the images; containerd's compressed copies are the platform's"
        return [
            DiskPart("unpacked", "application", "the shop's layers in the node", app, note),
            DiskPart(
                "unpacked",
                "platform",
                "containerd in the node, less those",
                sizes["containerd"] - app,
                "the node's own images, unpacked and packed, and the shop's as they travelled",
            ),
            DiskPart("unpacked", "platform", "etcd", sizes["etcd"]),
            DiskPart("unpacked", "platform", "logs and the rest of the node", rest),
            DiskPart("unpacked", "data", "volume claims", sizes["claims"]),
        ]

    def _node_volume(self) -> Path:
        for mount in self._container(str(self._node)).get("Mounts") or []:
            if mount.get("Destination") == _NODE_DIR and mount.get("Source"):
                return Path(mount["Source"])
        raise ProbeError(f"container {self._node} has no volume at {_NODE_DIR}")

    def kills(self, service: str) -> tuple[Kill, ...]:
        """Return a pod's container, a pod as a whole, and the node."""

        def process() -> None:
            uid = self._pod_of(service)["metadata"]["uid"]
            folder = pod_group(self._node_group().memory, uid)
            inside = cgroups.members(folder) if folder else set()
            # What holds the pod's namespaces together is none of the service's.
            holders = {p for p in inside if "pause" in "".join(processes.command_of(p)[:1])}
            processes.kill(inside - holders)

        def delete() -> None:
            with self._connected() as api:
                cluster.delete_pod(api, self._namespace, self._pod_of(service)["metadata"]["name"])

        def power_cut() -> None:
            processes.kill((int(self._container(str(self._node))["State"]["Pid"]),))

        what = f"processes of {service}'s container"
        controller = "StatefulSet" if service in DATASTORES else "Deployment"
        return (
            Kill("process", what, process, "the kubelet"),
            Kill(
                "pod", f"{service}'s pod, without grace", delete, f"the {controller}'s controller"
            ),
            Kill(
                "node",
                f"node {self._node}, as by a power cut",
                power_cut,
                "dockerd's restart policy, which kind sets",
                watched_s=NODE_WATCHED_S,
            ),
        )

    def _pod_of(self, service: str) -> dict[str, Any]:
        for found in self._read_pods():
            metadata = found["metadata"]
            own = metadata["namespace"] == self._namespace and not metadata.get("deletionTimestamp")
            if own and (metadata.get("labels") or {}).get(cluster.SERVICE_LABEL) == service:
                return found
        raise ProbeError(f"{service} has no pod")

    def replicas(self, service: str) -> cluster.ClusterReplicas:
        """Return the service's pods, whose number an autoscaler sees to."""
        return cluster.ClusterReplicas(self._connect(), self._namespace, service)

    def boot_id(self, service: str) -> str:
        """Return the kernel's boot id as the service's container sees it."""
        return self._exec(service, ["cat", str(host.BOOT_ID)]).strip()

    def inside(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run Python in the service's container, as its user and with its limits."""
        return self._exec(service, [PYTHON, "-c", script, *arguments])

    def unhardened(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Raise ProbeError: the namespace admits nothing that is not hardened."""
        raise ProbeError("the namespace admits no pod without hardening (Pod Security: restricted)")

    def host_address(self) -> str:
        """Return the host's address in the node's network."""
        return gateway_of(self._container(str(self._node)))

    def lost_without_volume(self) -> Mapping[str, bool]:
        """Raise ProbeError: every root of the namespace's pods is read-only."""
        raise ProbeError("not tried: a pod's container is made anew whenever it starts again")

    @contextlib.contextmanager
    def environments(self) -> Iterator[tuple[Environment, ...]]:
        """Yield the node's runtime; other engines are tried in the docker model."""
        with self._connected() as api:
            runtime = cluster.runtime(api)
        yield (Environment("kubelet", "", lambda: (True, f"{runtime}: up")),)

    def _exec(self, service: str, command: list[str]) -> str:
        name = self._pod_of(service)["metadata"]["name"]
        with self._connected() as api:
            return cluster.execute(api, self._namespace, name, command)

    def _connect(self) -> ApiClient:
        named = self._target.inspect.get("kubeconfig")
        context = str(self._target.inspect.get("context", ""))
        return cluster.connect(Path(named) if named else None, context)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[ApiClient]:
        api = self._connect()
        try:
            yield api
        finally:
            api.close()

    def last_words(self) -> str:
        """Return the node's last log lines."""
        return last_log_lines(self._client, self._target.prefix)

    def close(self) -> None:
        """Close the connection to the daemon."""
        self._client.close()


def _plus(one: Usage, other: Usage) -> Usage:
    return Usage(one.memory_bytes + other.memory_bytes, one.cpu_s + other.cpu_s)


def pod_group(node: Path, uid: str) -> Path | None:
    """Return the control group of a pod below a node's, None if it has none.

    Its name ends with the uid, whose hyphens systemd's naming turns into underscores.
    """
    names = {f"pod{uid}", f"pod{uid.replace('-', '_')}.slice"}
    for folder, below, _ in os.walk(node):
        for name in below:
            if name in names or any(name.endswith(f"-{wanted}") for wanted in names):
                return Path(folder, name)
    return None


def disk_usage(folder: Path) -> int:
    """Return the bytes that a folder takes on disk; a file with several names counts once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    queue = [folder]
    while queue:
        try:
            entries = list(os.scandir(queue.pop()))
        except FileNotFoundError:
            continue  # it went while it was walked
        except PermissionError as error:
            raise ProbeError(f"reading what lies in {error.filename} needs root") from None
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                queue.append(Path(entry.path))
    return total


class KubernetesPreparation:
    """Has Docker pull the node's image before a warm deployment, and remove it before a cold one.

    The shop's own images are pulled into the new node in both: a new cluster's containerd is empty.
    """

    def __init__(
        self,
        platform: Mapping[str, Mapping[str, Any]],
        config: Mapping[str, str],
        *,
        docker: DockerPreparation | None = None,
    ) -> None:
        self._own = config.get("cluster", "kind") == "kind"
        self._docker = docker
        if self._own and docker is None:
            self._docker = DockerPreparation(platform, docker_host=config.get("docker_host"))

    def cold(self) -> str:
        """Remove the images of node and registry."""
        return self._docker.cold() if self._docker is not None else _EXISTING

    def warm(self) -> str:
        """Pull the images of node and registry."""
        if self._docker is None:
            return _EXISTING
        return f"{self._docker.warm()}; the node pulls the shop's own, it is new each time"

    def fetched_bytes(self) -> int | None:
        """Return how much Docker's layers grew since ``cold``; None in the user's cluster."""
        return self._docker.fetched_bytes() if self._docker is not None else None


_EXISTING: Final = "the cluster is the user's: its nodes keep the images they have"
