"""People, in front of the shop under test (which one that is, tests/conftest.py says)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.conftest import DEPLOYED
from tests.contract.harness.client import Target
from tests.contract.harness.payment_gateway import Mode
from tests.contract.harness.shop import LocalShop

from .chromium import chromium
from .person import Person

#: Under emulation an answer takes seconds.
_PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def browser(target: Target) -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright, chromium(playwright, target.ca_file) as browser:
        yield browser


@pytest.fixture
def people(
    browser: Browser, target: Target, pytestconfig: pytest.Config
) -> Iterator[Callable[..., Person]]:
    """Return what brings somebody to the shop, with a screen of their own."""
    came: list[Person] = []

    def person(
        width: int = 1280, height: int = 800, *, dark: bool = False, touch: bool = False
    ) -> Person:
        context = browser.new_context(
            base_url=target.base_url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            has_touch=touch,
            locale="en-GB",
        )
        context.set_default_timeout(_PATIENCE_MS)
        uses_axe = not pytestconfig.getoption("--no-axe")
        came.append(Person(context, patient=target.patience_s > 0, uses_axe=uses_axe))
        return came[-1]

    yield person
    for each in came:
        each.context.close()
    for each in came:
        each.assert_untroubled()


@pytest.fixture
def person(people: Callable[..., Person]) -> Person:
    """Somebody at a desk."""
    return people()


@pytest.fixture
def declining(
    shape: str, request: pytest.FixtureRequest
) -> Callable[[Page], AbstractContextManager[None]]:
    """Return what makes cards be declined inside a block.

    In a private shop the payment service does so. A deployed one has none that would, so there the
    answer is made in the browser: what the pages do with it is the same.
    """

    @contextmanager
    def by_the_service(_: Page) -> Iterator[None]:
        shop: LocalShop = request.getfixturevalue("local_shop")
        with shop.payments.behaving(Mode.DECLINING):
            yield

    @contextmanager
    def in_the_browser(page: Page) -> Iterator[None]:
        def answer(route: Route) -> None:
            problem = {
                "type": "urn:triptych:problem:payment-declined",
                "title": "The payment was declined",
                "status": 402,
                "detail": "The payment gateway declined.",
                "instance": "/api/v1/checkout",
                "request_id": "declined",
                "order_id": "00000000-0000-4000-8000-000000000000",
                "code": "insufficient_funds",
            }
            route.fulfill(status=402, json=problem, content_type="application/problem+json")

        page.route("**/api/v1/checkout", answer)
        yield
        page.unroute("**/api/v1/checkout")

    return in_the_browser if shape == DEPLOYED else by_the_service
