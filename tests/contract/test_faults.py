"""Faults: the payment gateway, a store, a neighbour or the service itself is away for a while.

In every case: a status that the contract names, no order lost, none paid twice, and recovery
without a restart of anything else.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import httpx
import pytest

from .harness.client import Customer, problem_slug
from .harness.payment_gateway import Mode
from .harness.shop import LocalShop, wait_for

pytestmark = pytest.mark.local

RECOVERY_S = 120.0
AWAY = (503, "dependency-unavailable")
#: What readiness says while a store is away.
WITHOUT_DATABASE = {
    "monolith": {"database": "down", "cart_store": "up"},
    "microservices": {
        "auth": "down", "products": "down", "payments": "down", "cart": "up", "frontend": "up",
    },
}  # fmt: skip
WITHOUT_VALKEY = {
    "monolith": {"database": "up", "cart_store": "down"},
    "microservices": {
        "auth": "down", "cart": "down", "products": "up", "payments": "up", "frontend": "up",
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _whole_again(local_shop: LocalShop) -> Iterator[None]:
    """Leave the shop to the next test as it was."""
    yield
    local_shop.wait_ready()


def _status(customer: Customer, order_id: str) -> str:
    status: str = customer.get(f"/api/v1/orders/{order_id}").json()["status"]
    return status


def _kind(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, problem_slug(response) if response.status_code >= 400 else ""


def _pays(customer: Customer, key: str) -> bool:
    """Repeat a checkout; it may also meet the shop's own recovery at it."""
    answer = customer.check_out(key)
    assert _kind(answer) in ((201, ""), (409, "checkout-in-progress"))
    return answer.status_code == 201


@contextmanager
def _while_paying(
    shop: LocalShop, customer: Customer, key: str, *, takes_s: float
) -> Iterator[Future[httpx.Response]]:
    """Check out; run the block once the payment has reached the payment gateway."""
    with shop.payments.taking(takes_s), ThreadPoolExecutor(1) as threads:
        before = shop.payments.calls.total()
        checkout = threads.submit(customer.check_out, key)
        wait_for("the payment", lambda: shop.payments.calls.total() > before)
        yield checkout


def test_a_declined_payment_costs_nothing(local_shop: LocalShop, customer: Customer) -> None:
    key = str(uuid4())
    stock = customer.stock(31)
    customer.fill_cart({31: 2})
    with local_shop.payments.behaving(Mode.DECLINING):
        declined = customer.check_out(key)
    assert _kind(declined) == (402, "payment-declined")
    assert declined.json()["code"] == "insufficient_funds"
    assert customer.stock(31) == stock
    assert customer.cart() == {31: 2}
    order = customer.orders()[0]
    assert (order["status"], order["failure_code"]) == ("payment_failed", "insufficient_funds")
    assert order["id"] == declined.json()["order_id"]

    again = customer.check_out(key)
    assert again.status_code == 402
    assert again.headers["idempotent-replayed"] == "true"
    assert customer.check_out().status_code == 201
    assert local_shop.payments.charged(order["id"]) == 0


@pytest.mark.parametrize(
    ("mode", "status", "slug"),
    [
        (Mode.DOWN, 503, "payment-gateway-unavailable"),
        (Mode.SLOW, 504, "payment-gateway-timeout"),
        (Mode.FAILING, 502, "payment-gateway-error"),
        (Mode.LOSING_ANSWERS, 503, "payment-gateway-unavailable"),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Mode) else None,
)
def test_a_gateway_fault_leaves_a_pending_order_that_a_repetition_pays(
    local_shop: LocalShop, customer: Customer, mode: Mode, status: int, slug: str
) -> None:
    key = str(uuid4())
    stock = customer.stock(32)
    customer.fill_cart({32: 1})
    with local_shop.payments.behaving(mode):
        failed = customer.check_out(key)
        assert _kind(failed) == (status, slug)
        order_id = failed.json()["order_id"]
        assert _status(customer, order_id) == "pending"
        assert customer.stock(32) == stock - 1

    wait_for("repetition", lambda: _pays(customer, key), timeout_s=RECOVERY_S)
    assert _status(customer, order_id) == "paid"
    assert len(customer.orders()) == 1
    assert local_shop.payments.charged(order_id) == 1
    assert customer.stock(32) == stock - 1
    wait_for("empty cart", lambda: customer.cart() == {}, timeout_s=RECOVERY_S)


