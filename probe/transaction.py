"""The business transaction at which every readiness clock stops.

Open the storefront and load its script, register (once per customer) and log in, list products,
look at one, put it in the cart, pay, and find the order among one's own: through the gateway, over
TLS, as a customer would. So every service has a part in it. Each step has to answer with its
contract's status, and the order has to be paid.
"""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

#: How long one step may take before the transaction counts as failed (seconds).
STEP_TIMEOUT_S: Final = 10.0
READY_TIMEOUT_S: Final = 5.0
READY_PERIOD_S: Final = 0.1
_PASSWORD: Final = "correct horse battery staple"


class TransactionFailed(Exception):
    """One step did not do what its contract says; the text names the step and the answer."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that went through, with what each step took."""

    seconds: float
    steps_s: dict[str, float] = field(default_factory=dict)
    certificate: bytes = b""


class _Scripts(HTMLParser):
    """Collects the addresses of a page's scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src")
        if tag == "script" and source:
            self.sources.append(source)


def scripts_of(page: str) -> list[str]:
    """Return the addresses of the scripts that a page loads, as they stand in it."""
    parser = _Scripts()
    parser.feed(page)
    return parser.sources


def unchecked_context() -> ssl.SSLContext:
    """Return a TLS context that checks nothing: for the time before the authority is known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def checked_context(ca_certificate: str) -> ssl.SSLContext:
    """Return a TLS context that trusts this authority and no other."""
    return ssl.create_default_context(cadata=ca_certificate)


