"""ASGI middleware: request id, access log, metrics, body limit, and the last line of defence."""

import logging
from http import HTTPMethod
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shopcore.context import (
    INSTANCE_ID_HEADER,
    REQUEST_ID_HEADER,
    accept_request_id,
    instance_id,
    request_id,
)
from shopcore.metrics import count_request
from shopcore.problems import Problem, ProblemType, problem_response

MAX_BODY_BYTES = 64 * 1024
_METHODS = frozenset(HTTPMethod)
_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})


def _header(scope: Scope, name: bytes) -> str | None:
    # Starlette's Headers would decode all of them, for each request.
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


class ObservedRequests:
    """Outermost layer: names, times and logs each request; no exception gets past it."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self._access_log = logging.getLogger(f"{service}.access")
        self._log = logging.getLogger(f"{service}.errors")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        identifier = accept_request_id(_header(scope, REQUEST_ID_HEADER))
        token = request_id.set(identifier)
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (REQUEST_ID_HEADER, identifier.encode()),
                    (INSTANCE_ID_HEADER, instance_id.encode()),
                ]
            await send(message)

        try:
            try:
                await self.app(scope, receive, observed_send)
            except Exception:
                self._log.exception("unhandled exception")
                if status:
                    raise  # too late for another answer: the server closes the connection
                problem = Problem(ProblemType.INTERNAL, "The request could not be completed.")
                await problem_response(problem, Request(scope))(scope, receive, observed_send)
        finally:
            elapsed_s = perf_counter() - started
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            count_request(method, route, status, elapsed_s)
            level = logging.DEBUG if route in _QUIET_ROUTES and status < 500 else logging.INFO
            if self._access_log.isEnabledFor(level):
                self._access_log.log(
                    level,
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "route": route,
                        "status": status,
                        "duration_ms": round(elapsed_s * 1000, 2),
                    },
                )
            request_id.reset(token)


class BodyTooLarge(HTTPException):
    """Raised while a body of undeclared length is read; FastAPI lets HTTPException through."""

    def __init__(self) -> None:
        super().__init__(413)


class LimitedBody:
    """Refuses bodies over MAX_BODY_BYTES: by the declared length, else by counting bytes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared is not None and declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
            await problem_response(body_too_large(), Request(scope))(scope, receive, send)
            return
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > MAX_BODY_BYTES:
                    raise BodyTooLarge
            return message

        await self.app(scope, counted_receive, send)


def body_too_large() -> Problem:
    """Return the 413 problem."""
    return Problem(
        ProblemType.BODY_TOO_LARGE, f"A body has to be at most {MAX_BODY_BYTES} bytes long."
    )
