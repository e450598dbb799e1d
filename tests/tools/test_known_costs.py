"""Trust in the instrument: what a server is known to cost is what the real generator finds."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from probe.outage import IN_A_ROW, outage
from probe.vegeta import Attack, Request, attack
from tests.support.probe_server import Shop, serve

RATE = 50.0
EVERY = 100
DEAD_S = 2.0
PRODUCTS = [Request("GET", "/api/v1/products")]


class Failing(Shop):
    """Fails each hundredth request."""

    number = count(1)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        status, data = super().answer(method, path, body)
        return (503, {"title": "known cost"}) if next(self.number) % EVERY == 0 else (status, data)


class Dying(Shop):
    """Answers with failures alone while it is dead."""

    dead = False

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        status, data = super().answer(method, path, body)
        return (503, {"title": "known cost"}) if self.dead else (status, data)


def test_one_failure_in_a_hundred_is_one_in_a_hundred(tmp_path: Path) -> None:
    with serve(tmp_path, Failing()) as shop:
        found = attack(shop.url, PRODUCTS, rate=100, seconds=4, ca_certificate=shop.ca_certificate)
    assert found.requests == 400
    assert found.requests - found.good == 4
    assert dict(found.codes) == {"200": 396, "503": 4}


def test_a_known_delay_is_in_every_latency(tmp_path: Path) -> None:
    with serve(tmp_path, Shop(delay_s=0.05)) as shop:
        slow = attack(shop.url, PRODUCTS, rate=20, seconds=2, ca_certificate=shop.ca_certificate)
        shop.delay_s = 0.0
        fast = attack(shop.url, PRODUCTS, rate=20, seconds=2, ca_certificate=shop.ca_certificate)
    assert slow.latencies_s["p50"] >= 0.05
    # What is not the server's delay is the same in both.
    difference = slow.latencies_s["p50"] - fast.latencies_s["p50"]
    assert difference == pytest.approx(0.05, rel=0.3)


def test_dead_time_is_found_with_its_failures(tmp_path: Path) -> None:
    with serve(tmp_path, Dying()) as shop:
        steady = Attack(shop.url, PRODUCTS, rate=RATE, seconds=30, ca=shop.ca_certificate)
        time.sleep(1.0)
        shop.dead, struck_at = True, time.time()
        time.sleep(DEAD_S)
        shop.dead, back_at = False, time.time()
        time.sleep(1.0)
        answers = steady.stop()
    dead_s = back_at - struck_at
    found = outage(answers, struck_at)
    # It dies and comes back between two requests: one of them more or less on either side.
    assert found.failed == pytest.approx(dead_s * RATE, abs=2)
    assert found.longest_gap_s == pytest.approx(dead_s, abs=3 / RATE + 0.05)
    assert found.recovery_s is not None
    assert found.recovery_s == pytest.approx(dead_s, abs=3 / RATE + 0.05)
    assert sum(a.good for a in answers if a.sent_at > back_at + 2 / RATE) > IN_A_ROW


def test_without_a_cost_none_is_found(tmp_path: Path) -> None:
    with serve(tmp_path, Shop()) as shop:
        steady = Attack(shop.url, PRODUCTS, rate=RATE, seconds=30, ca=shop.ca_certificate)
        time.sleep(1.0)
        at = time.time()
        time.sleep(1.0)
        answers = steady.stop()
    found = outage(answers, at)
    assert (found.failed, found.recovery_s) == (0, 0.0)
