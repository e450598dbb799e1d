"""Other engines than Docker's, which run a service's image in the surroundings of a stack.

The service is started a second time beside the stack: from the registry, as its user, with its
environment, secrets and directories in memory, read-only, in the network namespace of the stack's
gateway. So it reaches by name what it needs, and has to say itself that it is ready.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from probe import commands
from probe.errors import ProbeError
from probe.models.base import Environment
from probe.transaction import await_ready
from shop.model import SECRETS_DIR, Service
from toolchain.paths import Paths

#: Where containerd listens: Debian's own, and the one that dockerd starts where there is none.
SOCKETS: Final = (
    Path("/run/containerd/containerd.sock"),
    Path("/run/docker/containerd/containerd.sock"),
)
#: What everything here is called by.
NAME: Final = "triptych-portability"
READY_S: Final = 60.0
#: What ctr gives a container by default: like the stack's own, it gets none.
_CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID"),
    *("SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)
_COMMAND_S: Final = 300.0
_LOG_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A service as it stands in a stack: what another engine needs to know to run it there."""

    service: Service
    image: str
    #: A process in the network namespace, and that namespace's address on the host.
    pid: int
    address: str
    resolv_conf: Path
    secrets: Path | None

    @property
    def url(self) -> str:
        """Return where the service says whether it is ready."""
        path = self.service.health.ready_path or self.service.health.path
        return f"http://{self.address}:{self.service.port}{path}"

    @property
    def mounts(self) -> tuple[tuple[str, Path], ...]:
        """Return what of the host's is mounted, read-only: where to, and what."""
        found = [("/etc/resolv.conf", self.resolv_conf)]
        if self.secrets is not None:
            found.append((SECRETS_DIR, self.secrets))
        return tuple(found)


class Engine(Protocol):
    """What runs a container."""

    name: str

    def version(self) -> str:
        """Return what it is; raise ProbeError where it is not to be had."""

    def fetch(self, image: str) -> None:
        """Pull an image from the registry."""

    def start(self, place: Place) -> None:
        """Start a service's container under ``NAME``."""

    def said(self) -> str:
        """Return what the container has written."""

    def stop(self) -> None:
        """Remove the container, running or not, or there at all."""

    def close(self) -> None:
        """Remove all that was fetched."""


def _run(*words: str | Path, check: bool = True) -> str:
    """Return a command's output, run as root; raise ProbeError with its last line if it fails."""
    root = () if os.geteuid() == 0 else ("sudo", "-n")
    argv = [*root, *(str(word) for word in words)]
    return commands.output(argv, what=Path(words[0]).name, timeout_s=_COMMAND_S, check=check)


def _there(command: str, package: str) -> None:
    if shutil.which(command) is None:
        raise ProbeError(f"{command} is not on this machine (Debian's package {package} has it)")


