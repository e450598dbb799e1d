"""A customer of the shop whose every answer is checked against the contract."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from .contract import Contract, load_contract

CARD = "pm_card_visa"
PASSWORD = "correct horse battery"
#: Something that the shop needs does not answer, or not in time.
TRY_AGAIN = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the shop is: base URL and, for a private CA, the file that holds it.

    For `patience_s` an answer that nothing is to be had just now, and when to try again, is taken
    at its word: that is what the contract has a client do.
    """

    base_url: str
    ca_file: Path | None = None
    patience_s: float = 0

    def open(self, **options: Any) -> httpx.Client:
        """Return a plain client for the target."""
        verify: ssl.SSLContext | bool = True
        if self.ca_file is not None:
            verify = ssl.create_default_context(cafile=str(self.ca_file))
        options.setdefault("timeout", 30.0)
        return httpx.Client(base_url=self.base_url, verify=verify, **options)


class Customer:
    """Sends requests, with the customer's token once logged in, and checks each answer."""

    def __init__(self, target: Target, contract: Contract | None = None) -> None:
        self.target = target
        self._contract = contract or load_contract()
        self._http = target.open()
        self.email = f"customer-{uuid4().hex[:12]}@example.test"
        self.tokens: dict[str, Any] = {}
        #: Whether the last answer was preceded by some that asked for patience: what was given up
        #: then may have been done all the same.
        self.was_late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; `headers` add to, or with None take away from, the usual ones."""
        headers: dict[str, str | None] = {}
        if self.tokens:
            headers["authorization"] = f"Bearer {self.tokens['access_token']}"
        headers.update({key.lower(): value for key, value in options.pop("headers", {}).items()})
        sent = {key: value for key, value in headers.items() if value is not None}
        deadline_s = time.monotonic() + self.target.patience_s
        self.was_late = False
        while True:
            response = self._http.request(method, path, headers=sent, **options)
            self._contract.check(response)
            # What was given up by its caller may still be going on.
            self.was_late = self.was_late or response.status_code in TRY_AGAIN
            again = response.status_code in TRY_AGAIN or (
                self.was_late and response.status_code == 409
            )
            if not again or "retry-after" not in response.headers:
                return response
            pause_s = float(response.headers["retry-after"])
            if time.monotonic() + pause_s > deadline_s:
                return response
            time.sleep(pause_s)

    def page(self, path: str, **options: Any) -> httpx.Response:
        """GET a part of the storefront, which is not in the contract; errors are."""
        response = self._http.get(path, **options)
        if response.status_code >= 400:
            self._contract.check_problem(response)
        return response

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.send("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        """PUT."""
        return self.send("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return self.send("DELETE", path, **options)

    def register(self) -> httpx.Response:
        """Register with this customer's address."""
        return self.post(
            "/api/v1/auth/register",
            json={"email": self.email, "password": PASSWORD, "name": "Ada Lovelace"},
        )

    def log_in(self, password: str = PASSWORD) -> httpx.Response:
        """Log in and, if that succeeds, keep the tokens."""
        response = self.post("/api/v1/auth/login", json={"email": self.email, "password": password})
        if response.status_code == 200:
            self.tokens = response.json()
        return response

    def enroll(self) -> Self:
        """Register and log in, both with success."""
        status = self.register().status_code
        # Nobody else has this address.
        assert status == 201 or (self.was_late and status == 409)
        assert self.log_in().status_code == 200
        return self

    def fill_cart(self, lines: dict[int, int]) -> None:
        """Put quantities by product id into the cart."""
        for product_id, quantity in lines.items():
            response = self.put(f"/api/v1/cart/items/{product_id}", json={"quantity": quantity})
            assert response.status_code == 200, response.text

    def check_out(self, key: str | None = None, card: str = CARD) -> httpx.Response:
        """Check out; a fresh key unless one is given."""
        return self.post(
            "/api/v1/checkout",
            json={"payment_method": card},
            headers={"idempotency-key": key or str(uuid4())},
        )

    def cart(self) -> dict[int, int]:
        """Return the quantities in the cart by product id."""
        items = self.get("/api/v1/cart").json()["items"]
        return {item["product_id"]: item["quantity"] for item in items}

    def orders(self) -> list[dict[str, Any]]:
        """Return the orders, newest first, up to 100."""
        page = self.get("/api/v1/orders", params={"page_size": 100}).json()
        items: list[dict[str, Any]] = page["items"]
        return items

    def stock(self, product_id: int) -> int:
        """Return a product's stock."""
        return int(self.get(f"/api/v1/products/{product_id}").json()["stock"])


def problem_slug(response: httpx.Response) -> str:
    """Return the last part of a problem's type."""
    kind: str = response.json()["type"]
    return kind.removeprefix("urn:triptych:problem:")


def find_by_stock(target: Target, wanted: Callable[[int], bool]) -> int:
    """Return the id of the first product with such a stock."""
    with Customer(target) as visitor:
        for page in range(1, 101):
            params = {"page": page, "page_size": 100}
            for item in visitor.get("/api/v1/products", params=params).json()["items"]:
                if wanted(item["stock"]):
                    return int(item["id"])
    raise AssertionError("the seeded catalogue has such a product")
