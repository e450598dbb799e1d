"""The docker model as seen from outside: the daemon's event stream, containers, images, volumes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
import httpx
from docker.errors import APIError, ContainerError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from probe import cgroups, host, processes, project
from probe.errors import ProbeError
from probe.models import engines
from probe.models.base import (
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
from probe.target import Target
from shop import catalogue
from shop.catalogue import SURROUNDINGS
from shop.model import SECRETS_DIR

_LOG_LINES: Final = 8
_SPOKEN_S: Final = 20.0
#: What everything of a stack carries, and is removed by.
STACK_LABEL: Final = "triptych.stack"


def connect(docker_host: str | None, timeout_s: float = 60) -> docker.DockerClient:
    """Return a client; raise ProbeError with one line when no daemon answers."""
    try:
        client = (
            docker.DockerClient(base_url=docker_host, timeout=int(timeout_s))
            if docker_host
            else docker.from_env(timeout=int(timeout_s))
        )
        client.ping()
    except DockerException as error:
        raise ProbeError(f"the Docker daemon does not answer: {error}") from None
    return client


class DockerWatcher:
    """Reads the daemon's event stream and stamps what belongs to one deployment.

    The platform is created when its network is, it is ready when networks and volumes are (the last
    one before the first container), the workload has started when the last of the shop's own
    containers has.
    """

    def __init__(
        self,
        prefix: str,
        *,
        docker_host: str | None = None,
        stamps: Stamps | None = None,
        events: Callable[[], Iterator[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._prefix = prefix
        self._host = docker_host
        self._stamps = stamps or Stamps()
        self._events = events
        self._client: docker.DockerClient | None = None
        self._stream: Any = None
        self._names: set[str] = set()
        self._container_seen = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the event stream and read it in a thread."""
        if self._events is None:
            self._client = connect(self._host)
            # The stream has to stay silent for as long as a deployment takes.
            streaming = connect(self._host, timeout_s=3600)
            self._stream = streaming.events(decode=True)
            source: Iterator[Mapping[str, Any]] = self._stream
        else:
            source = self._events()
        self._thread = threading.Thread(
            target=self._read, args=(source,), name="docker-events", daemon=True
        )
        self._thread.start()

    def _read(self, source: Iterator[Mapping[str, Any]]) -> None:
        try:
            for event in source:
                self.take(event)
        except (OSError, ValueError, DockerException, AttributeError) as error:
            # urllib3 raises AttributeError when a stream is closed under its reader
            self._stamps.note(f"event stream ended: {type(error).__name__}")

    def take(self, event: Mapping[str, Any]) -> None:
        """Stamp one event if it is this deployment's."""
        actor = event.get("Actor", {})
        attributes = actor.get("Attributes", {})
        kind, action = event.get("Type", ""), event.get("Action", "")
        name = attributes.get("name") or (actor.get("ID", "") if kind == "volume" else "")
        if kind == "image" and action == "pull":
            self._stamps.note(f"image pull {actor.get('ID', '')}")
            return
        if not is_ours(name, self._prefix):
            return
        if action.startswith("exec_"):
            return  # health checks
        phase = None
        last = False
        if kind == "network" and action == "create":
            phase = PLATFORM_CREATED
            if not self._container_seen:
                self._stamps.note(f"network create {name}", PLATFORM_READY, last=True)
        elif kind == "volume" and action == "create" and not self._container_seen:
            phase, last = PLATFORM_READY, True
        elif kind == "container" and action in ("create", "start"):
            self._container_seen = self._container_seen or action == "start"
            if action == "start" and self._is_workload(name):
                first_time = name not in self._names
                self._names.add(name)
                phase, last = (WORKLOAD_STARTED, True) if first_time else (None, False)
        self._stamps.note(f"{kind} {action} {name}", phase, last=last)

    def _is_workload(self, container: str) -> bool:
        service = container.removeprefix(self._prefix).lstrip("-")
        return not any(service == s or service.startswith(f"{s}-") for s in SURROUNDINGS)

    def stamps(self) -> dict[str, float]:
        """Return the phases seen so far."""
        return self._stamps.copy()

    def missing(self) -> dict[str, str]:
        """Return nothing: the event stream shows every phase."""
        return {}

    def stop(self) -> None:
        """Close the event stream."""
        if self._stream is not None:
            self._stream.close()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def log(self) -> list[dict[str, Any]]:
        """Return the events of this deployment."""
        return list(self._stamps.seen)

    def last_words(self) -> str:
        """Return the last log lines of this deployment's containers."""
        if self._client is None:
            return ""
        return last_log_lines(self._client, self._prefix)


