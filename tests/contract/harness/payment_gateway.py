"""The payment gateway as the shop sees it in local runs: stripe-mock behind a switch.

stripe-mock answers whatever can be had from it. The switch adds what cannot be provoked there:
a gateway that is down, slow, failing, declining, or that loses an answer after it has charged.
It also keeps Stripe's promise on idempotency keys and counts, per key, what was really charged.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Address = tuple[str, int]
Answer = tuple[int, bytes]


class Mode(Enum):
    """How the gateway behaves."""

    WORKING = "working"
    DOWN = "down"
    SLOW = "slow"
    FAILING = "failing"
    DECLINING = "declining"
    LOSING_ANSWERS = "losing answers"


class PaymentGateway:
    """An HTTP server at `address` in front of the stripe-mock at `stripe_mock`."""

    def __init__(self, address: Address, stripe_mock: Address) -> None:
        self.stripe_mock = stripe_mock
        self.mode = Mode.WORKING
        self.slow_s = 6.0
        self.delay_s = 0.0
        self.charges: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.order_of_key: dict[str, str] = {}
        self.answers: dict[str, Answer] = {}
        self.lock = threading.Lock()
        gateway = self

        class Handler(_Handler):
            owner = gateway

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @contextmanager
    def taking(self, delay_s: float) -> Iterator[None]:
        """Take so long for every payment inside the block."""
        self.delay_s = delay_s
        try:
            yield
        finally:
            self.delay_s = 0.0

    @contextmanager
    def behaving(self, mode: Mode) -> Iterator[None]:
        """Behave so inside the block."""
        self.mode = mode
        try:
            yield
        finally:
            self.mode = Mode.WORKING

    def charged(self, order_id: str) -> int:
        """Return how often an order was charged, whatever the keys."""
        with self.lock:
            keys = [key for key, order in self.order_of_key.items() if order == order_id]
            return sum(self.charges[key] for key in keys)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: PaymentGateway
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        owner = self.owner
        key = self.headers.get("idempotency-key", "")
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        with owner.lock:
            owner.calls[key] += 1
            owner.order_of_key[key] = fields.get("metadata[order_id]", "")
        mode = owner.mode
        if mode is Mode.DOWN:
            self._hang_up()
            return
        if mode is Mode.SLOW:
            time.sleep(owner.slow_s)
            self._hang_up()
            return
        if mode is Mode.FAILING:
            self._answer(500, _error("api_error", "The gateway is out of order."))
            return
        if owner.delay_s:
            time.sleep(owner.delay_s)
        status, answer = self._once(key, body, mode)
        if mode is Mode.LOSING_ANSWERS:
            self._hang_up()
            return
        self._answer(status, answer)

    def _once(self, key: str, body: bytes, mode: Mode) -> Answer:
        """Charge unless the key was used; a used key gets its first answer again."""
        owner = self.owner
        with owner.lock:
            if key in owner.answers:
                return owner.answers[key]
        if mode is Mode.DECLINING:
            answer: Answer = (
                402,
                _error(
                    "card_error",
                    "Your card has insufficient funds.",
                    code="card_declined",
                    decline_code="insufficient_funds",
                ),
            )
        else:
            answer = self._stripe_mock(body)
        with owner.lock:
            if key in owner.answers:
                return owner.answers[key]
            if answer[0] == 200:
                owner.charges[key] += 1
            owner.answers[key] = answer
        return answer

    def _stripe_mock(self, body: bytes) -> Answer:
        connection = HTTPConnection(*self.owner.stripe_mock, timeout=10)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("authorization", "content-type", "stripe-version")
        }
        connection.request("POST", self.path, body, headers)
        response = connection.getresponse()
        answer = (response.status, response.read())
        connection.close()
        return answer

    def _answer(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _error(kind: str, message: str, **more: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": message, **more}}).encode()