def test_a_pending_order_is_settled_without_the_customer(
    local_shop: LocalShop, customer: Customer
) -> None:
    customer.fill_cart({33: 1})
    with local_shop.payments.behaving(Mode.LOSING_ANSWERS):
        order_id = customer.check_out().json()["order_id"]
    wait_for("recovery", lambda: _status(customer, order_id) == "paid", timeout_s=RECOVERY_S)
    assert local_shop.payments.charged(order_id) == 1
    wait_for("empty cart", lambda: customer.cart() == {}, timeout_s=RECOVERY_S)


def test_a_slow_gateway_holds_up_nothing_else(
    local_shop: LocalShop, customer: Customer, other: Customer
) -> None:
    customer.fill_cart({34: 1})
    with local_shop.payments.behaving(Mode.SLOW), ThreadPoolExecutor(1) as threads:
        checkout = threads.submit(customer.check_out)
        slowest = 0.0
        while not checkout.done():
            started = time.monotonic()
            assert other.get("/api/v1/products").status_code == 200
            assert other.get("/api/v1/orders").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        assert checkout.result().status_code == 504
    assert slowest < 1.0


def test_database_gone_for_a_while(local_shop: LocalShop, customer: Customer) -> None:
    customer.fill_cart({35: 1})
    with local_shop.postgres.away():
        # A search that nobody has made before: no cache can answer it.
        never_asked = customer.get("/api/v1/products", params={"q": f"walnut {uuid4()}"})
        for response in (
            never_asked,
            customer.get("/api/v1/orders"),
            customer.check_out(),
            customer.log_in(),
            customer.register(),
        ):
            assert _kind(response) == AWAY
            assert "retry-after" in response.headers
        ready = customer.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == WITHOUT_DATABASE[local_shop.shape]
        assert customer.get("/health/live").status_code == 200
    local_shop.wait_ready()
    assert customer.cart() == {35: 1}
    assert customer.check_out().status_code == 201


