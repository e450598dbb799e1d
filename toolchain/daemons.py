"""dockerd, libvirtd and the local image registry: found, or started where nothing runs them.

A daemon that answers is used, whoever started it. Where systemd is the service manager it is asked
to start them; else they are started by hand, with a pid file in `/run/triptych`. `stop` ends only
what has such a pid file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolchain.errors import ToolchainError
from toolchain.files import write_text
from toolchain.host import become_root, find, missing_capabilities, runs_systemd
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext, StepError, last_lines

Answer = Literal["answers", "no permission", "not running", "something else"]

DOCKER_SOCKET = Path("/var/run/docker.sock")
# The monolithic daemon's socket, then the modular one's.
LIBVIRT_SOCKETS = (Path("/run/libvirt/libvirt-sock"), Path("/run/libvirt/virtqemud-sock"))
# Only root may connect, so "no permission" means that it is there.
KVM_DEVICE = Path("/dev/kvm")
VIRTLOGD_SOCKET = Path("/run/libvirt/virtlogd-sock")
REGISTRY_HOST, REGISTRY_PORT = "127.0.0.1", 5085
REGISTRY_ADDRESS = f"{REGISTRY_HOST}:{REGISTRY_PORT}"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
ASK_TIMEOUT_S = 5.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ASK_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _answer_of(error: OSError) -> Answer:
    return "no permission" if error.errno in (errno.EACCES, errno.EPERM) else "not running"


def docker_get(path: str, docker_socket: Path = DOCKER_SOCKET) -> dict[str, Any]:
    """Return what the Docker API answers to a GET; raises OSError or HTTPException."""
    connection = _UnixConnection(docker_socket)
    try:
        connection.request("GET", path)
        body = connection.getresponse().read()
    finally:
        connection.close()
    answer = json.loads(body)
    return answer if isinstance(answer, dict) else {}


def docker_socket(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the socket of the dockerd to be used; None if DOCKER_HOST names a remote one."""
    host = (os.environ if environ is None else environ).get("DOCKER_HOST", "")
    if not host:
        return DOCKER_SOCKET
    return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None


def ask_docker(docker_socket: Path = DOCKER_SOCKET) -> Answer:
    """Tell whether dockerd answers on its socket."""
    try:
        return "answers" if docker_get("/version", docker_socket) else "something else"
    except OSError as error:
        return _answer_of(error)
    except (http.client.HTTPException, ValueError):
        return "something else"


def ask_libvirt(sockets: tuple[Path, ...] = LIBVIRT_SOCKETS) -> Answer:
    """Tell whether a libvirt daemon accepts connections."""
    answer: Answer = "not running"
    for place in sockets:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_TIMEOUT_S)
            try:
                connection.connect(str(place))
                return "answers"
            except OSError as error:
                if _answer_of(error) == "no permission":
                    answer = "no permission"
    return answer


