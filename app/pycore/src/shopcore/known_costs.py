"""Costs of a known size that a service is told to have: what measures it must find them.

Nothing is in here unless KNOWN_COSTS says so, such as `ready_delay_s=0.5 held_mib=200`.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shopcore.problems import Problem, ProblemType, problem_response

#: Probes and scrapes are no customers: they are neither failed nor counted.
_NOT_CUSTOMERS = ("/health/", "/metrics")
#: How much is hashed at a time: some milliseconds of a processor.
_ROUNDS = 10_000
#: So much of what it was kept from does the one that burns make up for (seconds).
_BEHIND_S = 0.1


class KnownCosts(BaseModel):
    """How much of each; the default is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: So much later ready than otherwise.
    ready_delay_s: float = Field(default=0, ge=0, le=60)
    #: So much more memory, each page of it touched.
    held_mib: int = Field(default=0, ge=0, le=1024)
    #: So many processors more, all the time.
    burned_cores: float = Field(default=0, ge=0, le=1)
    #: Of the customers' requests this share fails, evenly spread.
    failing_share: float = Field(default=0, ge=0, le=1)
    #: From the first customer's request on, all fail for so long.
    dead_s: float = Field(default=0, ge=0, le=60)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `name=value name=value`; raise ValueError for what is not of that form."""
        values: dict[str, str] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals:
                raise ValueError(f"{word} is not of the form name=value")
            values[name] = value
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            told = (f"{fault['loc'][0]}: {fault['msg']}" for fault in faults)
            raise ValueError("; ".join(told)) from None

    async def before_ready(self) -> None:
        """Take what start-up is to take, and begin with what goes on until the process ends."""
        if self.burned_cores:
            threading.Thread(
                target=burn, args=(self.burned_cores,), name="known-costs", daemon=True
            ).start()
        if self.held_mib:
            _held.append(b"\x01" * (self.held_mib * 2**20))
        await asyncio.sleep(self.ready_delay_s)


_held: list[bytes] = []


def burn(cores: float, ended: threading.Event | None = None) -> None:
    """Use so much of a processor until `ended`, without keeping others from the interpreter.

    What it is kept from for longer, such as by a busy start, is lost: it never uses more later on.
    """
    began = time.monotonic()
    while ended is None or not ended.is_set():
        hashlib.pbkdf2_hmac("sha256", b"known", b"costs", _ROUNDS)
        ahead_s = time.thread_time() / cores - (time.monotonic() - began)
        if ahead_s > 0:
            time.sleep(ahead_s)
        began += max(-ahead_s - _BEHIND_S, 0)


class CostlyRequests:
    """Fails the customers' requests that are to fail."""

    def __init__(
        self, app: ASGIApp, costs: KnownCosts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.app = app
        self._costs = costs
        self._clock = clock
        self._count = 0
        self._dead_until: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and not scope["path"].startswith(_NOT_CUSTOMERS):
            if self._dead_until is None:
                self._dead_until = self._clock() + self._costs.dead_s
            before = int(self._count * self._costs.failing_share)
            self._count += 1
            fails = int(self._count * self._costs.failing_share) > before
            if fails or self._clock() < self._dead_until:
                problem = Problem(ProblemType.INTERNAL, "The request is one that is to fail.")
                await problem_response(problem, Request(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)
