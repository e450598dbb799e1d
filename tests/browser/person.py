"""Somebody in front of the shop's pages, who notices what a developer's console would show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

PASSWORD = "correct horse battery"
#: One of the first hundred products, which have stock for every test.
PRODUCT = 41
#: How often somebody patient tries again, and after how long.
_TRIES, _PAUSE_MS = 4, 3000
#: A page asks several times itself before it says that something could not be had.
_PATIENCE_MS = 120_000
#: The buttons that lead on from there.
_OFFERS = re.compile(r"^(Try again|Go on with this purchase)$")
#: What a browser says about an answer; the answers themselves are looked at instead.
_ABOUT_AN_ANSWER = "Failed to load resource: the server responded with a status of"
_ABORTED = "net::ERR_ABORTED"
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def _axe() -> str:
    """Return axe-core, which this package carries."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


class Person:
    """One browser profile with a page in front, whose troubles are collected.

    Who `uses_axe` has axe-core look at each page, too. To somebody patient an answer that nothing
    is to be had just now, and when to try again, is no trouble: the page has to cope with it.
    """

    def __init__(
        self, context: BrowserContext, *, patient: bool = False, uses_axe: bool = True
    ) -> None:
        self.context = context
        self._patient = patient
        self._uses_axe = uses_axe
        self.email = f"person-{uuid4().hex[:12]}@example.test"
        self.troubles: list[str] = []
        self.refusals: set[str] = set()
        self._expected: set[str] = set()
        self._possible: set[str] = set()
        context.on("page", self._watch)
        self.page = context.new_page()

    def _watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        # A breach of the content security policy is told here, too.
        if message.type in ("error", "warning") and not message.text.startswith(_ABOUT_AN_ANSWER):
            self.troubles.append(f"console: {message.text}")

    def _on_failure(self, request: Request) -> None:
        # What the page itself gave up, because it went on to another view, has not failed.
        if request.failure != _ABORTED:
            self.troubles.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        later = response.status in (503, 504) and "retry-after" in response.headers
        if response.status >= 400 and not (later and self._patient):
            self.refusals.add(f"{response.status} {urlsplit(response.url).path}")

    @contextmanager
    def without_network(self) -> Iterator[None]:
        """Pull the plug inside the block; what fails for that reason is no trouble."""
        self.context.set_offline(True)
        try:
            yield
        finally:
            self.context.set_offline(False)
            self.troubles = [text for text in self.troubles if "INTERNET_DISCONNECTED" not in text]

    def expects(self, refusal: str) -> None:
        """Say that this kind of answer, such as `402 /api/v1/checkout`, is part of the test."""
        self._expected.add(refusal)

    def may_expect(self, refusal: str) -> None:
        """Say that this kind of answer may come, depending on when the browser asks."""
        self._possible.add(refusal)

    def assert_untroubled(self) -> None:
        """Fail if anything went wrong that no test has asked for."""
        surprising = self.refusals - self._expected - self._possible
        found = [
            *self.troubles,
            *(f"refused: {refusal}" for refusal in sorted(surprising)),
            *(f"not refused: {refusal}" for refusal in sorted(self._expected - self.refusals)),
        ]
        assert not found, "\n".join(found)

    # What a person does.

    def go(self, path: str) -> None:
        """Type an address."""
        self.page.goto(path)

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """Return a button by what it says."""
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str))

    def link(self, name: str | re.Pattern[str]) -> Locator:
        """Return a link by what it says."""
        return self.page.get_by_role("link", name=name, exact=isinstance(name, str))

    def sees(self, heading: str | re.Pattern[str]) -> None:
        """Wait for a heading.

        Somebody patient does what a page offers that could not be had, or not yet.
        """
        wanted = self.page.get_by_role("heading", name=heading)
        offer = self.button(_OFFERS).first
        self._until(wanted, offer, offer.click, timeout_ms=_PATIENCE_MS)

    def gets(self, wanted: Locator, act: Callable[[], object], *, acted: bool = False) -> None:
        """Do something until what it is for is there.

        Once is enough, unless this is somebody patient, and the page says that it did not work.
        `acted` says that it has been done once already.
        """
        if not acted:
            act()
        self._until(wanted, wanted.page.get_by_role("alert"), act)

    def _until(
        self,
        wanted: Locator,
        trouble: Locator,
        act: Callable[[], object],
        *,
        timeout_ms: float | None = None,
    ) -> None:
        """Wait for what is wanted; somebody patient acts, a few times, on the sign of trouble."""
        for _ in range(_TRIES if self._patient else 0):
            expect(wanted.or_(trouble).first).to_be_visible(timeout=timeout_ms)
            if wanted.is_visible():
                break
            wanted.page.wait_for_timeout(_PAUSE_MS)
            act()
        expect(wanted).to_be_visible()

    def opens_an_account(self) -> None:
        """Register, which logs in."""
        self.go("/register")
        self.page.get_by_label("Name").fill("Ada Lovelace")
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.registers()

    def registers(self) -> None:
        """Send the form, which logs in.

        Where an account is there and logging in did not work yet, the page asks for the password.
        """
        inside = self.button(re.compile("Log out"))
        again = self.button("Log in")
        after = inside.or_(again) if self._patient else inside
        self.gets(after, self.button("Open an account").click)
        if self._patient and again.is_visible():
            self.page.get_by_label("Password").fill(PASSWORD)
            self.gets(inside, again.click)
        expect(inside).to_be_visible()

    def puts_into_the_cart(self, product: int = PRODUCT) -> None:
        """Add one piece of a product."""
        self.go(f"/products/{product}")
        self.gets(self.page.get_by_text("1 piece added"), self.button("Add to cart").click)

    def pays(self, card: str = "Visa Accepted") -> None:
        """Choose a card at the checkout and pay."""
        self.page.get_by_role("radio", name=card).check()
        self.button(re.compile("^Pay ")).click()

    # What a person may not run into.

    def assert_accessible(self) -> None:
        """Fail if axe-core finds anything on the page as it is now, where it is used."""
        if not self._uses_axe:
            return
        # Colours on their way to others are no colours to judge.
        self.page.evaluate("Promise.allSettled(document.getAnimations().map((a) => a.finished))")
        options: dict[str, Any] = {"runOnly": {"type": "tag", "values": _AXE_TAGS}}
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_axe())
        found = self.page.evaluate("(options) => axe.run(document, options)", options)
        told = [
            f"{each['id']} ({each['impact']}): {node['html'][:160]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]
        assert not told, "\n".join((self.page.url, *told))

    def assert_fits_the_screen(self) -> None:
        """Fail if the page is wider than the window."""
        widths = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1], f"{self.page.url} is {widths[0]} wide on {widths[1]}"
