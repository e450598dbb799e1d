"""Carts in Valkey: a hash of product id to quantity, plus a version that every change renews.

Each change is one script, so it is atomic whatever else happens to the cart. The version is
random, not a counter: a cart that was emptied and filled again never repeats an old one.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from shopcore.valkey import valkey_faults

DEPENDENCY = "cart store"
MAX_LINES = 50
EMPTY_VERSION = "0"

_CHECK_VERSION = """
local current = redis.call('HGET', KEYS[1], 'version') or '0'
if ARGV[1] ~= '' and ARGV[1] ~= current then return 1 end
"""
_PUT = (
    _CHECK_VERSION
    + """
if redis.call('HEXISTS', KEYS[1], ARGV[4]) == 0
    and redis.call('HLEN', KEYS[1]) > tonumber(ARGV[6]) then return 2 end
redis.call('HSET', KEYS[1], ARGV[4], ARGV[5], 'version', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 0
"""
)
_REMOVE = (
    _CHECK_VERSION
    + """
if redis.call('HDEL', KEYS[1], ARGV[4]) == 0 then return 0 end
if redis.call('HLEN', KEYS[1]) <= 1 then redis.call('DEL', KEYS[1]) return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 0
"""
)
_CLEAR = _CHECK_VERSION + "redis.call('DEL', KEYS[1]) return 0"
_SUBTRACT = (
    _CHECK_VERSION
    + """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 4, #ARGV, 2 do
    local held = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
    local left = held - tonumber(ARGV[i + 1])
    if left > 0 then redis.call('HSET', KEYS[1], ARGV[i], left)
    else redis.call('HDEL', KEYS[1], ARGV[i]) end
end
if redis.call('HLEN', KEYS[1]) <= 1 then redis.call('DEL', KEYS[1]) return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 0
"""
)


class Change(IntEnum):
    """What became of a change."""

    DONE = 0
    VERSION_DIFFERS = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class StoredCart:
    """Quantities by product id, and the version they belong to."""

    quantities: dict[int, int]
    version: str


class CartStore:
    """Reads and changes carts. `expected` is the version a change insists on, if any."""

    def __init__(self, valkey: Redis, ttl_s: int) -> None:
        self._valkey = valkey
        self._ttl_s = ttl_s
        self._put = valkey.register_script(_PUT)
        self._remove = valkey.register_script(_REMOVE)
        self._clear = valkey.register_script(_CLEAR)
        self._subtract = valkey.register_script(_SUBTRACT)

    async def read(self, user_id: UUID) -> StoredCart:
        """Return the user's cart; an empty one if there is none."""
        with valkey_faults(DEPENDENCY):
            fields: dict[Any, Any] = await self._valkey.hgetall(_key(user_id))
        version = fields.pop("version", EMPTY_VERSION)
        return StoredCart({int(key): int(value) for key, value in fields.items()}, version)

    async def put(
        self, user_id: UUID, product_id: int, quantity: int, expected: str | None
    ) -> Change:
        """Set a product's quantity."""
        return await self._run(self._put, user_id, expected, product_id, quantity, MAX_LINES)

    async def remove(self, user_id: UUID, product_id: int, expected: str | None) -> Change:
        """Take a product out; one that is not there is no error."""
        return await self._run(self._remove, user_id, expected, product_id)

    async def clear(self, user_id: UUID, expected: str | None) -> Change:
        """Empty the cart."""
        return await self._run(self._clear, user_id, expected)

    async def subtract(self, user_id: UUID, quantities: Mapping[int, int]) -> None:
        """Take bought quantities out and leave what was added meanwhile."""
        flat = [value for line in quantities.items() for value in line]
        await self._run(self._subtract, user_id, None, *flat)

    async def _run(
        self, script: object, user_id: UUID, expected: str | None, *arguments: int
    ) -> Change:
        with valkey_faults(DEPENDENCY):
            result = await script(  # type: ignore[operator]
                keys=[_key(user_id)],
                args=[expected or "", secrets.token_hex(8), self._ttl_s, *arguments],
            )
        return Change(result)

    async def ping(self) -> None:
        """Ask the store for an answer; raises the 503 problem if there is none."""
        with valkey_faults(DEPENDENCY):
            await self._valkey.ping()


def _key(user_id: UUID) -> str:
    return f"cart:{user_id}"
