"""Asks a gateway every few milliseconds whether it is ready, as cheaply as that can be done.

One thread, plain non-blocking sockets. While nothing listens, each tick makes a connection
attempt (refused at once, tens of microseconds). Attempts that hang, as those to a machine that is
not there yet do, stay pending while further ones begin, so a lost SYN costs no resolution.

Asking weighs on the one that is asked, and on an emulated machine heavily: a hundred handshakes a
second would keep it from ever becoming ready. So from the first connection that stands there is one
handshake and one request at a time, on the same connection; a further connection begins only when
no answer has come for a second. And the next request waits until ``REST`` times as long as the last
answer took have passed (at most ``LONGEST_REST_S``): a gateway spends about a fifth of its time on
the poller. How far apart the looks really were is part of the result.

The certificate is not checked here, as the stack's authority is known only after it was deployed;
the probe checks it afterwards (``transaction.verify_identity``).
"""

from __future__ import annotations

import contextlib
import errno
import math
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

#: How often to ask: a little under the 10 ms that are promised, as no timer is exact (seconds).
PERIOD_S: Final = 0.009
#: Connection attempts that may be pending at once, while no connection stands.
PENDING: Final = 16
#: A connection attempt older than this is given up (seconds).
STALE_CONNECT_S: Final = 1.0
#: Connections that may stand at once, and after which silence the next one begins (seconds).
STANDING: Final = 3
SILENCE_S: Final = 1.0
#: An answer that has not come by then is given up (seconds).
STALE_ANSWER_S: Final = 10.0
#: Requests begin at least this many times the last answer's time apart.
REST: Final = 5
#: But never further than this (seconds).
LONGEST_REST_S: Final = 0.5
#: Answers of a gateway whose service is not there yet; after any other the connection is given up,
#: as it may lead to something that is not the gateway at all.
_NOT_YET: Final = ("200", "502", "503", "504")


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a poller saw, on the host's monotonic clock.

    ``last_bad_at`` is when the last attempt before the first good answer began: readiness lies
    between the two. ``gaps_s`` are the distances between looks, the resolution that was really
    reached: a look is an attempt that begins, or one whose answer is waited for.
    """

    started_at: float
    ready_at: float | None
    last_bad_at: float | None
    attempts: int
    gaps_s: tuple[float, ...]
    thread_cpu_s: float
    wall_s: float
    seen: dict[str, int] = field(default_factory=dict)
    certificate: bytes = b""

    @property
    def cpu_share(self) -> float:
        """Return the share of one core that polling took."""
        return self.thread_cpu_s / self.wall_s if self.wall_s > 0 else 0.0

    def gap(self, quantile: float) -> float | None:
        """Return a quantile (0 to 1) of the distances between attempts in seconds."""
        if not self.gaps_s:
            return None
        ordered = sorted(self.gaps_s)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


class _Attempt:
    """One connection on its way: connecting, shaking hands, idle, or waiting for an answer."""

    __slots__ = ("answer", "asked", "since", "sock", "state", "tls")

    def __init__(self, sock: socket.socket, since: float) -> None:
        self.sock = sock
        self.tls: ssl.SSLSocket | None = None
        self.state = "connect"
        self.since = since
        self.asked = 0.0
        self.answer = b""


class GatewayPoller:
    """Polls one URL until it answers 200 or is stopped. ``start``, then ``wait`` or ``stop``."""

    def __init__(
        self,
        url: str,
        *,
        period_s: float = PERIOD_S,
        direct: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) address: {url}")
        self.url = url
        self.period_s = period_s
        # Never by way of a router: before a machine's network is there, the route to its address
        # leads out of the house, and whatever answers there is not the gateway.
        self._direct = direct
        self._spare: socket.socket | None = None
        self._rest_until = 0.0
        self._clock = clock
        self._sleep = sleep
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._address = (parts.hostname, parts.port or (443 if self._tls else 80))
        path = parts.path or "/"
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "User-Agent: triptych-probe\r\nAccept: application/json\r\n\r\n"
        ).encode()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._stop = threading.Event()
        self._done = threading.Event()
        self._result: PollResult | None = None
        self._thread = threading.Thread(target=self._run, name="gateway-poller", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the gateway was ready, polling was stopped or time is over; tell if ready."""
        return self._done.wait(timeout_s) and self.result().ready_at is not None

    def stop(self) -> PollResult:
        """Stop polling and return what was seen."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self.result()

    def result(self) -> PollResult:
        """Return what was seen; empty before the end."""
        if self._result is None:
            now = self._clock()
            return PollResult(now, None, None, 0, (), 0.0, 0.0)
        return self._result

    def _run(self) -> None:
        cpu_before = time.thread_time()
        started = self._clock()
        selector = selectors.EpollSelector()
        attempts: set[_Attempt] = set()
        gaps: list[float] = []
        seen: dict[str, int] = {}
        count = 0
        previous: float | None = None
        answered_began: float | None = None
        last_bad: float | None = None
        ready_at: float | None = None
        certificate = b""
        due = started
        try:
            while not self._stop.is_set() and ready_at is None:
                now = self._clock()
                if now >= due:
                    looked = self._tick(selector, attempts, now, seen)
                    if looked != "rest":
                        if previous is not None:
                            gaps.append(now - previous)
                        previous = now
                        count += looked != "wait"
                    if looked == "bad":
                        last_bad = now
                    # A late tick is not made up for by several at once.
                    due = max(due + self.period_s, now)
                for attempt, outcome in self._collect(selector, attempts, due):
                    if outcome == "200":
                        ready_at = self._clock()
                        if attempt.tls is not None:
                            certificate = attempt.tls.getpeercert(binary_form=True) or b""
                        answered_began = attempt.since
                        seen["200"] = seen.get("200", 0) + 1
                        break
                    seen[outcome] = seen.get(outcome, 0) + 1
                    if attempt.asked:
                        took = min(self._clock() - attempt.asked, LONGEST_REST_S / REST)
                        self._rest_until = attempt.asked + REST * took
                    last_bad = max(last_bad or attempt.since, attempt.since)
        finally:
            for attempt in attempts:
                _close(selector, attempt)
            selector.close()
            if self._spare is not None:
                self._spare.close()
            if answered_began is not None and last_bad is not None:
                last_bad = min(last_bad, answered_began)
            self._result = PollResult(
                started_at=started,
                ready_at=ready_at,
                last_bad_at=last_bad,
                attempts=count,
                gaps_s=tuple(gaps),
                thread_cpu_s=time.thread_time() - cpu_before,
                wall_s=self._clock() - started,
                seen=seen,
                certificate=certificate,
            )
            self._done.set()

    def _tick(
        self,
        selector: selectors.EpollSelector,
        attempts: set[_Attempt],
        now: float,
        seen: dict[str, int],
    ) -> str:
        """Do what is due; return bad (failed already), begun, wait (for an answer) or rest."""
        newest = 0.0
        idle: _Attempt | None = None
        connecting = standing = 0
        for attempt in list(attempts):
            if attempt.state == "idle":
                idle = attempt
                continue
            limit = STALE_CONNECT_S if attempt.state == "connect" else STALE_ANSWER_S
            if now - attempt.since > limit:
                seen["timeout"] = seen.get("timeout", 0) + 1
                attempts.discard(attempt)
                _close(selector, attempt)
                continue
            newest = max(newest, attempt.since)
            if attempt.state == "connect":
                connecting += 1
            else:
                standing += 1
        if standing and (standing >= STANDING or now - newest < SILENCE_S):
            return "wait"
        if (
            not standing
            and connecting
            and (connecting >= PENDING or now - newest < STALE_CONNECT_S / PENDING)
        ):
            return "wait"
        if not connecting and now < self._rest_until:
            return "rest"
        if idle is not None:
            idle.since = now
            try:
                self._ask(idle)
            except OSError as error:
                name = _name(error)
                seen[name] = seen.get(name, 0) + 1
                attempts.discard(idle)
                _close(selector, idle)
                return "bad"
            return "begun"
        # A refused socket can try again: making a new one each time would double the cost.
        sock = self._spare or self._new_socket()
        self._spare = None
        code = sock.connect_ex(self._address)
        if code == errno.EINPROGRESS:
            # On the loopback the answer is there already. Asking by a second connect, and not for
            # the socket's error, makes a refused socket usable again.
            code = sock.connect_ex(self._address)
        if code in (0, errno.EISCONN, errno.EALREADY):
            attempt = _Attempt(sock, now)
            attempts.add(attempt)
            selector.register(sock, selectors.EVENT_WRITE, attempt)
            return "begun"
        if code == errno.ECONNREFUSED:
            self._spare = sock
        else:
            sock.close()
        name = errno.errorcode.get(code, str(code))
        seen[name] = seen.get(name, 0) + 1
        return "bad"

    def _new_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self._direct:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        return sock

    def _collect(
        self, selector: selectors.EpollSelector, attempts: set[_Attempt], due: float
    ) -> list[tuple[_Attempt, str]]:
        """Wait for news until the next tick is due; return the attempts that have an outcome."""
        wait = due - self._clock()
        if not attempts:
            if wait > 0:
                self._sleep(wait)
            return []
        outcomes: list[tuple[_Attempt, str]] = []
        # epoll counts whole milliseconds and rounds up: the last fraction is slept instead.
        whole = math.floor(max(wait, 0) * 1000) / 1000
        if not whole and wait > 0:
            self._sleep(wait)
        for key, _ in selector.select(whole):
            attempt: _Attempt = key.data
            if attempt not in attempts:
                continue  # another one's success has just closed it
            was_connecting = attempt.state == "connect"
            try:
                status = self._advance(selector, attempt)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                status = None
            except (OSError, ValueError) as error:
                attempts.discard(attempt)
                _close(selector, attempt)
                outcomes.append((attempt, _name(error)))
                continue
            if was_connecting:
                # It stands: the others that are pending are too many.
                for other in [a for a in attempts if a.state == "connect"]:
                    attempts.discard(other)
                    _close(selector, other)
            if status is not None:
                outcomes.append((attempt, status))
        return outcomes

    def _advance(self, selector: selectors.EpollSelector, attempt: _Attempt) -> str | None:
        if attempt.state == "connect":
            code = attempt.sock.connect_ex(self._address)
            if code not in (0, errno.EISCONN):
                raise OSError(code, errno.errorcode.get(code, str(code)))
            attempt.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.unregister(attempt.sock)
            attempt.state = "handshake"
            if self._tls:
                attempt.tls = self._context.wrap_socket(
                    attempt.sock, server_hostname=self._host, do_handshake_on_connect=False
                )
                attempt.sock = attempt.tls
            selector.register(attempt.sock, selectors.EVENT_READ, attempt)
        if attempt.state == "handshake":
            if attempt.tls is not None:
                attempt.tls.do_handshake()
            self._ask(attempt)
            return None
        data = attempt.sock.recv(16384)
        if not data:
            raise ConnectionResetError("closed")
        attempt.answer += data
        return self._status(attempt)

    def _ask(self, attempt: _Attempt) -> None:
        attempt.state = "ask"
        attempt.answer = b""
        attempt.asked = self._clock()
        attempt.sock.send(self._request)

    def _status(self, attempt: _Attempt) -> str | None:
        """Return the status once the whole answer is there, and free the connection."""
        head, end, body = attempt.answer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = 0
        closing = False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            match name.strip().lower():
                case b"content-length":
                    length = int(value)
                case b"connection":
                    closing = value.strip().lower() == b"close"
                case b"transfer-encoding":
                    length = -1
        whole = body.endswith(b"0\r\n\r\n") if length < 0 else len(body) >= length
        if not whole:
            return None
        status = head.split(b" ", 2)[1].decode()
        if status not in _NOT_YET or (closing and status != "200"):
            raise ConnectionResetError(status)
        attempt.state = "idle"
        return status


def _name(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return str(error) or type(error).__name__


def _close(selector: selectors.EpollSelector, attempt: _Attempt) -> None:
    with contextlib.suppress(KeyError, ValueError):
        selector.unregister(attempt.sock)
    attempt.sock.close()
