"""Daemons: which answer, how they are started, which are ours to stop."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import daemons
from toolchain.daemons import (
    DOCKERD,
    REGISTRY,
    Daemon,
    _refuse,
    ask_docker,
    ask_libvirt,
    ask_registry,
    docker_socket,
    dockerd_arguments,
    parse_pid,
    registry_config,
    running,
    stop,
)
from toolchain.errors import ToolchainError
from toolchain.paths import Paths


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers like a Docker API, an image registry, or something else."""

    registry = False
    body = b'{"Version": "28.0"}'

    def do_GET(self) -> None:
        self.send_response(200)
        if self.registry:
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    run = tmp_path / "run"
    run.mkdir()
    return Paths(root=tmp_path, cache=tmp_path / "cache", run=run)


def test_docker_answers(tmp_path: Path) -> None:
    place = tmp_path / "docker.sock"
    with serving(socketserver.UnixStreamServer(str(place), Handler)):
        assert ask_docker(place) == "answers"
    # The socket is still there, nobody listens.
    assert ask_docker(place) == "not running"
    assert ask_docker(tmp_path / "none.sock") == "not running"


def test_something_else_on_dockers_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "body", b"hello")
    place = tmp_path / "docker.sock"
    with serving(socketserver.UnixStreamServer(str(place), Handler)):
        assert ask_docker(place) == "something else"


def test_no_permission_is_told_from_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", type("Denied", (socket.socket,), {"connect": deny}))
    assert ask_docker(tmp_path / "x") == "no permission"
    assert ask_libvirt((tmp_path / "x",)) == "no permission"


def test_libvirt_answers_on_any_of_its_sockets(tmp_path: Path) -> None:
    place = tmp_path / "virtqemud-sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        assert ask_libvirt((tmp_path / "none", place)) == "answers"
    assert ask_libvirt((tmp_path / "none", place)) == "not running"


@pytest.mark.parametrize(("registry", "answer"), [(True, "answers"), (False, "something else")])
def test_a_registry_is_told_from_what_else_has_the_port(
    registry: bool, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "registry", registry)
    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    with serving(server):
        assert ask_registry(port) == answer
    assert ask_registry(port) == "not running"


@pytest.mark.parametrize(
    ("daemon", "answer", "message"),
    [
        (DOCKERD, "no permission", r"no permission to talk to dockerd: .*group docker"),
        (REGISTRY, "something else", r"port 5085 of 127.0.0.1 is taken by .*: end it"),
        (DOCKERD, "something else", "socket is there but does not answer"),
    ],
)
def test_what_starting_would_not_cure_is_said(
    daemon: Daemon, answer: daemons.Answer, message: str
) -> None:
    with pytest.raises(ToolchainError, match=message):
        _refuse(daemon, answer)
    _refuse(daemon, "not running")


def test_docker_host_is_respected() -> None:
    assert docker_socket({}) == daemons.DOCKER_SOCKET
    assert docker_socket({"DOCKER_HOST": "unix:///run/user/1/docker.sock"}) == Path(
        "/run/user/1/docker.sock"
    )
    assert docker_socket({"DOCKER_HOST": "ssh://build@host"}) is None


@pytest.mark.parametrize(
    ("text", "pid"), [("12\n", 12), ("", None), ("x", None), ("1", None), ("-5", None)]
)
def test_pid_files(text: str, pid: int | None) -> None:
    assert parse_pid(text) == pid


@contextlib.contextmanager
def process_named(tmp_path: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"])
    give_up_s = time.monotonic() + 5
    while Path(f"/proc/{process.pid}/comm").read_text().strip() != name[:15]:
        assert time.monotonic() < give_up_s
        time.sleep(0.01)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def silent(name: str, program: str) -> Daemon:
    return Daemon(name, program, None, lambda: "not running", "")


def test_stop_ends_what_we_started(paths: Paths, tmp_path: Path) -> None:
    with process_named(tmp_path, "triptych-test-daemon") as process:
        pid_file = paths.run / "test.pid"
        pid_file.write_text(f"{process.pid}\n")
        daemon = silent("test", "triptych-test-daemon")
        assert running(pid_file, daemon.program) == process.pid
        assert stop(paths, (daemon,)) == [f"test: stopped (pid {process.pid})"]
        assert process.wait(5) == -15
        assert not pid_file.exists()
        assert stop(paths, (daemon,)) == []


def test_a_pid_that_is_now_another_programs_is_left_alone(paths: Paths, tmp_path: Path) -> None:
    with process_named(tmp_path, "innocent") as process:
        (paths.run / "test.pid").write_text(str(process.pid))
        assert stop(paths, (silent("test", "dockerd"),)) == []
        assert process.poll() is None


def test_stop_says_what_it_leaves_running(paths: Paths) -> None:
    other = Daemon("test", "x", None, lambda: "answers", "")
    assert stop(paths, (other,)) == ["test: not started by this toolchain, left running"]
    assert daemons.whose(paths, other) == "running already"


def test_the_trimming_runtime_is_only_for_machines_that_withhold(tmp_path: Path) -> None:
    assert dockerd_arguments(tmp_path, ()) == ["--pidfile", f"{tmp_path}/dockerd.pid"]
    assert dockerd_arguments(tmp_path, ("CAP_SYS_RESOURCE",))[2:] == [
        "--add-runtime",
        f"bounded={tmp_path}/oci-bounded",
        "--default-runtime",
        "bounded",
    ]


def test_the_registry_listens_on_this_machine_only(tmp_path: Path) -> None:
    made = json.loads(registry_config(tmp_path))
    assert made["http"]["addr"] == "127.0.0.1:5085"
    assert made["storage"]["filesystem"]["rootdirectory"] == str(tmp_path)
