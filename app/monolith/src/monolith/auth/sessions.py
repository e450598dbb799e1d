"""Sessions (refresh tokens) and the brake on guessing passwords, both in Valkey."""

import hashlib
import secrets
from uuid import UUID

from redis.asyncio import Redis

from shopcore.problems import Problem, ProblemType
from shopcore.valkey import valkey_faults

DEPENDENCY = "session store"
MAX_FAILED_LOGINS = 10
FAILED_LOGIN_WINDOW_S = 60


class Sessions:
    """Refresh tokens: random, stored as a digest, each good for one use."""

    def __init__(self, valkey: Redis, ttl_s: int) -> None:
        self._valkey = valkey
        self.ttl_s = ttl_s

    async def open(self, user_id: UUID) -> str:
        """Start a session and return its refresh token."""
        token = secrets.token_urlsafe(32)
        with valkey_faults(DEPENDENCY):
            await self._valkey.set(_session_key(token), str(user_id), ex=self.ttl_s)
        return token

    async def redeem(self, token: str) -> UUID | None:
        """Use a token up and return its user; None if it is unknown, used or expired."""
        with valkey_faults(DEPENDENCY):
            user_id = await self._valkey.getdel(_session_key(token))
        return UUID(str(user_id)) if user_id else None

    async def close(self, token: str) -> None:
        """End a session; a token that is not there is no error."""
        with valkey_faults(DEPENDENCY):
            await self._valkey.delete(_session_key(token))


class LoginBrake:
    """At most MAX_FAILED_LOGINS per address and window; good log-ins are never counted."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey

    async def check(self, email: str) -> None:
        """Raise the 429 problem while the address is blocked."""
        key = _failures_key(email)
        with valkey_faults(DEPENDENCY):
            failures = int(await self._valkey.get(key) or 0)
            if failures < MAX_FAILED_LOGINS:
                return
            wait_s = max(1, await self._valkey.ttl(key))
        raise Problem(
            ProblemType.TOO_MANY_ATTEMPTS,
            "Too many failed log-ins for this address; try again later.",
            headers={"Retry-After": str(wait_s)},
        )

    async def count_failure(self, email: str) -> None:
        """Count one failed log-in; the window starts with the first."""
        key = _failures_key(email)
        with valkey_faults(DEPENDENCY):
            async with self._valkey.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, FAILED_LOGIN_WINDOW_S, nx=True)
                await pipeline.execute()


def _session_key(token: str) -> str:
    return "session:" + hashlib.sha256(token.encode()).hexdigest()


def _failures_key(email: str) -> str:
    return "login-failures:" + hashlib.sha256(email.encode()).hexdigest()
