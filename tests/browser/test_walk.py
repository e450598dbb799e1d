"""Ways through the shop that must work in every shape, on every deployment."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Page, expect

from .person import PASSWORD, PRODUCT, Person

#: All that a first visit fetches, the answers of the API included.
FIRST_LOAD_BYTES = 200_000


def test_a_purchase(person: Person) -> None:
    page = person.page
    person.go("/")
    person.sees("Made to be used, not to be looked at.")
    expect(page.get_by_role("article")).to_have_count(24)
    person.assert_accessible()

    page.get_by_role("searchbox").fill("headphones")
    page.get_by_role("searchbox").press("Enter")
    person.sees("Results for “headphones”")
    expect(page.get_by_role("article").first).to_contain_text("Headphones")
    person.link("Page 2").click()
    expect(page.get_by_text(re.compile(r"products, page 2 of \d+"))).to_be_visible()
    expect(person.link("Page 2")).to_have_attribute("aria-current", "page")
    person.assert_accessible()

    first = page.get_by_role("article").first
    name = first.get_by_role("heading").inner_text()
    first.click()
    person.sees(name)
    person.assert_accessible()
    person.button("One more").click()
    person.button("Add to cart").click()
    # Only members have a cart; what one was about to do is done after logging in.
    expect(page.get_by_text("it goes into your cart")).to_be_visible()
    person.assert_accessible()
    person.link("Open an account").click()
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    person.assert_accessible()
    person.registers()
    added = page.get_by_text("2 pieces added; your cart holds 2")
    person.gets(added, person.button("Add to cart").click, acted=True)

    page.get_by_role("link", name="Cart, 2 items").click()
    person.sees("Your cart")
    expect(page.get_by_label(f"Quantity of {name}")).to_have_value("2")
    person.gets(page.get_by_text("3 items"), person.button(f"One more of {name}").click)
    total = page.locator(".summary-total span").last.inner_text()
    person.assert_accessible()

    person.link("Check out").click()
    person.sees("Checkout")
    person.assert_accessible()
    person.button(f"Pay {total}").click()
    person.sees("Thank you. It is yours.")
    expect(page.locator(".summary-total")).to_contain_text(total)
    person.assert_accessible()

    person.link("Orders").click()
    person.sees("Your orders")
    expect(page.get_by_role("listitem").filter(has_text="Paid")).to_contain_text(total)
    person.assert_accessible()
    person.link(re.compile("^Order of")).click()
    person.sees("Your order")
    expect(person.link(name)).to_be_visible()
    page.get_by_role("link", name="Cart, 0 items").click()
    person.sees("There is nothing in it yet")
    person.assert_accessible()

    person.button(re.compile("Log out")).click()
    expect(person.link("Log in")).to_be_visible()
    person.go("/orders")
    expect(page.get_by_text("Log in to see this page.")).to_be_visible()


def test_a_declined_card(
    person: Person, declining: Callable[[Page], AbstractContextManager[None]]
) -> None:
    person.opens_an_account()
    person.puts_into_the_cart()
    person.go("/checkout")
    person.expects("402 /api/v1/checkout")
    with declining(person.page):
        person.pays("without money")
        alert = person.page.get_by_role("alert")
        expect(alert).to_contain_text("The card was declined")
        expect(alert).to_contain_text("not enough money")
        person.assert_accessible()
    # The cart is as it was, and another card is another purchase.
    expect(person.link("Cart, 1 item")).to_be_visible()
    person.pays()
    person.sees("Thank you. It is yours.")


def test_with_the_keyboard_alone(person: Person) -> None:
    page = person.page
    press = page.keyboard.press

    def tab_to(name: str | re.Pattern[str], role: str = "link") -> None:
        """Press Tab until the element has the focus, and see that the focus can be seen."""
        wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        expect(wanted).to_be_visible()
        for _ in range(80):
            press("Tab")
            if wanted.evaluate("(element) => element === document.activeElement"):
                style = "getComputedStyle(document.activeElement)"
                after = "getComputedStyle(document.activeElement, '::after')"
                around = (
                    "getComputedStyle(document.activeElement.closest('label') ?? document.body)"
                )
                shown = page.evaluate(
                    f"[{style}, {after}, {around}].some((it) => parseFloat(it.outlineWidth) >= 2"
                    " && it.outlineStyle !== 'none')"
                )
                assert shown, f"nothing shows that {name} has the focus"
                return
        raise AssertionError(f"Tab does not lead to {name}")

    person.opens_an_account()
    person.go("/")
    person.sees("Everything")
    press("Tab")
    expect(person.link("Skip to the content")).to_be_focused()
    press("Enter")
    tab_to("Audio")
    press("Enter")
    person.sees("Results for “Audio”")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page.get_by_role("article").first.get_by_role("link").inner_text())
    press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    expect(page.locator("#announcer")).not_to_be_empty()
    tab_to("One more", "button")
    press("Enter")
    tab_to("Add to cart", "button")
    added = page.get_by_role("status").filter(has_text="2 pieces added")
    person.gets(added, lambda: person.button("Add to cart").press("Space"))
    tab_to(re.compile("Go to the cart"))
    press("Enter")
    person.sees("Your cart")
    quantity = page.get_by_role("spinbutton")
    tab_to(re.compile("Quantity of"), "spinbutton")
    person.gets(page.get_by_text("3 items"), lambda: quantity.press("ArrowUp"))
    expect(quantity).to_be_focused()
    tab_to("Check out")
    press("Enter")
    person.sees("Checkout")
    tab_to("Visa Accepted", "radio")
    press("ArrowDown")
    expect(page.get_by_role("radio", name="Mastercard")).to_be_checked()
    tab_to(re.compile("^Pay "), "button")
    press("Enter")
    person.sees("Thank you. It is yours.")
    expect(page.get_by_role("main")).to_be_focused()


@pytest.mark.parametrize("width", [390, 320])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone(people: Callable[..., Person], width: int, dark: bool) -> None:
    person = people(width, 844, dark=dark, touch=True)
    person.opens_an_account()
    person.puts_into_the_cart()

    def look() -> None:
        person.assert_fits_the_screen()
        person.assert_accessible()

    look()
    views: dict[str, str | re.Pattern[str]] = {
        "/": "Everything",
        "/?q=kitchen&page=2": re.compile("Results for"),
        "/?q=zzz": "Nothing for “zzz”",
        "/cart": "Your cart",
        "/checkout": "Checkout",
    }
    for path, heading in views.items():
        person.go(path)
        person.sees(heading)
        look()
    person.pays()
    person.sees("Thank you. It is yours.")
    look()
    person.go("/orders")
    person.sees("Your orders")
    look()


def test_in_the_dark(people: Callable[..., Person]) -> None:
    person = people(1440, 900, dark=True)
    for path, text in {
        "/": "Everything",
        f"/products/{PRODUCT}": "In stock, ready to go",
        "/login": "New here?",
        "/register": "You have one?",
    }.items():
        person.go(path)
        expect(person.page.get_by_text(text)).to_be_visible()
        person.assert_accessible()


def test_a_first_visit_is_light(person: Person) -> None:
    sizes: list[int] = []
    person.page.on(
        "requestfinished",
        lambda request: sizes.append(
            request.sizes()["responseBodySize"] + request.sizes()["responseHeadersSize"]
        ),
    )
    person.page.goto("/", wait_until="networkidle")
    expect(person.page.get_by_role("article")).to_have_count(24)
    assert len(sizes) >= 4
    assert 0 < sum(sizes) < FIRST_LOAD_BYTES


def test_a_cart_that_is_changed_in_another_window(person: Person) -> None:
    person.opens_an_account()
    person.puts_into_the_cart()
    person.go("/cart")
    more = person.button(re.compile("^One more of"))
    expect(more).to_be_visible()
    # Read again only when one comes back to the window: here it is looked at all the time.
    other = person.context.new_page()
    other.goto(f"/products/{PRODUCT + 1}")
    add = other.get_by_role("button", name="Add to cart")
    person.gets(other.get_by_text("1 piece added"), add.click)
    person.expects(f"412 /api/v1/cart/items/{PRODUCT}")

    more.click()

    alert = person.page.get_by_role("alert")
    expect(alert).to_contain_text("Your cart was changed in another window")
    expect(alert).to_contain_text("added, 1 of it")
    expect(person.page.get_by_role("spinbutton")).to_have_count(2)
    expect(person.page.get_by_role("spinbutton").first).to_have_value("1")
    person.assert_accessible()
    person.gets(person.page.get_by_text("3 items"), more.first.click)
    expect(alert).to_have_count(0)


def test_tabs_share_the_session(person: Person) -> None:
    person.opens_an_account()
    other = person.context.new_page()
    other.goto("/orders")
    expect(other.get_by_role("heading", name="Your orders")).to_be_visible()
    other.reload()
    expect(other.get_by_role("heading", name="Your orders")).to_be_visible()
    person.go("/orders")
    person.sees("Your orders")

    other.get_by_role("button", name=re.compile("Log out")).click()

    expect(person.page.get_by_text("Log in to see this page.")).to_be_visible()


def test_access_tokens_run_out_without_anybody_noticing(person: Person) -> None:
    person.page.clock.install()
    person.opens_an_account()
    renewals: list[str] = []
    person.page.on(
        "request",
        lambda request: (
            renewals.append(request.url) if request.url.endswith("/auth/refresh") else None
        ),
    )
    person.page.clock.fast_forward("16:00")
    person.link("Orders").click()
    person.sees("You have not bought anything yet")
    assert len(renewals) == 1


def test_without_a_network(person: Person) -> None:
    page = person.page
    person.go("/")
    person.sees("Everything")
    with person.without_network():
        expect(page.get_by_text("You are offline. What you see may be old")).to_be_visible()
        page.get_by_role("searchbox").fill("tent")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_text("This page goes on as soon as there is a network")).to_be_visible()
        person.assert_accessible()
    expect(page.get_by_role("article").first).to_contain_text("Tent")
    expect(page.get_by_text("You are offline")).to_have_count(0)


def test_wrong_addresses_and_passwords(person: Person) -> None:
    page = person.page
    person.go("/products/2147483647")
    person.expects("404 /api/v1/products/2147483647")
    person.sees("We do not have this product")
    person.assert_accessible()
    person.opens_an_account()
    person.go("/orders/00000000-0000-4000-8000-000000000000")
    person.expects("404 /api/v1/orders/00000000-0000-4000-8000-000000000000")
    person.sees("No such order")
    person.button(re.compile("Log out")).click()
    expect(person.link("Log in")).to_be_visible()
    person.go("/login")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill("not the password")
    person.expects("401 /api/v1/auth/login")
    person.button("Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    person.assert_accessible()
    person.go("/register")
    page.get_by_label("Name").fill("Grace Hopper")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill("another password")
    person.expects("409 /api/v1/auth/register")
    person.button("Open an account").click()
    expect(page.get_by_role("alert")).to_contain_text("There is an account with this address")


def test_a_sold_out_product_cannot_be_bought(person: Person, sold_out: int) -> None:
    person.go(f"/products/{sold_out}")
    expect(person.page.get_by_text("Sold out.", exact=False).first).to_be_visible()
    expect(person.button("Add to cart")).to_have_count(0)
    person.assert_accessible()