class Containerd:
    """containerd without Docker, by its own client, in a namespace of its own."""

    name = "containerd"

    def __init__(self, sockets: Sequence[Path] = SOCKETS) -> None:
        self._sockets = sockets
        self._log: Path | None = None
        self._images: list[str] = []

    def version(self) -> str:
        """Return containerd's version, from the daemon that listens."""
        _there("ctr", "containerd")
        told = self._ctr("version")
        server = told.partition("Server:")[2] or told
        found = [line.split()[-1] for line in server.splitlines() if "Version:" in line]
        return f"containerd {found[0] if found else 'of unknown version'}, started by ctr"

    def fetch(self, image: str) -> None:
        """Pull it over plain HTTP: the registry is on the loopback."""
        self._ctr("images", "pull", "--plain-http", image)
        self._images.append(image)

    def start(self, place: Place) -> None:
        """Start it; ctr takes the environment and the mounts as words, and none is a secret."""
        service = place.service
        handle, log = tempfile.mkstemp(prefix=f"{NAME}-", suffix=".log")
        os.close(handle)
        self._log = Path(log)
        words = ["--detach", "--read-only"]  # and as the user that the image names
        for capability in _CAPABILITIES:
            words += ["--cap-drop", f"CAP_{capability}"]
        words += ["--with-ns", f"network:/proc/{place.pid}/ns/net", "--cwd", "/"]
        words += ["--log-uri", f"file://{log}"]
        for name, value in service.environment().items():
            words += ["--env", f"{name}={value}"]
        for to, source in place.mounts:
            words += ["--mount", f"type=bind,src={source},dst={to},options=rbind:ro"]
        for mount in service.tmpfs:
            owner = f"uid={service.uid}:gid={service.uid}:mode=0700"
            options = f"nosuid:nodev:size={mount.size_mib}m:{owner}"
            words += ["--mount", f"type=tmpfs,src=tmpfs,dst={mount.path},options={options}"]
        self._ctr("run", *words, place.image, NAME, *service.command)

    def said(self) -> str:
        """Return the log file's text."""
        return "" if self._log is None else self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Kill it, and remove task, container and log."""
        self._ctr("tasks", "rm", "--force", NAME, check=False)
        self._ctr("containers", "rm", NAME, check=False)
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None

    def close(self) -> None:
        """Remove the images (containerd collects their layers) and the namespace."""
        if self._images:
            self._ctr("images", "rm", "--sync", *self._images, check=False)
        self._ctr("namespaces", "rm", NAME, check=False)

    def _ctr(self, *words: str, check: bool = True) -> str:
        socket = next((path for path in self._sockets if path.is_socket()), None)
        if socket is None:
            raise ProbeError(f"no containerd listens at {' or '.join(map(str, self._sockets))}")
        return _run("ctr", "--address", socket, "--namespace", NAME, *words, check=check)


class Podman:
    """podman, with a storage of its own: nobody else's images and containers are touched."""

    name = "podman"

    def __init__(self, home: Path | None = None) -> None:
        self._home = home or Paths.find().state / "podman"

    def version(self) -> str:
        """Return podman's version and which runtime it has."""
        _there("podman", "podman")
        told = self._podman("info", "--format", "{{.Version.Version}} {{.Host.OCIRuntime.Name}}")
        version, _, runtime = told.strip().partition(" ")
        return f"podman {version}, with {runtime}"

    def fetch(self, image: str) -> None:
        """Pull it over plain HTTP: the registry is on the loopback."""
        self._podman("pull", "--quiet", "--tls-verify=false", image)

    def start(self, place: Place) -> None:
        """Start it, hardened like the stack's own container."""
        service = place.service
        words = ["--detach", "--name", NAME, "--read-only", "--read-only-tmpfs=false"]
        words += ["--user", f"{service.uid}:{service.uid}", "--workdir", "/"]
        words += ["--cap-drop", "all", "--security-opt", "no-new-privileges"]
        # By itself podman asks for more than a host may have to give.
        words += [*("--ulimit", "nofile=1024:1024"), *("--ulimit", "nproc=1024:1024")]
        words += ["--network", f"ns:/proc/{place.pid}/ns/net"]
        for name, value in service.environment().items():
            words += ["--env", f"{name}={value}"]
        for to, source in place.mounts:
            words += ["--volume", f"{source}:{to}:ro"]
        for mount in service.tmpfs:
            # podman knows no owner for it.
            words += ["--tmpfs", f"{mount.path}:nosuid,nodev,size={mount.size_mib}m,mode=1777"]
        self._podman("run", *words, place.image, *service.command)

    def said(self) -> str:
        """Return the container's log."""
        return self._podman("logs", NAME, check=False)

    def stop(self) -> None:
        """Remove it."""
        self._podman("rm", "--force", "--time", "0", NAME, check=False)

    def close(self) -> None:
        """Remove the storage."""
        self._podman("rmi", "--all", "--force", check=False)
        _run("rm", "-rf", "--one-file-system", "--", self._home, check=False)

    def _podman(self, *words: str, check: bool = True) -> str:
        storage = ("--root", self._home / "store", "--runroot", self._home / "run")
        return _run("podman", *storage, "--cgroup-manager", "cgroupfs", *words, check=check)


ENGINES: Final[tuple[Callable[[], Engine], ...]] = (Containerd, Podman)


def environments(places: Callable[[], Sequence[Place]]) -> tuple[Environment, ...]:
    """Return the engines as places to run the shop's own services in."""

    def environment(engine: Engine) -> Environment:
        return Environment(engine.name, "engine", lambda: try_engine(engine, places()))

    return tuple(environment(make()) for make in ENGINES)


def try_engine(
    engine: Engine,
    places: Sequence[Place],
    *,
    ready_s: float = READY_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[bool, str]:
    """Return whether each service gets ready under an engine, and what was seen.

    Raises ProbeError where the engine is not to be had or does not get the images.
    """
    version = engine.version()
    engine.stop()  # what a killed run may have left
    try:
        for place in places:
            engine.fetch(place.image)
        for place in places:
            with _standing(engine, place) as problem:
                if not problem:
                    said = await_ready(place.url, "", ready_s, clock=clock, sleep=sleep)
                    problem = said and f"not ready after {ready_s:.0f} s: {said}"
                if problem:
                    tail = " / ".join(engine.said().splitlines()[-_LOG_LINES:])
                    return False, f"{version}: {place.service.name}: {problem}; {tail or 'no log'}"
        return True, f"{version}: {', '.join(p.service.name for p in places)} ready"
    finally:
        engine.close()


@contextmanager
def _standing(engine: Engine, place: Place) -> Iterator[str]:
    """Start a service, or yield why it does not; remove it in the end."""
    problem = ""
    try:
        try:
            engine.start(place)
        except ProbeError as error:
            problem = str(error)
        yield problem
    finally:
        engine.stop()