def ask_registry(port: int = REGISTRY_PORT) -> Answer:
    """Tell whether an image registry (and nothing else) listens on the port."""
    connection = http.client.HTTPConnection(REGISTRY_HOST, port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", "/v2/")
        response = connection.getresponse()
        speaks = response.getheader("Docker-Distribution-Api-Version") is not None
        return "answers" if speaks else "something else"
    except ConnectionRefusedError:
        return "not running"
    except (OSError, http.client.HTTPException):
        return "something else"
    finally:
        connection.close()


def parse_pid(text: str) -> int | None:
    """Return the process number in a pid file's text."""
    text = text.strip()
    return int(text) if text.isdigit() and int(text) > 1 else None


def running(pid_file: Path, program: str) -> int | None:
    """Return the pid in the file if that process runs `program`, else None."""
    try:
        pid = parse_pid(pid_file.read_text())
        # The kernel cuts a process's name to 15 characters.
        if pid and Path(f"/proc/{pid}/comm").read_text().strip() == program[:15]:
            return pid
    except OSError:
        pass
    return None


@dataclass(frozen=True)
class Daemon:
    """A daemon and how to tell that it is there."""

    name: str
    program: str
    unit: str | None
    ask: Callable[[], Answer]
    permission_hint: str


DOCKERD = Daemon(
    "dockerd",
    "dockerd",
    "docker.service",
    lambda: ask_docker(docker_socket() or DOCKER_SOCKET),
    "add yourself to the group docker (sudo usermod -aG docker $USER) and log in again",
)
LIBVIRTD = Daemon(
    "libvirtd",
    "libvirtd",
    "libvirtd.service",
    ask_libvirt,
    "add yourself to the group libvirt (sudo usermod -aG libvirt $USER) and log in again",
)
REGISTRY = Daemon("registry", "docker-registry", None, ask_registry, "")
# libvirtd's console logs go through it; it has no socket that users may ask.
VIRTLOGD = Daemon("virtlogd", "virtlogd", None, lambda: "not running", "")


def whose(paths: Paths, daemon: Daemon) -> str:
    """Say who runs a daemon that answers."""
    if running(paths.run / f"{daemon.name}.pid", daemon.program):
        return "started by this toolchain"
    return "running already"


def _refuse(daemon: Daemon, answer: Answer) -> None:
    """Raise the error for an answer that starting the daemon would not cure."""
    if answer == "no permission":
        raise ToolchainError(f"no permission to talk to {daemon.name}", daemon.permission_hint)
    if answer == "something else" and daemon is REGISTRY:
        raise ToolchainError(
            f"port {REGISTRY_PORT} of {REGISTRY_HOST} is taken by something that is no image "
            "registry",
            f"end it (ss -ltnp 'sport = :{REGISTRY_PORT}' names it) and try again",
        )
    if answer == "something else":
        raise ToolchainError(
            f"{daemon.name}'s socket is there but does not answer as it should",
            f"restart {daemon.name}",
        )


async def _wait(
    daemon: Daemon, context: StepContext, process: subprocess.Popen[bytes] | None, log: Path
) -> None:
    """Wait until the daemon answers; raise with its last words if it ends or takes too long."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while True:
        answer = await context.thread(daemon.ask)
        if answer == "answers":
            return
        _refuse(daemon, answer if answer != "something else" else "not running")
        ended = process is not None and process.poll() is not None and process.returncode != 0
        if ended or time.monotonic() > give_up_s:
            for line in last_lines(log):
                context.log(line)
            how = "ended at once" if ended else f"does not answer after {START_TIMEOUT_S:.0f} s"
            raise StepError(f"{daemon.name} {how}", f"see {log}")
        await asyncio.sleep(0.1)


def _spawn(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a daemon that outlives us and the terminal."""
    with log.open("ab") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
        )


async def _run_directory(paths: Paths, context: StepContext, root: tuple[str, ...]) -> None:
    """Make the directory of pid files, owned by the user (the registry is run as the user)."""
    if not os.access(paths.run, os.W_OK):
        owner = ("-o", str(os.getuid()), "-g", str(os.getgid()))
        await context.run(*root, "install", "-d", "-m", "755", *owner, paths.run)


def dockerd_arguments(run: Path, missing: tuple[str, ...]) -> list[str]:
    """Return dockerd's arguments; the trimming OCI runtime only where capabilities are withheld."""
    arguments = ["--pidfile", str(run / "dockerd.pid")]
    if "CAP_SYS_RESOURCE" in missing:
        arguments += ["--add-runtime", f"bounded={run / 'oci-bounded'}"]
        arguments += ["--default-runtime", "bounded"]
    return arguments


def install_runtime(run: Path, missing: tuple[str, ...]) -> None:
    """Put the trimming OCI runtime where dockerd keeps finding it when the clone is gone."""
    here = Path(__file__).resolve().parent
    for name in ("oci-bounded", "oci_bounded.py"):
        shutil.copy(here / name, run / name)
    write_text(run / "missing-capabilities", "\n".join(missing) + "\n")


def _step(
    paths: Paths,
    daemon: Daemon,
    needs: tuple[str, ...],
    start: Callable[[StepContext], Awaitable[None]],
) -> Step:
    def is_done() -> bool | str:
        answer = daemon.ask()
        if answer == "answers":
            return whose(paths, daemon)
        _refuse(daemon, answer)
        return False

    async def run(context: StepContext) -> None:
        if daemon.unit and runs_systemd():
            root = await context.thread(become_root)
            context.say("asking systemd to start it")
            await context.run(*root, "systemctl", "start", daemon.unit)
            await _wait(daemon, context, None, context.log_path)
            context.conclude("started by systemd")
            return
        await start(context)

    return Step(daemon.name, run, needs, is_done, "starting")