def await_ready(
    ready_url: str,
    ca_certificate: str,
    limit_s: float,
    *,
    streak: int = 1,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Wait until a ready endpoint answers well so many times in a row.

    Return an empty text, or what it said instead when it never did. Over plain HTTP there is no
    authority: an empty text will do.
    """
    end, last, good = clock() + limit_s, "no answer", 0
    authority = checked_context(ca_certificate)
    with httpx.Client(verify=authority, trust_env=False, timeout=READY_TIMEOUT_S) as client:
        while clock() < end:
            try:
                status = client.get(ready_url).status_code
                good = good + 1 if status == httpx.codes.OK else 0
                if good >= streak:
                    return ""
                last = f"status {status}"
            except httpx.HTTPError as error:
                good, last = 0, str(error) or type(error).__name__
            sleep(READY_PERIOD_S)
    return last


class Shopper:
    """A customer: registers at the first attempt, then logs in and buys at each."""

    def __init__(
        self,
        gateway_url: str,
        context: ssl.SSLContext,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = STEP_TIMEOUT_S,
    ) -> None:
        self._clock = clock
        self._client = httpx.Client(
            base_url=gateway_url,
            verify=context,
            timeout=timeout_s,
            trust_env=False,  # a proxy from the environment would stand between probe and gateway
            transport=transport,
        )
        self._email = f"probe-{uuid.uuid4().hex[:12]}@example.org"
        self._registered = False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def buy(self) -> Transaction:
        """Do one transaction; raise TransactionFailed with the step that did not work."""
        steps: dict[str, float] = {}
        certificate = b""
        began = self._clock()

        def ask(name: str, status: int, method: str, path: str, **kwargs: Any) -> httpx.Response:
            nonlocal certificate
            since = self._clock()
            try:
                answer = self._client.request(method, path, **kwargs)
            except httpx.HTTPError as error:
                raise TransactionFailed(
                    f"{name}: {type(error).__name__} {error}".strip()
                ) from error
            steps[name] = self._clock() - since
            if not certificate:
                certificate = _certificate(answer)
            if answer.status_code != status:
                raise TransactionFailed(f"{name}: status {answer.status_code}, expected {status}")
            return answer

        def step(name: str, status: int, method: str, path: str, **kwargs: Any) -> Any:
            answer = ask(name, status, method, path, **kwargs)
            try:
                return answer.json() if answer.content else None
            except ValueError:
                raise TransactionFailed(f"{name}: the answer is not JSON") from None

        try:
            page = ask("page", 200, "GET", "/")
            scripts = scripts_of(page.text)
            if not scripts:
                raise TransactionFailed("page: no script in it, so not the storefront")
            script = ask("script", 200, "GET", urljoin(str(page.url), scripts[0]))
            if "javascript" not in script.headers.get("content-type", ""):
                raise TransactionFailed(
                    f"script: the answer is {script.headers.get('content-type', 'of no type')}"
                )
            if not self._registered:
                account = {"email": self._email, "password": _PASSWORD, "name": "Probe"}
                step("register", 201, "POST", "/api/v1/auth/register", json=account)
                self._registered = True
            token = step(
                "login",
                200,
                "POST",
                "/api/v1/auth/login",
                json={"email": self._email, "password": _PASSWORD},
            )["access_token"]
            who = {"Authorization": f"Bearer {token}"}
            products = step(
                "list", 200, "GET", "/api/v1/products", params={"page_size": 20}, headers=who
            )["items"]
            product = next(p for p in products if p["stock"] > 0)["id"]
            detail = step("product", 200, "GET", f"/api/v1/products/{product}", headers=who)
            if detail["id"] != product:
                raise TransactionFailed(f"product: asked for {product}, got {detail['id']}")
            # The contract lets adding to a cart answer 200 with the cart.
            step(
                "cart",
                200,
                "PUT",
                f"/api/v1/cart/items/{product}",
                json={"quantity": 1},
                headers=who,
            )
            order = step(
                "checkout",
                201,
                "POST",
                "/api/v1/checkout",
                json={"payment_method": "pm_card_visa"},
                headers={**who, "Idempotency-Key": str(uuid.uuid4())},
            )
            if order["status"] != "paid":
                raise TransactionFailed(f"checkout: the order is {order['status']!r}, not paid")
            orders = step("history", 200, "GET", "/api/v1/orders", headers=who)["items"]
            if order["id"] not in {o["id"] for o in orders}:
                raise TransactionFailed("history: the order that was paid is not in it")
        except (KeyError, StopIteration, TypeError, AttributeError) as error:
            raise TransactionFailed(f"an answer lacks {error}") from None
        return Transaction(self._clock() - began, steps, certificate)


class Customers:
    """Makes customers, each with an access token."""

    def __init__(self, gateway_url: str, context: ssl.SSLContext) -> None:
        self._client = httpx.Client(
            base_url=gateway_url, verify=context, timeout=STEP_TIMEOUT_S, trust_env=False
        )

    def enroll(self) -> str:
        """Register and log in; return the token. Raise httpx.HTTPError for any other answer."""
        email = f"probe-{uuid.uuid4().hex[:12]}@example.org"
        account = {"email": email, "password": _PASSWORD, "name": "Probe"}
        self._client.post("/api/v1/auth/register", json=account).raise_for_status()
        answer = self._client.post(
            "/api/v1/auth/login", json={"email": email, "password": _PASSWORD}
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def order(self, token: str, product: int) -> str:
        """Put a product in the cart and pay; return the order's id once it is acknowledged."""
        who = {"Authorization": f"Bearer {token}"}
        self.fill(token, product)
        answer = self._client.post(
            "/api/v1/checkout",
            json={"payment_method": "pm_card_visa"},
            headers={**who, "Idempotency-Key": str(uuid.uuid4())},
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def fill(self, token: str, product: int) -> None:
        """Put a product in the cart."""
        who = {"Authorization": f"Bearer {token}"}
        path = f"/api/v1/cart/items/{product}"
        self._client.put(path, json={"quantity": 1}, headers=who).raise_for_status()

    def orders(self, token: str) -> set[str]:
        """Return the ids of the orders that the shop knows of."""
        return {str(order["id"]) for order in self._items(token, "/api/v1/orders")}

    def cart(self, token: str) -> int:
        """Return how many products are in the cart."""
        return len(self._items(token, "/api/v1/cart"))

    def _items(self, token: str, path: str) -> list[dict[str, Any]]:
        answer = self._client.get(path, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return list(answer.json()["items"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _certificate(answer: httpx.Response) -> bytes:
    stream = answer.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    if tls is None:
        return b""
    return tls.getpeercert(True) or b""


def verify_identity(gateway_url: str, ca_certificate: str, seen: Sequence[bytes]) -> str:
    """Return why the gateway that was timed is not the stack's own, or an empty text if it is.

    ``seen`` are the certificates that poller and timed transaction met. A further, checked
    connection has to be accepted under the stack's authority and to show the same certificate.
    """
    parts = urlsplit(gateway_url)
    try:
        with httpx.Client(
            verify=checked_context(ca_certificate), trust_env=False, timeout=5.0
        ) as client:
            answer = client.get(f"{gateway_url}/health/live")
            certificate = _certificate(answer)
    except (httpx.HTTPError, ssl.SSLError) as error:
        return (
            f"the gateway at {parts.netloc} fails the check against the stack's authority: {error}"
        )
    if any(other and other != certificate for other in seen):
        return f"the gateway at {parts.netloc} showed another certificate while it was timed"
    return ""
