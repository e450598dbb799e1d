"""What the microservices offer each other, asked directly; the gateway has no way to it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from typing import Any
from uuid import uuid4

import httpx
import pytest

from .harness.client import Customer, Target, problem_slug
from .harness.jwt import decode_part
from .harness.shop import LocalShop

pytestmark = [pytest.mark.local, pytest.mark.only("microservices")]

PRODUCTS = "/internal/v1/products"
RESERVATIONS = "/internal/v1/reservations"


@pytest.fixture
def products(local_shop: LocalShop) -> Iterator[httpx.Client]:
    with local_shop.containers["products"].target.open() as client:
        yield client


@pytest.fixture
def carts(local_shop: LocalShop) -> Iterator[httpx.Client]:
    with local_shop.containers["cart"].target.open() as client:
        yield client


def _lines(lines: dict[int, int]) -> dict[str, Any]:
    return {
        "lines": [
            {"product_id": product_id, "quantity": quantity}
            for product_id, quantity in lines.items()
        ]
    }


def _stock(products: httpx.Client, product_id: int) -> int:
    return int(products.get(f"/api/v1/products/{product_id}").json()["stock"])


def test_products_come_in_the_order_of_ids(products: httpx.Client) -> None:
    answer = products.get(PRODUCTS, params={"ids": "9,4,20000,1"})
    assert answer.status_code == 200
    assert [item["id"] for item in answer.json()["items"]] == [1, 4, 9]
    for item in answer.json()["items"]:
        assert item == products.get(f"/api/v1/products/{item['id']}").json()


@pytest.mark.parametrize(
    "ids", [None, "", "0", "a", "1,,2", "1,2,", "-1", "1.0", ",".join(map(str, range(1, 52)))]
)
def test_ids_out_of_form(products: httpx.Client, ids: str | None) -> None:
    answer = products.get(PRODUCTS, params={} if ids is None else {"ids": ids})
    assert (answer.status_code, problem_slug(answer)) == (422, "validation")
    assert answer.json()["errors"][0]["in"] == "query"


def test_a_reservation_takes_stock_once(products: httpx.Client) -> None:
    path = f"{RESERVATIONS}/{uuid4()}"
    stock = _stock(products, 51)
    first = products.put(path, json=_lines({52: 1, 51: 2}))
    assert first.status_code == 200
    listed = {
        item["id"]: item for item in products.get(PRODUCTS, params={"ids": "51,52"}).json()["items"]
    }
    for line in first.json()["lines"]:
        product = listed[line["product_id"]]
        assert line["name"] == product["name"]
        assert line["unit_price"] == product["price"]
    assert {line["product_id"]: line["quantity"] for line in first.json()["lines"]} == {
        51: 2,
        52: 1,
    }
    again = products.put(path, json=_lines({52: 1, 51: 2}))
    assert (again.status_code, again.json()) == (200, first.json())
    assert _stock(products, 51) == stock - 2


def test_concurrent_repetitions_take_stock_once(products: httpx.Client) -> None:
    path = f"{RESERVATIONS}/{uuid4()}"
    stock = _stock(products, 53)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: products.put(path, json=_lines({53: 3})), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert _stock(products, 53) == stock - 3


def test_out_of_stock_takes_nothing(products: httpx.Client, sold_out: int) -> None:
    stock = _stock(products, 54)
    path = f"{RESERVATIONS}/{uuid4()}"
    answer = products.put(path, json=_lines({54: 1, sold_out: 2, 30_000: 1}))
    assert (answer.status_code, problem_slug(answer)) == (409, "out-of-stock")
    assert answer.json()["shortages"] == [
        {"product_id": sold_out, "requested": 2, "available": 0},
        {"product_id": 30_000, "requested": 1, "available": 0},
    ]
    assert _stock(products, 54) == stock
    assert products.put(path, json=_lines({54: 1})).status_code == 200


def test_a_release_gives_stock_back_once_and_for_good(products: httpx.Client) -> None:
    path = f"{RESERVATIONS}/{uuid4()}"
    stock = _stock(products, 55)
    assert products.put(path, json=_lines({55: 4})).status_code == 200
    for _ in range(2):
        assert products.delete(path).status_code == 204
        assert _stock(products, 55) == stock
    late = products.put(path, json=_lines({55: 4}))
    assert (late.status_code, problem_slug(late)) == (409, "reservation-released")
    assert _stock(products, 55) == stock


def test_a_reservation_that_was_released_before_it_came_is_not_made(
    products: httpx.Client,
) -> None:
    path = f"{RESERVATIONS}/{uuid4()}"
    stock = _stock(products, 56)
    assert products.delete(path).status_code == 204
    late = products.put(path, json=_lines({56: 1}))
    assert (late.status_code, problem_slug(late)) == (409, "reservation-released")
    assert _stock(products, 56) == stock


def test_reservation_and_release_at_once_leave_the_stock_as_it_was(
    products: httpx.Client,
) -> None:
    stock = _stock(products, 57)
    paths = [f"{RESERVATIONS}/{uuid4()}" for _ in range(12)]

    def both(path: str) -> None:
        with ThreadPoolExecutor(2) as threads:
            reserved = threads.submit(products.put, path, json=_lines({57: 1}))
            released = threads.submit(products.delete, path)
        assert reserved.result().status_code in (200, 409)
        assert released.result().status_code == 204

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(both, paths))
    assert _stock(products, 57) == stock


@pytest.mark.parametrize(
    "body",
    [{}, {"lines": []}, {"lines": [{"product_id": 1}]}, {"lines": "1"}, [],
     {"lines": [{"product_id": 1, "quantity": 0}]}, {"lines": [{"product_id": 1, "quantity": 1.5}]},
     {"lines": [{"product_id": i, "quantity": 1} for i in range(1, 52)]}],
    ids=lambda body: json.dumps(body)[:40],
)  # fmt: skip
def test_reservations_out_of_form(products: httpx.Client, body: object) -> None:
    answer = products.put(f"{RESERVATIONS}/{uuid4()}", json=body)
    assert (answer.status_code, problem_slug(answer)) == (422, "validation")


def test_a_reservation_needs_a_uuid(products: httpx.Client) -> None:
    answer = products.put(f"{RESERVATIONS}/7", json=_lines({1: 1}))
    assert (answer.status_code, problem_slug(answer)) == (422, "validation")


def _cart_path(customer: Customer) -> str:
    claims = decode_part(customer.tokens["access_token"], 1)
    return f"/internal/v1/carts/{claims['sub']}"


def test_carts_are_told_in_the_order_of_ids(carts: httpx.Client, customer: Customer) -> None:
    path = _cart_path(customer)
    assert carts.get(path).json()["lines"] == []
    customer.fill_cart({9: 1, 4: 3})
    cart = carts.get(path)
    assert cart.status_code == 200
    assert cart.json()["lines"] == _lines({4: 3, 9: 1})["lines"]
    assert set(cart.json()) == {"version", "lines"}


def test_a_purchase_leaves_the_cart_once(carts: httpx.Client, customer: Customer) -> None:
    path = _cart_path(customer)
    customer.fill_cart({4: 3, 9: 1})
    purchase = f"{path}/purchases/{uuid4()}"
    for _ in range(2):
        assert carts.put(purchase, json=_lines({4: 2, 9: 1})).status_code == 204
        assert customer.cart() == {4: 1}
    another = f"{path}/purchases/{uuid4()}"
    assert carts.put(another, json=_lines({4: 5, 77: 1})).status_code == 204
    assert customer.cart() == {}


def test_concurrent_repetitions_of_a_purchase_count_once(
    carts: httpx.Client, customer: Customer
) -> None:
    purchase = f"{_cart_path(customer)}/purchases/{uuid4()}"
    customer.fill_cart({4: 50})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: carts.put(purchase, json=_lines({4: 1})), range(16)))
    assert {answer.status_code for answer in answers} == {204}
    assert customer.cart() == {4: 49}


@pytest.mark.parametrize(
    "path",
    [
        "/internal/v1/carts/11111111-1111-4111-8111-111111111111",
        "/internal/v1/products?ids=1",
        "/api/v1/products/../../../internal/v1/products?ids=1",
        "/api/v1/cart/%2e%2e/%2e%2e/%2e%2e/internal/v1/products?ids=1",
        "//internal/v1/products?ids=1",
        "/%69nternal/v1/products?ids=1",
        "/internal%2fv1%2fproducts?ids=1",
        "/health/shop",
    ],
)
def test_the_gateway_has_no_way_to_it(target: Target, path: str) -> None:
    # Not by httpx, which would tidy up the path.
    url = httpx.URL(target.base_url)
    context = ssl.create_default_context(cafile=target.ca_file)
    connection = HTTPSConnection(url.host, url.port, context=context, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert (response.status, json.loads(body)["type"]) == (404, "urn:triptych:problem:not-found")