def last_log_lines(client: docker.DockerClient, prefix: str) -> str:
    """Return the last lines that each container of this prefix has written, with its state."""
    lines: list[str] = []
    try:
        for container in client.containers.list(
            all=True, filters={"name": prefix}, ignore_removed=True
        ):
            state = container.attrs["State"]
            lines.append(f"{container.name}: {state['Status']}, exit code {state['ExitCode']}")
            tail = container.logs(tail=_LOG_LINES).decode(errors="replace")
            lines += [f"  {line}" for line in tail.splitlines()]
    except DockerException as error:
        lines.append(f"no logs: {error}")
    return "\n".join(lines)


class DockerInspector:
    """The containers of a stack, their processes, shims, proxies and the daemons behind them."""

    def __init__(
        self,
        target: Target,
        *,
        client: docker.DockerClient | None = None,
        proc: Path = processes.PROC,
        cgroup_root: Path = cgroups.CGROUP,
    ) -> None:
        self._target = target
        self._proc = proc
        self._cgroups = cgroup_root
        self._client = client or connect(target.inspect.get("docker_host") or None)

    def _containers(self) -> list[dict[str, Any]]:
        names = dict(self._target.inspect.get("containers", {})).values()
        found = []
        for name in names:
            try:
                found.append(self._client.api.inspect_container(name))
            except NotFound:
                raise ProbeError(f"container {name} is gone: is the stack still up?") from None
        return found

    def roles(self) -> Roles:
        """Return container processes, shims and port proxies, dockerd and containerd."""
        workload: set[int] = set()
        shims: set[int] = set()
        addresses: set[str] = set()
        for container in self._containers():
            pid = int(container["State"]["Pid"])
            if pid == 0:
                continue
            workload |= container_processes(pid, self._proc)
            parent = processes.stat_of(pid, self._proc)
            if parent is not None:
                shims.add(parent.parent)
            for network in container["NetworkSettings"]["Networks"].values():
                addresses.add(network.get("IPAddress", ""))
        proxies = {
            pid
            for pid in processes.find("docker-proxy", self._proc)
            if addresses & set(processes.command_of(pid, self._proc))
        }
        daemons = processes.find("dockerd", self._proc) | processes.find("containerd", self._proc)
        return Roles(frozenset(workload), frozenset(shims | proxies), frozenset(daemons))

    def marks(self) -> tuple[str, ...]:
        """Return the containers' ids, which their control groups are named after."""
        return tuple(c["Id"] for c in self._containers())

    def guest_memory(self) -> GuestMemory | None:
        """Return None: there is no guest."""
        return None

    def shares(self) -> Shares:
        """Return each container's control group figures."""
        services = {}
        containers = dict(self._target.inspect.get("containers", {}))
        for service, details in zip(containers, self._containers(), strict=True):
            try:
                found = cgroups.usage(int(details["State"]["Pid"]), self._proc, self._cgroups)
            except (OSError, KeyError, ValueError) as error:
                raise ProbeError(f"{service} has no control group to read: {error}") from None
            services[service] = Usage(found.used_bytes - found.reclaimable_bytes, found.cpu_s)
        return Shares(services)

    def platform_parts(self) -> tuple[PlatformPart, ...]:
        """Return shims and port proxies, and the daemons."""
        return (
            PlatformPart("platform", "shims and port proxies", "helpers"),
            PlatformPart("shared", "dockerd and containerd", "daemons"),
        )

    def disk(self, artefacts: dict[str, Any]) -> list[DiskPart]:
        """Return image layers (each once), volumes and the containers' own writable layers."""
        parts: list[DiskPart] = []
        images = dict(self._target.inspect.get("images", {}))
        shipped = shipped_layers(list(images.values()))
        if shipped is not None:
            common, own = shipped
            parts.append(
                DiskPart("shipped", "platform", "base image", common, "registry manifests")
            )
            parts.append(
                DiskPart("shipped", "application", "own layers", own, "registry manifests")
            )
        else:
            known = project.images_of(artefacts, self._target.shape).values()
            total = sum(int(i["shipped_bytes"]) for i in known)
            note = "the build's own record; layers in common counted once per image"
            if known:
                parts.append(DiskPart("shipped", "application", "images", total, note))
        base = int(artefacts.get("base", {}).get("unpacked_bytes", 0))
        own_bytes = 0
        for ref in images.values():
            try:
                own_bytes += max(int(self._client.images.get(ref).attrs["Size"]) - base, 0)
            except (ImageNotFound, APIError):
                continue
        if base:
            parts.append(
                DiskPart("unpacked", "platform", "base image", base, "once for all images")
            )
        parts.append(
            DiskPart("unpacked", "application", "images", own_bytes, "image sizes beyond the base")
        )
        usage = self._client.df()
        volumes = sum(
            max(int(v["UsageData"]["Size"]), 0)
            for v in usage.get("Volumes") or []
            if is_ours(v["Name"], self._target.prefix) and v.get("UsageData")
        )
        parts.append(DiskPart("unpacked", "data", "volumes", volumes, "docker system df"))
        writable = sum(
            int(c.get("SizeRw") or 0)
            for c in usage.get("Containers") or []
            if any(is_ours(n.lstrip("/"), self._target.prefix) for n in c.get("Names", []))
        )
        parts.append(DiskPart("unpacked", "application", "writable layers", writable, "SizeRw"))
        return parts

    def kills(self, service: str) -> tuple[Kill, ...]:
        """Return the container's first process, and the container with all that it wrote."""
        name = self._name(service)

        def strike() -> None:
            found = self._client.api.inspect_container(name)
            processes.kill((int(found["State"]["Pid"]),))

        def remove() -> None:
            try:
                self._client.api.remove_container(name, force=True)
            except APIError as error:
                raise ProbeError(f"container {name} could not be removed: {error}") from None

        return (
            Kill(
                "process", f"first process of container {name}", strike, "dockerd's restart policy"
            ),
            Kill("container", f"container {name}, removed", remove),
        )

    def _name(self, service: str) -> str:
        return str(dict(self._target.inspect.get("containers", {})).get(service, ""))

    def replicas(self, service: str) -> None:
        """Return None: there is one of each, and nobody who would make more."""

    def boot_id(self, service: str) -> str:
        """Return the kernel's boot id as the container sees it."""
        return self._exec(service, ["cat", str(host.BOOT_ID)]).strip()

    def inside(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run Python in the service's container, as its user and with its limits."""
        return self._exec(service, [PYTHON, "-c", script, *arguments])

    def unhardened(self, service: str, script: str, arguments: Sequence[str]) -> str:
        """Run it in a container of the same image as Docker starts one: as root, nothing taken."""
        networks = self._inspected(service)["NetworkSettings"]["Networks"]
        try:
            output = self._client.containers.run(
                self._inspected(service)["Config"]["Image"],
                [PYTHON, "-c", script, *arguments],
                user="0:0",
                network=next(iter(networks)),
                name=f"{self._target.prefix}-unhardened",
                labels={STACK_LABEL: self._target.stack},
                remove=True,
            )
        except (APIError, ContainerError, ImageNotFound) as error:
            raise ProbeError(f"{service}: its image without hardening: {error}") from None
        return str(output.decode(errors="replace"))

    def host_address(self) -> str:
        """Return the bridge's address on the host."""
        return gateway_of(self._inspected(catalogue.GATEWAY))

    def lost_without_volume(self) -> dict[str, bool]:
        """Return what becomes of a file when a container starts again, and when it is replaced."""
        image = self._inspected(catalogue.DATASTORES[0])["Config"]["Image"]
        script = "test -e /var/tmp/file && echo kept || echo new; : > /var/tmp/file; exec sleep 600"

        def started() -> Container:
            return self._client.containers.run(
                image,
                ["/bin/sh", "-c", script],
                detach=True,
                network_mode="none",
                name=f"{self._target.prefix}-bare",
                labels={STACK_LABEL: self._target.stack},
            )

        try:
            container = started()
            _spoken(container, 1)
            container.kill()
            container.start()
            again = _spoken(container, 2)[-1]
            container.remove(force=True)
            container = started()
            anew = _spoken(container, 1)[-1]
            container.remove(force=True)
        except (APIError, ImageNotFound) as error:
            raise ProbeError(f"a container without a volume: {error}") from None
        return {"process": again != "kept", "container": anew != "kept"}

    @contextmanager
    def environments(self) -> Iterator[tuple[Environment, ...]]:
        """Yield dockerd, and the other engines that this host has."""
        own = Environment("dockerd", "", lambda: (True, f"{self._version()}: the shop is up"))
        yield (own, *engines.environments(self._places))

    def _version(self) -> str:
        return f"Docker {self._client.version()['Version']}"

    def _places(self) -> list[engines.Place]:
        """Return the shop's own services, for another engine to run them beside the stack."""
        gateway = self._inspected(catalogue.GATEWAY)
        (network, *_) = gateway["NetworkSettings"]["Networks"].values()
        resolv_conf = Path(gateway["ResolvConfPath"])
        if not resolv_conf.parent.is_dir():
            raise ProbeError("the Docker daemon is on another host, or root alone sees its files")
        images = dict(self._target.inspect.get("images", {}))
        found = []
        for service in catalogue.services(self._target.shape):
            if service.name in SURROUNDINGS:
                continue
            mounts = self._inspected(service.name)["Mounts"]
            secrets = [m["Source"] for m in mounts if m["Destination"] == SECRETS_DIR]
            found.append(
                engines.Place(
                    service=service,
                    image=images[service.name],
                    pid=int(gateway["State"]["Pid"]),
                    address=str(network["IPAddress"]),
                    resolv_conf=resolv_conf,
                    secrets=Path(secrets[0]) if secrets else None,
                )
            )
        return found

    def _inspected(self, service: str) -> dict[str, Any]:
        try:
            return dict(self._client.api.inspect_container(self._name(service)))
        except (NotFound, APIError) as error:
            raise ProbeError(f"{service} has no container: {error}") from None

    def _exec(self, service: str, command: list[str]) -> str:
        try:
            found: Any = self._client.containers.get(self._name(service)).exec_run(command)
        except (NotFound, APIError) as error:
            raise ProbeError(f"{service}: nothing can be run in its container: {error}") from None
        code, text = int(found[0]), str(found[1].decode(errors="replace"))
        if code != 0:
            raise ProbeError(f"{service}: {' '.join(text.split()[-20:]) or f'exit code {code}'}")
        return text

    def last_words(self) -> str:
        """Return the last log lines of the stack's containers."""
        return last_log_lines(self._client, self._target.prefix)

    def close(self) -> None:
        """Close the connection to the daemon."""
        self._client.close()


def gateway_of(container: Mapping[str, Any]) -> str:
    """Return the host's address in a container's network."""
    networks = container["NetworkSettings"]["Networks"].values()
    found = next((str(n["Gateway"]) for n in networks if n.get("Gateway")), "")
    if not found:
        raise ProbeError(f"container {container['Name']} is in no network of the host's")
    return found


def _spoken(container: Any, lines: int) -> list[str]:
    """Return what a container has said once it is so many lines."""
    deadline = time.monotonic() + _SPOKEN_S
    while True:
        found = str(container.logs().decode(errors="replace")).split()
        if len(found) >= lines:
            return found
        if time.monotonic() > deadline:
            raise ProbeError(f"container {container.name} said nothing for {_SPOKEN_S:.0f} s")
        time.sleep(0.05)


def container_processes(init: int, proc: Path = processes.PROC) -> set[int]:
    """Return a container's processes: its init's control group, or the init's descendants."""
    try:
        where = cgroups.membership(init, proc).memory
        found = cgroups.members(where)
    except (FileNotFoundError, KeyError):
        found = set()
    return found if init in found else processes.tree_of(init, proc)


def shipped_layers(refs: list[str]) -> tuple[int, int] | None:
    """Return (bytes of layers that all images share, bytes of the others) as they travel.

    Read from the registry's manifests; None when the registry cannot be asked.
    """
    layers: list[dict[str, int]] = []
    for ref in refs:
        registry, _, rest = ref.partition("/")
        name, _, tag = rest.rpartition(":")
        if not name or ":" not in registry:
            return None
        try:
            answer = httpx.get(
                f"http://{registry}/v2/{name}/manifests/{tag}",
                headers={
                    "Accept": "application/vnd.docker.distribution.manifest.v2+json,"
                    "application/vnd.oci.image.manifest.v1+json"
                },
                timeout=5,
                trust_env=False,
            )
            answer.raise_for_status()
            manifest = answer.json()
            found = {layer["digest"]: int(layer["size"]) for layer in manifest["layers"]}
            found[manifest["config"]["digest"]] = int(manifest["config"]["size"])
        except (httpx.HTTPError, ValueError, KeyError):
            return None
        layers.append(found)
    if not layers:
        return None
    sizes: dict[str, int] = {}
    for image in layers:
        sizes.update(image)
    common = set.intersection(*(set(image) for image in layers)) if len(layers) > 1 else set()
    shared = sum(sizes[digest] for digest in common)
    return shared, sum(sizes.values()) - shared


class DockerPreparation:
    """Pulls the shop's images before a warm deployment, removes them before a cold one."""

    def __init__(
        self, images: Mapping[str, Mapping[str, Any]], *, docker_host: str | None = None
    ) -> None:
        self._refs = [image["ref"] for image in images.values()]
        self._client = connect(docker_host)
        self._before: int | None = None

    def cold(self) -> str:
        """Remove the images that a deployment pulls."""
        removed = []
        for ref in self._refs:
            try:
                self._client.images.remove(ref)
                removed.append(ref)
            except ImageNotFound:
                continue
            except APIError as error:
                raise ProbeError(
                    f"image {ref} is in use, so no cold deployment can be measured: "
                    f"{error.explanation}"
                ) from None
        self._before = self._layers_bytes()
        return f"{len(removed)} images removed from the daemon"

    def warm(self) -> str:
        """Pull the images that are not there."""
        pulled = 0
        for ref in self._refs:
            try:
                self._client.images.get(ref)
            except ImageNotFound:
                try:
                    self._client.images.pull(ref)
                except APIError as error:
                    raise ProbeError(f"image {ref} cannot be pulled: {error}") from None
                pulled += 1
        return f"{pulled} images pulled beforehand"

    def fetched_bytes(self) -> int | None:
        """Return how much the daemon's layers grew since ``cold``.

        Layers that other images or a build cache still hold are not pulled again: this figure
        says how cold a cold deployment really was.
        """
        return None if self._before is None else self._layers_bytes() - self._before

    def _layers_bytes(self) -> int:
        return int(self._client.df()["LayersSize"])
