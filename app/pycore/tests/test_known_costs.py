"""A cost that is told is had, and nothing is had that is not told."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from shopcore import known_costs
from shopcore.known_costs import CostlyRequests, KnownCosts, burn
from shopcore.startup import Startup


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("well")(scope, receive, send)


async def statuses(costs: str, *paths: str) -> list[int]:
    app = CostlyRequests(answer, KnownCosts.from_text(costs))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
        return [(await client.get(path)).status_code for path in paths]


def test_costs_are_read() -> None:
    costs = KnownCosts.from_text("ready_delay_s=0.5  held_mib=200 failing_share=0.01")
    assert (costs.ready_delay_s, costs.held_mib, costs.failing_share) == (0.5, 200, 0.01)
    assert (costs.burned_cores, costs.dead_s) == (0, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("slow", "slow is not of the form name=value"),
        ("slow=1", "slow: Extra inputs are not permitted"),
        ("held_mib=-1", "held_mib: Input should be greater than or equal to 0"),
    ],
)
def test_what_is_no_cost_is_one_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        KnownCosts.from_text(text)


async def test_of_a_hundred_requests_one_fails() -> None:
    found = await statuses("failing_share=0.01", *["/api/v1/products"] * 200)
    assert [n for n, status in enumerate(found) if status != 200] == [99, 199]


async def test_probes_are_not_failed_and_not_counted() -> None:
    paths = ["/health/ready", "/metrics", "/api/v1/cart"]
    assert await statuses("failing_share=1", *paths) == [200, 200, 500]
    assert await statuses("dead_s=60", *paths) == [200, 200, 500]


async def test_dead_time_begins_with_the_first_customer() -> None:
    moments = iter((110.0, 110.0, 111.9, 112.1, 130.0))
    app = CostlyRequests(answer, KnownCosts.from_text("dead_s=2"), lambda: next(moments))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
        found = [(await client.get("/api/v1/cart")).status_code for _ in range(4)]
    assert found == [500, 500, 200, 200]


async def test_readiness_is_late_by_the_delay() -> None:
    done: list[str] = []

    async def prepare() -> None:
        done.append("prepared")

    startup = Startup(prepare=prepare)
    startup.also(KnownCosts.from_text("ready_delay_s=0.2").before_ready)
    began = time.monotonic()
    await startup.run()
    assert startup.done
    assert done == ["prepared"]
    assert time.monotonic() - began >= 0.2


def test_a_processor_is_burned_as_much_as_told() -> None:
    ended = threading.Event()
    used: list[float] = []

    def run() -> None:
        before = time.thread_time()
        burn(0.25, ended)
        used.append(time.thread_time() - before)

    began = time.monotonic()
    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(1)
    ended.set()
    thread.join()
    # It never gets ahead by more than what is done at a time; on a busy machine it gets less.
    assert 0 < used[0] <= 0.25 * (time.monotonic() - began) + 0.1


def test_what_was_not_burned_is_not_burned_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = used_s = 0.0
    pieces = 0
    ended = threading.Event()

    def piece(*_what: object) -> None:
        # The first ten are kept waiting for ten seconds in all, and the next ones by nobody.
        nonlocal now_s, used_s, pieces
        pieces += 1
        used_s += 0.01
        now_s += 1.0 if pieces <= 10 else 0.01
        if now_s >= 20:
            ended.set()

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(known_costs.hashlib, "pbkdf2_hmac", piece)
    monkeypatch.setattr(
        known_costs,
        "time",
        SimpleNamespace(monotonic=lambda: now_s, thread_time=lambda: used_s, sleep=sleep),
    )
    burn(0.5, ended)
    # Half of the last ten seconds, and what little of the first ones is made up for.
    assert used_s == pytest.approx(0.1 + 5, abs=0.1)
