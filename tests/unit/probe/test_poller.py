"""The poller finds the moment, and asks no more than it says."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from probe import poller as poller_module
from probe import sites
from probe.poller import PERIOD_S, REST, STANDING, GatewayPoller
from tests.support.probe_fakes import FakeClock
from tests.support.probe_server import Shop, make_authority, serve


class Sleeper:
    """Sleeps as it is told to; whoever waits hears when that was so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.enough = threading.Event()

    def __call__(self, seconds: float) -> None:
        time.sleep(seconds)
        self.left -= 1
        if self.left <= 0:
            self.enough.set()


def wait_for_requests(shop: Shop, number: int) -> None:
    """Wait until the shop was asked so often."""
    give_up_s = time.monotonic() + 60
    while len(shop.requests) < number:
        assert time.monotonic() < give_up_s, "the poller does not ask"
        time.sleep(0.005)


def test_the_moment_at_which_a_server_appears_is_found(tmp_path: Path) -> None:
    port = sites.free_port()
    refused = Sleeper(25)  # It sleeps after each attempt that is refused at once.
    poller = GatewayPoller(f"https://127.0.0.1:{port}/health/ready", sleep=refused)
    poller.start()
    assert refused.enough.wait(60)
    before = time.monotonic()
    with serve(tmp_path, Shop(ca_certificate=make_authority(tmp_path)), port=port):
        assert poller.wait(60)
        after = time.monotonic()
    result = poller.stop()
    assert result.ready_at is not None
    assert result.last_bad_at is not None
    assert before <= result.ready_at <= after
    # Readiness lies between the last bad attempt and the good answer.
    assert result.started_at < result.last_bad_at <= result.ready_at
    assert result.seen["ECONNREFUSED"] > 20
    assert result.certificate


def test_a_gateway_that_is_up_before_its_service_is_not_ready(tmp_path: Path) -> None:
    with serve(tmp_path, Shop(ready_status=503)) as shop:
        poller = GatewayPoller(f"{shop.url}/health/ready")
        poller.start()
        # One is asked after the other was answered.
        wait_for_requests(shop, 7)
        assert poller.result().ready_at is None
        flipped = time.monotonic()
        shop.ready_status = 200
        assert poller.wait(60)
        after = time.monotonic()
        result = poller.stop()
    assert result.ready_at is not None
    assert flipped <= result.ready_at <= after
    assert result.seen["503"] > 5
    # One connection was asked again and again.
    assert "ECONNREFUSED" not in result.seen


def test_the_stated_period_is_kept_with_one_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only moves while it sleeps; what it takes of a core `make bench` says."""
    clock = FakeClock()
    sockets: list[socket.socket] = []
    new_socket = GatewayPoller._new_socket

    def made(poller: GatewayPoller) -> socket.socket:
        sockets.append(new_socket(poller))
        return sockets[-1]

    monkeypatch.setattr(GatewayPoller, "_new_socket", made)
    enough = threading.Event()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 102:
            enough.set()

    url = f"https://127.0.0.1:{sites.free_port()}/health/ready"
    poller = GatewayPoller(url, clock=clock, sleep=sleep)
    poller.start()
    assert enough.wait(60)
    result = poller.stop()
    assert result.ready_at is None
    assert result.gaps_s == pytest.approx([PERIOD_S] * len(result.gaps_s))
    assert result.attempts == result.seen["ECONNREFUSED"] == len(result.gaps_s) + 1
    assert result.attempts >= 2 / PERIOD_S
    assert len(sockets) == 1


def test_a_server_that_accepts_and_says_nothing_is_not_flooded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway that is slow to answer gets few connections, and its answer is waited for."""
    monkeypatch.setattr(poller_module, "SILENCE_S", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(512)
        poller = GatewayPoller(f"https://127.0.0.1:{silent.getsockname()[1]}/health/ready")
        poller.start()
        silent.settimeout(60)
        accepted = [silent.accept()[0] for _ in range(STANDING)]
        # Another silence, several times over, brings no further one.
        silent.settimeout(0.5)
        with pytest.raises(TimeoutError):
            silent.accept()
        result = poller.stop()
        for connection in accepted:
            connection.close()
    assert result.ready_at is None
    # It looked on while it waited.
    assert result.attempts < len(result.gaps_s)


def test_a_slow_gateway_spends_little_of_its_time_on_the_poller(tmp_path: Path) -> None:
    delay_s = 0.05
    with serve(tmp_path, Shop(ready_status=503, delay_s=delay_s)) as shop:
        began = time.monotonic()
        poller = GatewayPoller(f"{shop.url}/health/ready")
        poller.start()
        wait_for_requests(shop, 4)
        poller.stop()
        took_s = time.monotonic() - began
        # No answer comes earlier than the delay, and a rest goes by the answer.
        assert len(shop.requests) <= 1 + took_s / (REST * delay_s)


def test_what_answers_by_way_of_a_router_is_not_asked() -> None:
    # An address outside of every network of this host, as a machine's is before its network is.
    refused = Sleeper(20)
    poller = GatewayPoller("https://198.51.100.7:8443/health/ready", sleep=refused)
    poller.start()
    assert refused.enough.wait(60)
    result = poller.stop()
    assert set(result.seen) == {"ENETUNREACH"}


def test_only_web_addresses_are_polled() -> None:
    with pytest.raises(ValueError, match="not an http"):
        GatewayPoller("ftp://example.org/")
