"""Order history."""

from __future__ import annotations

import pytest

from .harness.client import Customer, problem_slug

NOBODYS = "11111111-1111-4111-8111-111111111111"


def test_a_new_customer_has_no_orders(customer: Customer) -> None:
    page = customer.get("/api/v1/orders").json()
    assert page == {"items": [], "total": 0, "page": 1, "page_size": 20}


def test_history_is_newest_first_and_paged(customer: Customer) -> None:
    bought = []
    for product_id in (1, 2, 3):
        customer.fill_cart({product_id: 1})
        bought.append(customer.check_out().json())
    newest_first = bought[::-1]
    assert customer.orders() == newest_first
    page = customer.get("/api/v1/orders", params={"page": 2, "page_size": 2}).json()
    assert (page["items"], page["total"]) == (newest_first[2:], 3)
    assert customer.get("/api/v1/orders", params={"page": 9}).json()["items"] == []


def test_someone_elses_order_is_not_there(customer: Customer, other: Customer) -> None:
    customer.fill_cart({1: 1})
    order_id = customer.check_out().json()["id"]
    assert customer.get(f"/api/v1/orders/{order_id.upper()}").status_code == 200
    theirs = other.get(f"/api/v1/orders/{order_id}")
    nobodys = other.get(f"/api/v1/orders/{NOBODYS}")
    for response in (theirs, nobodys):
        assert (response.status_code, problem_slug(response)) == (404, "order-not-found")
    assert other.orders() == []


@pytest.mark.parametrize("order_id", ["1", "not-a-uuid", "0" * 32, "%00", f"{NOBODYS}0"])
def test_ids_out_of_form(member: Customer, order_id: str) -> None:
    response = member.get(f"/api/v1/orders/{order_id}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["in"] == "path"


@pytest.mark.parametrize("params", [{"page": "0"}, {"page_size": "101"}, {"page": "x"}], ids=str)
def test_bad_parameters(member: Customer, params: dict[str, str]) -> None:
    assert member.get("/api/v1/orders", params=params).status_code == 422
