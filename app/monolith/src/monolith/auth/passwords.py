"""Password hashing with argon2id, off the event loop.

Parameters are OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; about 20 ms on a server
core. Two threads at most, so that a burst of log-ins takes at most 38 MiB and leaves the event
loop its core; argon2 releases the interpreter's lock while it works.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
THREADS = 2


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the encoded hash."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._hasher.hash, password
        )

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Check a password; without a hash, take as long and say no.

        So the time of an answer does not tell whether an address is registered.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._matches, password_hash, password
        )

    def _matches(self, password_hash: str | None, password: str) -> bool:
        if password_hash is None:
            if self._decoy is None:
                self._decoy = self._hasher.hash("no account has this password")
            self._verify(self._decoy, password)
            return False
        return self._verify(password_hash, password)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """Let running hashes end and start no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
