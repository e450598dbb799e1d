"""The same images under other engines."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probe.errors import ProbeError
from probe.models.engines import Containerd, Place, Podman, try_engine
from shop import catalogue
from tests.support.probe_fakes import FakeClock

# Engines.


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a service in whose place something answers while the test lasts."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == catalogue.READY_PATH else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    service = next(s for s in catalogue.services("monolith") if s.name == "monolith")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / service.secrets[0].name).write_text("open sesame")
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    server = http.server.HTTPServer(("127.0.0.2", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Place(
        service=replace(service, port=port),
        image="127.0.0.1:5000/triptych/monolith:1",
        pid=4711,
        address="127.0.0.2",
        resolv_conf=tmp_path / "resolv.conf",
        secrets=secrets,
    )
    server.shutdown()
    server.server_close()


class Engine:
    name = "engine"

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.done: list[str] = []

    def version(self) -> str:
        return "engine 1"

    def fetch(self, image: str) -> None:
        self.done.append(f"fetch {image.rpartition('/')[2]}")

    def start(self, place: Place) -> None:
        self.done.append(f"start {place.service.name}")
        if self.refusal:
            raise ProbeError(self.refusal)

    def said(self) -> str:
        return "one\ntwo\n"

    def stop(self) -> None:
        self.done.append("stop")

    def close(self) -> None:
        self.done.append("close")


ROUND = ["stop", "fetch monolith:1", "start monolith", "stop", "close"]


def test_a_service_that_says_it_is_ready_works(place: Place) -> None:
    engine = Engine()
    assert try_engine(engine, [place]) == (True, "engine 1: monolith ready")
    assert engine.done == ROUND


def test_a_service_that_is_not_started_does_not_work(place: Place) -> None:
    engine = Engine("no such runtime")
    assert try_engine(engine, [place]) == (
        False,
        "engine 1: monolith: no such runtime; one / two",
    )
    assert engine.done == ROUND


def test_a_service_that_does_not_get_ready_does_not_work(place: Place) -> None:
    clock = FakeClock()
    health = replace(place.service.health, ready_path="/elsewhere")
    other = replace(place, service=replace(place.service, health=health))
    engine = Engine()
    found, how = try_engine(engine, [other], ready_s=2, clock=clock, sleep=clock.sleep)
    assert not found
    assert "not ready after 2 s: status 404; one / two" in how
    assert engine.done == ROUND


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put scripts in the place of ctr and podman that write down how they are called."""
    folder, log = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    for name in ("ctr", "podman"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>"{log}"\necho "  Version:  1.2.3"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return log


def test_engines_run_a_service_as_the_stack_does_and_show_no_secret(
    place: Place, tools: Path, tmp_path: Path
) -> None:
    listening = tmp_path / "containerd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        assert try_engine(Containerd([listening]), [place])[0]
    assert try_engine(Podman(tmp_path / "podman"), [place])[0]
    calls = tools.read_text()
    assert "open sesame" not in calls
    for line in calls.splitlines():
        name, _, words = line.partition(" ")
        if " run --detach" not in words:
            continue
        assert (
            f"network:/proc/{place.pid}/ns/net" in words or f"ns:/proc/{place.pid}/ns/net" in words
        )
        assert "--read-only" in words
        assert str(place.secrets) in words
        assert words.endswith(" ".join(place.service.command))
        assert "CAP_SETUID" in words if name == "ctr" else "--cap-drop all" in words
    assert calls.count(" run --detach") == 2
    assert not (tmp_path / "podman").exists()


def test_an_engine_that_is_not_there_is_named_with_its_package(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProbeError, match="Debian's package podman has it"):
        try_engine(Podman(tmp_path / "podman"), [place])
    with pytest.raises(ProbeError, match="ctr is not on this machine"):
        try_engine(Containerd(), [place])


def test_a_containerd_that_does_not_listen_is_said(tools: Path, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no containerd listens at"):
        Containerd([tmp_path / "none.sock"]).version()