FIRST: dict[str, Callable[[Customer], httpx.Response]] = {
    "search": lambda customer: customer.get("/api/v1/products", params={"q": f"tent {uuid4()}"}),
    "orders": lambda customer: customer.get("/api/v1/orders"),
    "log-in": lambda customer: customer.log_in(),
    "cart": lambda customer: customer.get("/api/v1/cart"),
    "check-out": lambda customer: customer.check_out(),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
@pytest.mark.parametrize("store", ["postgres", "valkey"])
def test_the_first_request_after_a_restart_succeeds(
    local_shop: LocalShop,
    customer: Customer,
    store: str,
    first: Callable[[Customer], httpx.Response],
) -> None:
    customer.fill_cart({42: 1})
    for _ in range(3):
        assert customer.get("/api/v1/orders").status_code == 200
    container = local_shop.containers[store]
    with container.away():
        pass
    wait_for(store, container.well)
    assert first(customer).status_code in (200, 201)


@pytest.mark.parametrize("how", ["away", "hanging"])
def test_valkey_gone_for_a_while(local_shop: LocalShop, customer: Customer, how: str) -> None:
    customer.fill_cart({36: 1})
    # On a busy disk what Valkey has acknowledged is up to two seconds on its way into its file.
    time.sleep(2.5)
    with getattr(local_shop.valkey, how)():
        for response in (
            customer.get("/api/v1/cart"),
            customer.put("/api/v1/cart/items/1", json={"quantity": 1}),
            customer.delete("/api/v1/cart/items/1"),
            customer.check_out(),
            customer.log_in(),
        ):
            assert _kind(response) == AWAY
            assert "retry-after" in response.headers
        search = {"q": f"walnut {uuid4()}"}
        assert customer.get("/api/v1/products", params=search).status_code == 200
        assert customer.get("/api/v1/products/36").status_code == 200
        assert customer.get("/api/v1/orders").status_code == 200
        ready = customer.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"] == WITHOUT_VALKEY[local_shop.shape]
    local_shop.wait_ready()
    assert customer.cart() == {36: 1}
    assert customer.check_out().status_code == 201


def test_database_lost_between_payment_and_record(
    local_shop: LocalShop, customer: Customer
) -> None:
    key = str(uuid4())
    customer.fill_cart({37: 1})
    with (
        _while_paying(local_shop, customer, key, takes_s=0.9) as checkout,
        local_shop.postgres.away(),
    ):
        answer = checkout.result()
    assert _kind(answer) == AWAY
    local_shop.wait_ready()
    order_id = customer.orders()[0]["id"]
    wait_for("recovery", lambda: _status(customer, order_id) == "paid", timeout_s=RECOVERY_S)
    assert customer.check_out(key).json()["id"] == order_id
    assert local_shop.payments.charged(order_id) == 1


def test_killed_during_a_payment(local_shop: LocalShop, customer: Customer) -> None:
    key = str(uuid4())
    stock = customer.stock(38)
    customer.fill_cart({38: 1})
    payments = local_shop.service("payments")
    with _while_paying(local_shop, customer, key, takes_s=0.9) as checkout, payments.away():
        # The gateway is left without an answer.
        assert _kind(checkout.result()) == AWAY
    local_shop.wait_ready()
    order_id = customer.orders()[0]["id"]
    wait_for("recovery", lambda: _status(customer, order_id) == "paid", timeout_s=RECOVERY_S)
    assert customer.check_out(key).json()["id"] == order_id
    assert local_shop.payments.charged(order_id) == 1
    assert customer.stock(38) == stock - 1
    wait_for("empty cart", lambda: customer.cart() == {}, timeout_s=RECOVERY_S)


def test_termination_lets_a_checkout_finish(local_shop: LocalShop, customer: Customer) -> None:
    customer.fill_cart({39: 1})
    payments = local_shop.service("payments")
    try:
        with _while_paying(local_shop, customer, str(uuid4()), takes_s=0.8) as checkout:
            assert payments.stop(signal.SIGTERM) == 0
            answer = checkout.result()
    finally:
        payments.start()
    assert answer.status_code == 201
    assert answer.json()["status"] == "paid"
    local_shop.wait_ready()


#: What still works without a service of the microservices, and what does not.
WITHOUT = {
    "auth": {"log-in": 503, "register": 503, "products": 200, "cart": 200, "put": 200,
             "delete": 204, "orders": 200, "check-out": 201, "live": 200, "page": 200},
    "products": {"log-in": 200, "register": 409, "products": 503, "cart": 503, "put": 503,
                 "delete": 204, "orders": 200, "check-out": 503, "live": 200, "page": 200},
    "cart": {"log-in": 200, "register": 409, "products": 200, "cart": 503, "put": 503,
             "delete": 503, "orders": 200, "check-out": 503, "live": 200, "page": 200},
    "payments": {"log-in": 200, "register": 409, "products": 200, "cart": 200, "put": 200,
                 "delete": 204, "orders": 503, "check-out": 503, "live": 503, "page": 200},
    "frontend": {"log-in": 200, "register": 409, "products": 200, "cart": 200, "put": 200,
                 "delete": 204, "orders": 200, "check-out": 201, "live": 200, "page": 503},
}  # fmt: skip


def _try_everything(customer: Customer) -> dict[str, httpx.Response]:
    return {
        "log-in": customer.log_in(),
        "register": customer.register(),
        "products": customer.get("/api/v1/products", params={"q": f"walnut {uuid4()}"}),
        "cart": customer.get("/api/v1/cart"),
        "put": customer.put("/api/v1/cart/items/44", json={"quantity": 1}),
        "delete": customer.delete("/api/v1/cart/items/44"),
        "orders": customer.get("/api/v1/orders"),
        "check-out": customer.check_out(),
        "live": customer.get("/health/live"),
        "page": customer.page("/"),
    }


@pytest.mark.only("microservices")
@pytest.mark.parametrize("name", WITHOUT)
def test_a_service_gone_for_a_while(local_shop: LocalShop, customer: Customer, name: str) -> None:
    customer.fill_cart({43: 1})
    bought = WITHOUT[name]["check-out"] == 201
    with local_shop.containers[name].away():
        answers = _try_everything(customer)
        assert {what: answer.status_code for what, answer in answers.items()} == WITHOUT[name]
        for answer in answers.values():
            if answer.status_code == 503:
                assert _kind(answer) == AWAY
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["dependency"]
        ready = customer.get("/health/ready")
        assert ready.status_code == 503
        if name != "payments":  # who is the one that asks the others
            checks = ready.json()["checks"]
            assert [part for part, state in checks.items() if state != "up"] == [name]
    local_shop.wait_ready()
    assert customer.cart() == ({} if bought else {43: 1})
    customer.fill_cart({43: 1})
    assert customer.check_out().status_code == 201
    assert len(customer.orders()) == (2 if bought else 1)


@pytest.mark.only("microservices")
@pytest.mark.parametrize(
    ("name", "dependency"), [("products", "products service"), ("cart", "cart service")]
)
def test_a_neighbour_that_hangs_is_given_up_in_time(
    local_shop: LocalShop, customer: Customer, name: str, dependency: str
) -> None:
    key = str(uuid4())
    customer.fill_cart({45: 1})
    with local_shop.containers[name].hanging():
        # It answers while the other one hangs: its own time-out has ended the question.
        answer = customer.check_out(key)
        assert _kind(answer) == AWAY
        assert answer.json()["dependency"] == dependency
        assert customer.get("/api/v1/orders").json()["items"] == []
        if name == "products":
            response = customer.put("/api/v1/cart/items/1", json={"quantity": 1})
            assert _kind(response) == AWAY
            assert response.json()["dependency"] == dependency
    wait_for("repetition", lambda: _pays(customer, key), timeout_s=RECOVERY_S)
    assert len(customer.orders()) == 1


@pytest.mark.only("microservices")
def test_stock_of_a_purchase_that_nobody_repeats_comes_back(
    local_shop: LocalShop, customer: Customer
) -> None:
    """Products hangs after it has taken the stock, or before: nobody can tell."""
    stock = customer.stock(46)
    customer.fill_cart({46: 3})
    products = local_shop.containers["products"]
    with products.hanging():
        assert _kind(customer.check_out()) == AWAY
    wait_for("stock", lambda: customer.stock(46) == stock, timeout_s=RECOVERY_S)
    time.sleep(1.5)  # three rounds of recovery
    assert customer.stock(46) == stock
    assert customer.orders() == []
    assert customer.cart() == {46: 3}


@pytest.mark.only("microservices")
@pytest.mark.parametrize("mode", [Mode.WORKING, Mode.DECLINING], ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("name", ["products", "cart"])
def test_what_a_neighbour_missed_after_the_payment_is_made_up_for(
    local_shop: LocalShop, customer: Customer, name: str, mode: Mode
) -> None:
    """The order stands, whoever is away when stock goes back or the cart is to be emptied."""
    stock = customer.stock(47)
    customer.fill_cart({47: 2})
    with (
        local_shop.payments.behaving(mode),
        _while_paying(local_shop, customer, str(uuid4()), takes_s=0.9) as checkout,
        local_shop.containers[name].away(),
    ):
        answer = checkout.result()
    local_shop.wait_ready()
    if mode is Mode.WORKING:
        assert answer.status_code == 201
        wait_for("empty cart", lambda: customer.cart() == {}, timeout_s=RECOVERY_S)
        assert customer.stock(47) == stock - 2
    else:
        assert _kind(answer) == (402, "payment-declined")
        wait_for("stock", lambda: customer.stock(47) == stock, timeout_s=RECOVERY_S)
        assert customer.cart() == {47: 2}


def test_orders_survive_a_storm(local_shop: LocalShop, customer: Customer) -> None:
    """Buy without pause while everything comes and goes: every purchase is exact."""
    stock = customer.stock(40)
    stop = threading.Event()
    keys: list[str] = []
    acknowledged: dict[str, str] = {}

    def buy() -> None:
        while not stop.is_set():
            key = str(uuid4())
            if customer.put("/api/v1/cart/items/40", json={"quantity": 1}).status_code != 200:
                time.sleep(0.05)
                continue
            keys.append(key)
            answer = customer.check_out(key)
            if answer.status_code == 201:
                acknowledged[key] = answer.json()["id"]

    with ThreadPoolExecutor(1) as threads, ExitStack() as ended:
        buyer = threads.submit(buy)
        ended.callback(stop.set)
        time.sleep(0.5)
        with local_shop.postgres.away():
            time.sleep(0.5)
        with local_shop.payments.behaving(Mode.LOSING_ANSWERS):
            time.sleep(2.0)
        for module in ("payments", "products", "cart"):
            if local_shop.shape == "monolith" and module != "payments":
                continue
            with local_shop.service(module).away():
                time.sleep(0.3)
            time.sleep(0.7)
        with local_shop.payments.behaving(Mode.FAILING):
            time.sleep(1.0)
        local_shop.wait_ready()
        survived = len(acknowledged)
        wait_for("purchases", lambda: len(acknowledged) >= survived + 3, timeout_s=RECOVERY_S)
        stop.set()
        buyer.result()

    def settled() -> bool:
        return all(order["status"] != "pending" for order in customer.orders())

    wait_for("all orders final", settled, timeout_s=RECOVERY_S)
    orders = {order["id"]: order for order in customer.orders()}
    assert set(acknowledged.values()) <= set(orders)
    for order_id in orders:
        assert orders[order_id]["status"] == "paid"
        assert local_shop.payments.charged(order_id) == 1
    sold = stock - len(orders)
    wait_for("exact stock", lambda: customer.stock(40) == sold, timeout_s=RECOVERY_S)
    assert len(orders) <= len(keys)
