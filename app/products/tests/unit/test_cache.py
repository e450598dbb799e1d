from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError

from products import cache as module
from products.cache import ENTRY_TTL_S, Cache, Place

PLACE = Place(key="item:1", tag="stock:1")


class FakeValkey:
    """As much of Valkey as the cache uses, with a switch; it counts what it is asked."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.asked = 0
        self.error: Exception | None = None
        self.hangs = False
        self.connection_pool = self

    async def disconnect(self, inuse_connections: bool) -> None: ...

    async def _answer(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.error is not None:
            raise self.error

    async def ping(self) -> bool:
        await self._answer()
        return True

    async def mget(self, *keys: str) -> list[bytes | None]:
        await self._answer()
        return [self.data.get(key) for key in keys]

    async def set(self, key: str, value: bytes, ex: int) -> None:
        await self._answer()
        self.data[key] = value

    def pipeline(self, transaction: bool) -> FakePipeline:
        return FakePipeline(self)


class FakePipeline:
    def __init__(self, valkey: FakeValkey) -> None:
        self._valkey = valkey
        self._sets: dict[str, bytes] = {}

    def set(self, key: str, value: str, ex: int) -> None:
        self._sets[key] = value.encode()

    async def execute(self) -> list[bool]:
        await self._valkey._answer()
        self._valkey.data.update(self._sets)
        return [True] * len(self._sets)


class Answers:
    """Makes another answer each time it is asked."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> bytes:
        self.made += 1
        return b"answer %d" % self.made


@pytest.fixture
def valkey() -> FakeValkey:
    return FakeValkey()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@asynccontextmanager
async def in_use(valkey: FakeValkey) -> AsyncIterator[Cache]:
    """Yield a cache whose background task has found Valkey."""
    cache = Cache(cast(Redis, valkey))
    task = asyncio.create_task(cache.run())
    await _until(lambda: cache.in_use)
    yield cache
    task.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_answer_is_made_once(valkey: FakeValkey, answers: Answers) -> None:
    async with in_use(valkey) as cache:
        for _ in range(3):
            assert await cache.through(PLACE, answers) == b"answer 1"
        other = Place(key="item:2", tag="stock:2")
        assert await cache.through(other, answers) == b"answer 2"


async def test_a_change_makes_the_answers_of_its_tags_void(
    valkey: FakeValkey, answers: Answers
) -> None:
    other = Place(key="item:2", tag="stock:2")
    async with in_use(valkey) as cache:
        await cache.through(PLACE, answers)
        await cache.through(other, answers)
        await cache.drop(["stock:1"])
        assert await cache.through(PLACE, answers) == b"answer 3"
        assert await cache.through(PLACE, answers) == b"answer 3"
        assert await cache.through(other, answers) == b"answer 2"


async def test_what_was_read_before_a_change_is_not_kept_after_it(
    valkey: FakeValkey, answers: Answers
) -> None:
    async with in_use(valkey) as cache:

        async def slow() -> bytes:
            before = await answers()
            await cache.drop(["stock:1"])
            return before

        assert await cache.through(PLACE, slow) == b"answer 1"
        assert await cache.through(PLACE, answers) == b"answer 2"


async def test_answers_that_share_a_key_are_told_apart(
    valkey: FakeValkey, answers: Answers
) -> None:
    one, two = Place("page:7", "stock", "one"), Place("page:7", "stock", "two")
    async with in_use(valkey) as cache:
        assert await cache.through(one, answers) == b"answer 1"
        assert await cache.through(two, answers) == b"answer 2"
        assert await cache.through(two, answers) == b"answer 2"
        assert await cache.through(one, answers) == b"answer 3"
    assert len(valkey.data) == 1


@pytest.mark.parametrize("fault", ["gone", "hanging"])
async def test_a_fault_is_met_once_and_costs_no_answer(
    valkey: FakeValkey, answers: Answers, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 3600)
    async with in_use(valkey) as cache:
        await cache.through(PLACE, answers)
        valkey.hangs = fault == "hanging"
        valkey.error = ValkeyConnectionError("gone")
        asked = valkey.asked
        for number in range(2, 10):
            assert await cache.through(PLACE, answers) == b"answer %d" % number
        assert valkey.asked == asked + 1


async def test_an_answer_that_came_while_the_process_was_held_up_counts(
    valkey: FakeValkey, answers: Answers
) -> None:
    loop = asyncio.get_running_loop()
    plain = valkey.mget

    async def held_up(*keys: str) -> list[bytes | None]:
        arrived = loop.create_future()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.add_reader(ours, lambda: arrived.done() or arrived.set_result(None))
            theirs.send(b"answer")
            time.sleep(2 * module.CALL_TIMEOUT_S)
            await arrived
            loop.remove_reader(ours)
        return await plain(*keys)

    valkey.mget = held_up  # type: ignore[method-assign]
    async with in_use(valkey) as cache:
        for _ in range(2):
            assert await cache.through(PLACE, answers) == b"answer 1"
        assert cache.in_use


async def test_it_is_used_again_when_it_is_back(
    valkey: FakeValkey, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.001)
    async with in_use(valkey) as cache:
        valkey.error = OSError("refused")
        await cache.through(PLACE, answers)
        asked = valkey.asked
        await _until(lambda: valkey.asked > asked + 2)
        valkey.error = None
        await _until(lambda: cache.in_use)
        assert await cache.through(PLACE, answers) == b"answer 2"
        assert await cache.through(PLACE, answers) == b"answer 2"


async def test_a_change_it_was_not_told_of_ends_all_trust_for_a_while(
    valkey: FakeValkey, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now_s)
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.001)
    async with in_use(valkey) as cache:
        await cache.through(PLACE, answers)
        valkey.error = ValkeyConnectionError("gone")
        await cache.drop(["stock:1"])
        valkey.error = None
        await _until(lambda: cache.in_use)
        now_s += ENTRY_TTL_S
        for number in (2, 3):
            assert await cache.through(PLACE, answers) == b"answer %d" % number
        now_s += ENTRY_TTL_S + 1
        valkey.data.clear()  # by then the entry has expired
        for _ in range(2):
            assert await cache.through(PLACE, answers) == b"answer 4"


async def test_more_callers_than_connections_wait_their_turn(valkey: FakeValkey) -> None:
    running = most = 0

    async def count(operation: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        result = await operation()
        running -= 1
        return result

    plain = valkey.mget
    valkey.mget = lambda *keys: count(lambda: plain(*keys))  # type: ignore[method-assign]
    async with in_use(valkey) as cache:
        await asyncio.gather(*(cache.through(PLACE, Answers()) for _ in range(200)))
    assert most == module._CONNECTIONS


async def test_without_valkey_every_answer_is_made(answers: Answers) -> None:
    cache = Cache(None)
    await cache.run()
    await cache.drop(["stock:1"])
    for number in (1, 2):
        assert await cache.through(PLACE, answers) == b"answer %d" % number
    await cache.close()
