"""Stops at the first business transaction: the same code for both sides, beside the command."""

from __future__ import annotations

import threading
import time

from probe.errors import ProbeError
from probe.poller import GatewayPoller
from probe.transaction import Shopper, TransactionFailed, unchecked_context

#: Between two attempts at a transaction that failed (seconds).
RETRY_S = 0.05


class NothingAnswered(ProbeError):
    """No transaction went through in time."""


class Stopwatch:
    """Polls a gateway from before the command starts and buys as soon as it is ready."""

    def __init__(self, gateway_url: str) -> None:
        self._url = gateway_url
        self._poller = GatewayPoller(f"{gateway_url}/health/ready")
        self._shopper = Shopper(gateway_url, unchecked_context())
        self._halt = threading.Event()
        self._bought_at: float | None = None
        self._problem = "the gateway was never ready"
        self._thread = threading.Thread(target=self._run, name="first-transaction", daemon=True)
        self._poller.start()
        self._thread.start()

    def _run(self) -> None:
        if not self._poller.wait(None):
            return
        while not self._halt.is_set():
            try:
                self._shopper.buy()
            except TransactionFailed as error:
                self._problem = str(error)
                self._halt.wait(RETRY_S)
                continue
            self._bought_at = time.monotonic()
            return

    def seconds_since(self, started_at: float, timeout_s: float) -> float:
        """Wait for the transaction; return when it was done, in seconds after ``started_at``."""
        self._thread.join(max(0.0, started_at + timeout_s - time.monotonic()))
        if self._bought_at is None:
            raise NothingAnswered(
                f"no transaction at {self._url} within {timeout_s:.0f} s: {self._problem}"
            )
        return self._bought_at - started_at

    def close(self) -> None:
        """Stop polling and buying."""
        self._halt.set()
        self._poller.stop()
        self._thread.join()
        self._shopper.close()
