"""What people see, and what they pay, while parts of the shop are in trouble."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Request, Route, expect

from tests.contract.harness.payment_gateway import Mode
from tests.contract.harness.shop import LocalShop

from .person import Person

pytestmark = pytest.mark.local


def test_a_purchase_survives_failures_and_a_reload_and_is_paid_once(
    person: Person, local_shop: LocalShop
) -> None:
    page = person.page
    person.opens_an_account()
    person.puts_into_the_cart()
    person.go("/checkout")
    keys: list[str | None] = []
    page.on(
        "request",
        lambda request: (
            keys.append(request.header_value("idempotency-key"))
            if request.url.endswith("/api/v1/checkout")
            else None
        ),
    )
    person.expects("502 /api/v1/checkout")
    with local_shop.payments.behaving(Mode.FAILING):
        person.pays()
        expect(page.get_by_text("Asking again; you are never charged twice")).to_be_visible()
        # It asks four times, with pauses.
        expect(page.get_by_role("alert")).to_contain_text("The payment service failed")
        person.assert_accessible()
        page.reload()
        expect(page.get_by_text("we do not know yet how it ended")).to_be_visible()
        expect(page.get_by_text("Paying with Visa")).to_be_visible()
        person.assert_accessible()
    # The shop may have settled it by itself by now: that is the same purchase, too.
    person.button("Go on with this purchase").click()
    person.sees("Thank you. It is yours.")
    order_id = page.url.rpartition("/")[2]
    assert local_shop.payments.charged(order_id) == 1
    assert len(keys) >= 5
    assert len(set(keys)) == 1
    person.go("/orders")
    expect(person.link(re.compile("^Order of"))).to_have_count(1)


def test_a_lost_answer_to_a_payment_is_asked_for_again(
    person: Person, local_shop: LocalShop
) -> None:
    person.opens_an_account()
    person.puts_into_the_cart()
    person.go("/checkout")
    sent: list[str] = []
    person.page.on("request", lambda request: sent.append(request.url))

    def lose_the_first(route: Route, request: Request) -> None:
        """Let the shop answer, and the answer be lost on its way."""
        with local_shop.target.open() as client:
            names = ("authorization", "content-type", "idempotency-key")
            headers = {name: request.headers[name] for name in names}
            assert client.post(request.url, content=request.post_data, headers=headers).is_success
        route.abort("connectionreset")

    person.page.route("**/api/v1/checkout", lose_the_first, times=1)
    person.pays()
    person.sees("Thank you. It is yours.")
    assert sum(url.endswith("/api/v1/checkout") for url in sent) == 2
    assert local_shop.payments.charged(person.page.url.rpartition("/")[2]) == 1
    person.troubles = [text for text in person.troubles if "CONNECTION_RESET" not in text]


def test_an_order_with_a_pending_payment_is_followed(person: Person, local_shop: LocalShop) -> None:
    person.opens_an_account()
    person.puts_into_the_cart()
    person.go("/checkout")
    person.expects("502 /api/v1/checkout")
    with local_shop.payments.behaving(Mode.FAILING):
        person.pays()
        person.link("See the order").click()
        expect(person.page.get_by_text("Payment pending")).to_be_visible()
        person.assert_accessible()
    # Nobody asks for it: the shop goes on by itself, and the page follows.
    expect(person.page.locator(".status")).to_have_text("Paid")


def test_a_part_of_the_shop_is_away_and_comes_back(person: Person, local_shop: LocalShop) -> None:
    person.go("/login")
    person.expects("503 /api/v1/products")
    # The browser asks for the icon when it likes, and in the monolith that is away too.
    person.may_expect("503 /favicon.svg")
    with local_shop.service("products").away():
        person.link("Triptych, to the shop").click()
        expect(person.page.get_by_role("alert")).to_contain_text("Part of the shop is resting")
        person.assert_accessible()
    local_shop.wait_ready()
    person.button("Try again").click()
    expect(person.page.get_by_role("article")).to_have_count(24)
