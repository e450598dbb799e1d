"""The cart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .harness.client import Customer, problem_slug


def test_a_new_cart_is_empty(customer: Customer) -> None:
    cart = customer.get("/api/v1/cart").json()
    assert cart == {"items": [], "total": {"amount": 0, "currency": "EUR"}}


def test_put_sets_quantities_and_prices_lines(customer: Customer) -> None:
    customer.fill_cart({9: 1, 4: 3})
    customer.fill_cart({9: 2})
    cart = customer.get("/api/v1/cart").json()
    assert [(item["product_id"], item["quantity"]) for item in cart["items"]] == [(4, 3), (9, 2)]
    for item in cart["items"]:
        product = customer.get(f"/api/v1/products/{item['product_id']}").json()
        assert item["name"] == product["name"]
        assert item["unit_price"] == product["price"]
        assert item["line_total"]["amount"] == product["price"]["amount"] * item["quantity"]
    assert cart["total"]["amount"] == sum(item["line_total"]["amount"] for item in cart["items"])


def test_put_answers_the_cart_as_it_is_now(customer: Customer) -> None:
    answer = customer.put("/api/v1/cart/items/3", json={"quantity": 5})
    assert answer.json() == customer.get("/api/v1/cart").json()


def test_items_and_carts_can_be_deleted_twice(customer: Customer) -> None:
    customer.fill_cart({1: 1, 2: 2})
    for _ in range(2):
        assert customer.delete("/api/v1/cart/items/1").status_code == 204
    assert customer.cart() == {2: 2}
    for _ in range(2):
        assert customer.delete("/api/v1/cart").status_code == 204
    assert customer.cart() == {}


def test_carts_are_private(customer: Customer, other: Customer) -> None:
    customer.fill_cart({1: 1})
    other.fill_cart({2: 2})
    assert (customer.cart(), other.cart()) == ({1: 1}, {2: 2})


@pytest.mark.parametrize(
    "quantity", [0, -1, -99, 100, 2**63, 1.5, "2", True, None, [1], {"a": 1}, 1e300], ids=str
)
def test_quantities_out_of_form_change_nothing(customer: Customer, quantity: object) -> None:
    customer.fill_cart({1: 1})
    response = customer.put("/api/v1/cart/items/1", json={"quantity": quantity})
    assert response.status_code == 422
    fault = response.json()["errors"][0]
    assert (fault["in"], fault["field"]) == ("body", "quantity")
    assert customer.cart() == {1: 1}


def test_unknown_members_are_refused(customer: Customer) -> None:
    response = customer.put("/api/v1/cart/items/1", json={"quantity": 1, "price": 1})
    assert response.status_code == 422


def test_a_product_that_is_not_there(customer: Customer) -> None:
    response = customer.put("/api/v1/cart/items/123456", json={"quantity": 1})
    assert (response.status_code, problem_slug(response)) == (404, "product-not-found")
    assert customer.cart() == {}


def test_a_cart_holds_fifty_products(customer: Customer) -> None:
    customer.fill_cart({product_id: 1 for product_id in range(1, 51)})
    full = customer.put("/api/v1/cart/items/51", json={"quantity": 1})
    assert (full.status_code, problem_slug(full)) == (409, "cart-full")
    customer.fill_cart({50: 99})
    assert len(customer.cart()) == 50


def test_if_match_guards_against_lost_changes(customer: Customer) -> None:
    customer.fill_cart({1: 1})
    seen = customer.get("/api/v1/cart").headers["etag"]
    moved = customer.put("/api/v1/cart/items/2", json={"quantity": 1}, headers={"if-match": seen})
    assert moved.status_code == 200
    assert moved.headers["etag"] != seen
    for stale in (
        customer.put("/api/v1/cart/items/3", json={"quantity": 1}, headers={"if-match": seen}),
        customer.delete("/api/v1/cart/items/1", headers={"if-match": seen}),
        customer.delete("/api/v1/cart", headers={"if-match": seen}),
    ):
        assert (stale.status_code, problem_slug(stale)) == (412, "cart-changed")
    assert customer.cart() == {1: 1, 2: 1}
    assert customer.delete("/api/v1/cart", headers={"if-match": "*"}).status_code == 204


def test_one_of_concurrent_guarded_changes_wins(customer: Customer, crowd: int) -> None:
    customer.fill_cart({1: 1})
    seen = customer.get("/api/v1/cart").headers["etag"]

    def put(quantity: int) -> int:
        return customer.put(
            "/api/v1/cart/items/1", json={"quantity": quantity}, headers={"if-match": seen}
        ).status_code

    with ThreadPoolExecutor(crowd) as threads:
        statuses = sorted(threads.map(put, range(2, 2 + crowd)))
    assert statuses == [200] + [412] * (crowd - 1)


@pytest.mark.parametrize("value", ["abc", 'W/"abc"', '"a b"', '"a", "b"', ""])
def test_if_match_out_of_form(customer: Customer, value: str) -> None:
    response = customer.delete("/api/v1/cart", headers={"if-match": value})
    assert response.status_code == 422
    assert response.json()["errors"][0]["in"] == "header"
