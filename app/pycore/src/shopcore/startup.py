"""Start-up: wait in the background for what the service needs, then be ready.

Polling is every 50 ms, so that readiness says when the dependencies came up, not when we looked.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from shopcore.problems import Problem

POLL_S = 0.05

log = logging.getLogger(__name__)


class StartupError(Exception):
    """Start-up cannot succeed; the message is one sentence for the operator."""


class Startup:
    """Runs the start-up in the background while the service already answers `live`."""

    def __init__(self, *, prepare: Callable[[], Awaitable[None]]) -> None:
        self._prepare = prepare
        self.done = False
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None

    def also(self, prepare: Callable[[], Awaitable[None]]) -> None:
        """Do this as well, after all else."""
        first = self._prepare

        async def both() -> None:
            await first()
            await prepare()

        self._prepare = both

    async def run(self) -> None:
        """Prepare, then be done; a failure is logged and reported to `on_failure`."""
        started = monotonic()
        try:
            await self._prepare()
        except StartupError as error:
            log.error("start-up failed: %s", error)
        except Exception:
            log.exception("start-up failed")
        else:
            self.done = True
            log.info("ready", extra={"startup_s": round(monotonic() - started, 3)})
            return
        self.failed = True
        self.on_failure()


async def wait_until_up(
    name: str, attempt: Callable[[], Awaitable[None]], *, timeout_s: float
) -> None:
    """Repeat `attempt` every POLL_S until it raises nothing; StartupError after `timeout_s`."""
    deadline = monotonic() + timeout_s
    waiting = False
    while True:
        try:
            await attempt()
        except Exception as error:
            why = reason(error)
            if monotonic() >= deadline:
                raise StartupError(f"{name} not up after {timeout_s:g} s: {why}") from error
            if not waiting:
                waiting = True
                log.info("waiting for %s", name, extra={"reason": why})
            await asyncio.sleep(POLL_S)
        else:
            if waiting:
                log.info("%s is up", name)
            return


def reason(error: BaseException) -> str:
    """Return the error in one line: of a problem, what it was raised from."""
    if isinstance(error, Problem) and error.__cause__ is not None:
        error = error.__cause__
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
