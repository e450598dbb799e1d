"""A private PostgreSQL and a private Valkey (or Redis) on this host, to be stopped at will."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

PASSWORD = "integration"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program(name: str, *more: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    for candidate in (*map(str, reversed(places)), name, *more):
        if found := shutil.which(candidate):
            return found
    raise FileNotFoundError(f"{name} is not installed")


class _Daemon:
    def __init__(self, user: str | None) -> None:
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str], log: Path, ready: Callable[[], bool]) -> None:
        entry = pwd.getpwnam(self._user) if self._user else None
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                user=self._user,
                group=entry.pw_gid if entry else None,
                extra_groups=[] if entry else None,
            )
        deadline = time.monotonic() + 30
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(number)
            self._process.wait(30)


class Postgres:
    """A cluster of its own; `start` starts it again after `stop`."""

    def __init__(self, home: Path) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        self.password_file = home / "password"
        self.password_file.write_text(PASSWORD)
        self._log = home / "postgres.log"
        self._data = home / "postgres"
        self._data.mkdir(mode=0o700)
        if user:
            shutil.chown(self._data, user)
        subprocess.run(
            [
                _program("initdb"), "-D", str(self._data), "-U", "shop", "-A", "scram-sha-256",
                f"--pwfile={self.password_file}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            check=True, stdout=subprocess.DEVNULL, cwd="/", user=user,
        )  # fmt: skip
        self._daemon = _Daemon(user)
        self.start()

    def start(self) -> None:
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self._daemon.run(
            [
                _program("postgres"), "-D", str(self._data), "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                "-c", "fsync=off",
            ],
            self._log,
            lambda: subprocess.run(ready, check=False).returncode == 0,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self._daemon.end(signal.SIGQUIT)


class Valkey:
    """A server of its own; it can be stopped, or made to hang."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self._home = home
        self._daemon = _Daemon(None)
        self.start()

    def start(self) -> None:
        self._daemon.run(
            [
                _program("valkey-server", "redis-server"), "--port", str(self.port),
                "--bind", "127.0.0.1", "--dir", str(self._home), "--save", "",
            ],
            self._home / "valkey.log",
            self._answers,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        self._daemon.end(signal.SIGKILL)

    def pause(self) -> None:
        """Hang: connections stay open, nothing is answered."""
        self._daemon.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._daemon.signal(signal.SIGCONT)


class Link:
    """A way to a server of this host, which can lose what is under way.

    That is what happens when a host, a pod or a firewall's memory of connections goes: no end of
    a connection hears of it.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._losses = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    def lose_all(self) -> None:
        """Carry nothing more on the connections there are; new ones work."""
        self._losses += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += (writer, back)
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        losses = self._losses
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if losses == self._losses:
                    sink.write(data)
                    await sink.drain()
            if losses == self._losses:
                sink.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another task is about to do."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
