"""Answers kept in Valkey for seconds, and void as soon as they are out of date.

An entry belongs to a tag, and carries the stamp that the tag had before the answer was made. A
change gives the tag another stamp after its commit, so entries from before it, and those that a
slow reader stores after it, are no longer good. Entry and stamp are read in one round trip.

Valkey may be away: then there is no cache, and nothing else changes. The first call that fails,
within CALL_TIMEOUT_S, ends its use; from then on only a task in the background asks for it. A
change whose stamp could not be written ends it for as long as any entry from before may live.
Where a stamp gets lost otherwise (a crash of Valkey, or of the process between commit and stamp)
ENTRY_TTL_S bounds how old an answer can be.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

ENTRY_TTL_S = 5
#: Stamps outlive every entry that a reader of before may still store.
STAMP_TTL_S = 60
CALL_TIMEOUT_S = 0.1
RETRY_INTERVAL_S = 1.0
_PING_TIMEOUT_S = 1.0
_CONNECTIONS = 32

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is kept: its key, its tag, and the `name` that tells apart what shares a key.

    Many answers may share one key, which bounds what they take: the last one stored is there.
    """

    key: str
    tag: str
    name: str = ""


def connect(url: str) -> Redis:
    """Return a client for the cache; it connects when it is first used."""
    # No retries: what fails here is made anew from the database.
    return Redis.from_url(url, socket_connect_timeout=_PING_TIMEOUT_S, retry=Retry(NoBackoff(), 0))


class Cache:
    """A cache in Valkey; without a client it keeps nothing."""

    def __init__(self, valkey: Redis | None) -> None:
        self._valkey = valkey
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        #: Whether Valkey answers, as far as is known.
        self.in_use = False
        self._lost = asyncio.Event()
        self._mistrusted_until_s = 0.0

    async def through(self, place: Place, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the answer that is kept at `place`, else make it and keep it."""
        found: list[Any] | None = await self._call(lambda valkey: valkey.mget(place.tag, place.key))
        if found is None:
            return await make()
        stamp, entry = found
        head = b"".join((stamp or b"", b" ", place.name.encode(), b"\n"))
        if entry is not None and entry.startswith(head):
            kept: bytes = entry[len(head) :]
            return kept
        answer = await make()
        await self._call(lambda valkey: valkey.set(place.key, head + answer, ex=ENTRY_TTL_S))
        return answer

    async def drop(self, tags: Iterable[str]) -> None:
        """Make every entry of the tags void. To be called after the commit of the change."""
        stamp = secrets.token_hex(8)

        async def restamp(valkey: Redis) -> list[Any]:
            pipeline = valkey.pipeline(transaction=False)
            for tag in tags:
                pipeline.set(tag, stamp, ex=STAMP_TTL_S)
            return await pipeline.execute()

        if await self._call(restamp, trusted=False) is None:
            self._mistrusted_until_s = monotonic() + 2 * ENTRY_TTL_S

    async def _call(
        self, operation: Callable[[Redis], Awaitable[T]], *, trusted: bool = True
    ) -> T | None:
        """Return the operation's result; None if Valkey is not in use, from now on or already."""
        if self._valkey is None or not self.in_use:
            return None
        if trusted and self._mistrusted_until_s > monotonic():
            return None
        async with self._connections:
            if not self.in_use:
                return None
            try:
                return await _within(CALL_TIMEOUT_S, operation(self._valkey))
            except (RedisError, OSError) as error:  # TimeoutError is an OSError
                self._lose(error)
                return None

    def _lose(self, error: Exception) -> None:
        if self.in_use:
            self.in_use = False
            self._lost.set()
            log.warning("cache lost", extra={"reason": str(error) or type(error).__name__})

    async def run(self) -> None:
        """Take Valkey into use whenever it answers, for ever; asks only while it is not in use."""
        while self._valkey is not None:
            try:
                # What was connected to the one that is gone would fail once more, each.
                await self._valkey.connection_pool.disconnect(inuse_connections=False)
                async with asyncio.timeout(_PING_TIMEOUT_S):
                    await self._valkey.ping()
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_INTERVAL_S)
                continue
            log.info("cache in use")
            self._lost.clear()
            self.in_use = True
            await self._lost.wait()
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def close(self) -> None:
        """Close every connection."""
        if self._valkey is not None:
            await self._valkey.aclose()


async def _within(timeout_s: float, operation: Awaitable[T]) -> T:
    """Return the operation's result; TimeoutError if there is none in time.

    If the process itself was held up, as one that has used up its share of the CPU is, the time is
    over when it goes on, though the answer may have been there long since, unread. So the end comes
    in two steps, with a look at what has arrived in between.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as end:
        first = loop.call_later(
            timeout_s * 0.8, lambda: end.reschedule(loop.time() + timeout_s * 0.2)
        )
        try:
            return await operation
        finally:
            first.cancel()
