"""Checkout: one purchase per key, stock never below zero, whatever happens at once."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from .harness.bad_requests import CHECKOUT_BODIES
from .harness.client import CARD, Customer, Target, problem_slug


def test_checkout_turns_the_cart_into_a_paid_order(customer: Customer) -> None:
    customer.fill_cart({11: 2, 12: 1})
    cart = customer.get("/api/v1/cart").json()
    response = customer.check_out()
    assert response.status_code == 201
    order = response.json()
    assert order["status"] == "paid"
    assert order["items"] == cart["items"]
    assert order["total"] == cart["total"]
    assert order["payment_reference"]
    assert order["paid_at"] >= order["created_at"]
    assert response.headers["location"] == f"/api/v1/orders/{order['id']}"
    assert customer.get(response.headers["location"]).json() == order
    assert customer.cart() == {}


def test_stock_falls_by_what_was_bought(customer: Customer, scarce: dict[str, Any]) -> None:
    before = customer.stock(scarce["id"])
    customer.fill_cart({scarce["id"]: 1})
    assert customer.check_out().status_code == 201
    assert customer.stock(scarce["id"]) == before - 1


def test_a_repetition_answers_the_same_order(customer: Customer) -> None:
    key = str(uuid4())
    customer.fill_cart({13: 1})
    first = customer.check_out(key)
    customer.fill_cart({14: 1})
    again = customer.check_out(key)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert customer.cart() == {14: 1}
    assert len(customer.orders()) == 1


def test_keys_belong_to_accounts(customer: Customer, other: Customer) -> None:
    key = str(uuid4())
    orders = set()
    for buyer in (customer, other):
        buyer.fill_cart({15: 1})
        response = buyer.check_out(key)
        assert response.status_code == 201
        orders.add(response.json()["id"])
    assert len(orders) == 2


def test_a_key_stands_for_one_payment_method(customer: Customer) -> None:
    key = str(uuid4())
    customer.fill_cart({16: 1})
    assert customer.check_out(key).status_code == 201
    reused = customer.check_out(key, card="pm_card_mastercard")
    assert (reused.status_code, problem_slug(reused)) == (422, "idempotency-key-reused")


def test_an_empty_cart_leaves_the_key_unused(customer: Customer) -> None:
    key = str(uuid4())
    empty = customer.check_out(key)
    assert (empty.status_code, problem_slug(empty)) == (409, "cart-empty")
    customer.fill_cart({17: 1})
    assert customer.check_out(key).status_code == 201


def test_out_of_stock_takes_nothing(customer: Customer, sold_out: int) -> None:
    key = str(uuid4())
    available = customer.stock(18)
    customer.fill_cart({18: 2, sold_out: 1})
    response = customer.check_out(key)
    assert (response.status_code, problem_slug(response)) == (409, "out-of-stock")
    assert response.json()["shortages"] == [
        {"product_id": sold_out, "requested": 1, "available": 0}
    ]
    assert customer.stock(18) == available
    assert customer.cart() == {18: 2, sold_out: 1}
    assert customer.orders() == []
    customer.delete(f"/api/v1/cart/items/{sold_out}")
    assert customer.check_out(key).status_code == 201


def test_the_last_pieces_are_sold_once(crowded: Target, scarce: dict[str, Any], crowd: int) -> None:
    product_id = scarce["id"]
    buyers = [Customer(crowded) for _ in range(crowd)]
    try:
        left = buyers[0].stock(product_id)
        # There is enough for some, and not for all.
        each = math.ceil(left / min(3, crowd - 1))
        for buyer in buyers:
            buyer.enroll()
            buyer.fill_cart({product_id: each})
        with ThreadPoolExecutor(len(buyers)) as threads:
            answers = list(threads.map(lambda buyer: buyer.check_out(), buyers))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses == {201: left // each, 409: len(buyers) - left // each}
        assert buyers[0].stock(product_id) == left - each * statuses[201]
    finally:
        for buyer in buyers:
            buyer.close()


def test_a_hammered_key_buys_once(crowding: Customer, crowd: int) -> None:
    key = str(uuid4())
    before = crowding.stock(19)
    crowding.fill_cart({19: 3})
    with ThreadPoolExecutor(2 * crowd) as threads:
        answers = list(threads.map(lambda _: crowding.check_out(key), range(6 * crowd)))
    # A repetition that meets the first one still in progress may be told so; it is never a
    # second purchase, and asking again gives the order.
    assert {answer.status_code for answer in answers} <= {201, 409}
    bought = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    in_progress = [answer for answer in answers if answer.status_code == 409]
    assert {problem_slug(answer) for answer in in_progress} <= {"checkout-in-progress"}
    assert len(bought) == 1
    assert crowding.check_out(key).json()["id"] in bought
    assert [order["id"] for order in crowding.orders()] == list(bought)
    assert crowding.stock(19) == before - 3
    assert crowding.cart() == {}


def test_crossing_carts_do_not_deadlock(crowded: Target, crowd: int) -> None:
    buyers = [Customer(crowded) for _ in range(crowd)]
    try:
        for index, buyer in enumerate(buyers):
            buyer.enroll()
            ids = range(21, 31) if index % 2 else range(30, 20, -1)
            buyer.fill_cart({product_id: 1 for product_id in ids})
        with ThreadPoolExecutor(len(buyers)) as threads:
            answers = list(threads.map(lambda buyer: buyer.check_out(), buyers))
        assert {answer.status_code for answer in answers} == {201}
    finally:
        for buyer in buyers:
            buyer.close()


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 129, "ключ".encode(), "a;b"], ids=str)
def test_keys_out_of_form(customer: Customer, key: Any) -> None:
    customer.fill_cart({1: 1})
    response = customer.post(
        "/api/v1/checkout", json={"payment_method": CARD}, headers={"idempotency-key": key}
    )
    assert response.status_code == 422
    fault = response.json()["errors"][0]
    assert (fault["in"], fault["field"].lower()) == ("header", "idempotency-key")
    assert customer.cart() == {1: 1}


@pytest.mark.parametrize("body", CHECKOUT_BODIES, ids=str)
def test_bodies_out_of_form(customer: Customer, body: Any) -> None:
    customer.fill_cart({1: 1})
    response = customer.post(
        "/api/v1/checkout", json=body, headers={"idempotency-key": str(uuid4())}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["in"] == "body"
    assert customer.orders() == []