def dockerd_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step after which dockerd answers."""

    async def start(context: StepContext) -> None:
        if docker_socket() != DOCKER_SOCKET:
            raise ToolchainError(
                "DOCKER_HOST is set and nothing answers there", "start that dockerd, or unset it"
            )
        root = await context.thread(become_root)
        await _run_directory(paths, context, root)
        missing = missing_capabilities()
        arguments = dockerd_arguments(paths.run, missing)
        if "--add-runtime" in arguments:
            install_runtime(paths.run, missing)
        log = paths.logs / "dockerd.daemon.log"
        process = _spawn([*root, str(find("dockerd") or "dockerd"), *arguments], log)
        await _wait(DOCKERD, context, process, log)
        context.conclude("started by this toolchain")

    async def run_remote(context: StepContext) -> None:
        await context.run("docker", "version", timeout_s=20)
        context.conclude(f"remote: {os.environ['DOCKER_HOST']}")

    if docker_socket() is None:
        return Step("dockerd", run_remote, needs, detail="the one DOCKER_HOST names")
    return _step(paths, DOCKERD, needs, start)


def libvirtd_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step after which libvirt answers (virtlogd first: it keeps the console logs)."""

    async def start(context: StepContext) -> None:
        if not find("libvirtd"):
            raise ToolchainError(
                "libvirt's modular daemons are not running", "start virtqemud, virtlogd and so on"
            )
        root = await context.thread(become_root)
        await _run_directory(paths, context, root)
        await _share_kvm(context, root)
        if await context.thread(ask_libvirt, (VIRTLOGD_SOCKET,)) == "not running":
            await context.run(
                *root,
                find("virtlogd") or "virtlogd",
                *("--daemon", "--pid-file", paths.run / "virtlogd.pid"),
            )
        await context.run(
            *root,
            find("libvirtd") or "libvirtd",
            *("--daemon", "--pid-file", paths.run / "libvirtd.pid"),
        )
        await _wait(LIBVIRTD, context, None, context.log_path)
        context.conclude("started by this toolchain")

    return _step(paths, LIBVIRTD, needs, start)


async def _share_kvm(context: StepContext, root: tuple[str, ...]) -> None:
    """Give /dev/kvm the group and mode that udev gives it, where no udev runs.

    libvirtd can open it as root and its qemu, another user, can't: it then takes what it knows of
    qemu for outdated and asks again at every call, which makes each one minutes long.
    """
    if not KVM_DEVICE.exists() or runs_systemd():
        return
    try:
        group = grp.getgrnam("kvm").gr_gid
    except KeyError:
        return
    found = KVM_DEVICE.stat()
    if found.st_gid != group or stat.S_IMODE(found.st_mode) & 0o060 != 0o060:
        await context.run(*root, "chgrp", "kvm", KVM_DEVICE)
        await context.run(*root, "chmod", "0660", KVM_DEVICE)


def registry_config(storage: Path) -> str:
    """Return the registry's configuration (JSON is YAML), listening on this machine only."""
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(storage)},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY_ADDRESS},
        },
        indent=2,
    )


def registry_step(paths: Paths, needs: tuple[str, ...]) -> Step:
    """Return the step after which the local image registry answers. It runs as the user."""

    async def start(context: StepContext) -> None:
        root: tuple[str, ...] = ()
        if not os.access(paths.run, os.W_OK):
            root = await context.thread(become_root)
        await _run_directory(paths, context, root)
        config = paths.registry / "config.yml"
        write_text(config, registry_config(paths.registry / "data"))
        log = paths.logs / "registry.daemon.log"
        process = _spawn(
            [str(find("docker-registry") or "docker-registry"), "serve", str(config)], log
        )
        write_text(paths.run / "registry.pid", f"{process.pid}\n")
        await _wait(REGISTRY, context, process, log)
        context.conclude(f"started by this toolchain on {REGISTRY_ADDRESS}")

    return _step(paths, REGISTRY, needs, start)


def stop(
    paths: Paths, daemons: tuple[Daemon, ...] = (REGISTRY, DOCKERD, LIBVIRTD, VIRTLOGD)
) -> list[str]:
    """Stop the daemons that we started; return a line for each, also for those left alone."""
    lines = []
    for daemon in daemons:
        pid_file = paths.run / f"{daemon.name}.pid"
        pid = running(pid_file, daemon.program)
        if pid is None:
            _unlink(pid_file)
            if daemon.ask() == "answers":
                lines.append(f"{daemon.name}: not started by this toolchain, left running")
            continue
        _signal(pid, signal.SIGTERM)
        give_up_s = time.monotonic() + STOP_TIMEOUT_S
        while running(pid_file, daemon.program) and _alive(pid):
            if time.monotonic() > give_up_s:
                raise ToolchainError(f"{daemon.name} (pid {pid}) does not stop", f"kill -9 {pid}")
            time.sleep(0.1)
        _unlink(pid_file)
        lines.append(f"{daemon.name}: stopped (pid {pid})")
    return lines


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        # The shell's own kill: a minimal Debian has no other.
        subprocess.run([*become_root(), "sh", "-c", f"kill -{number.value} {pid}"], check=False)


def _unlink(pid_file: Path) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        pid_file.unlink()
