"""A customer's transaction, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from probe.transaction import (
    Shopper,
    TransactionFailed,
    await_ready,
    checked_context,
    unchecked_context,
    verify_identity,
)
from tests.support.probe_fakes import FakeClock
from tests.support.probe_server import Shop, make_authority, serve


def test_it_is_waited_until_the_shop_is_ready(tmp_path: Path) -> None:
    clock = FakeClock()

    def turn(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 101:
            shop.ready_status = 200

    with serve(tmp_path, Shop(ready_status=503)) as shop:
        where = (f"{shop.url}/health/ready", shop.ca_certificate)
        assert await_ready(*where, 0.5, clock=clock, sleep=clock.sleep) == "status 503"
        assert await_ready(*where, 5, clock=clock, sleep=turn) == ""
        # So many in a row: a refusal in between begins anew.
        asked = 0

        def waver(seconds: float) -> None:
            nonlocal asked
            asked += 1
            shop.ready_status = 503 if asked == 2 else 200
            clock.sleep(seconds)

        assert await_ready(*where, 5, streak=4, clock=clock, sleep=waver) == ""
        assert asked == 6
        # Somebody else's certificate is nobody's ready shop.
        (tmp_path / "other").mkdir()
        stranger = make_authority(tmp_path / "other")
        assert "CERTIFICATE_VERIFY_FAILED" in await_ready(where[0], stranger, 0.2)
    assert "refused" in await_ready(*where, 0.2)


def test_a_transaction_takes_every_step(tmp_path: Path) -> None:
    with serve(tmp_path, Shop()) as shop:
        shopper = Shopper(shop.url, checked_context(shop.ca_certificate))
        first, second = shopper.buy(), shopper.buy()
        shopper.close()
    bought = ["login", "list", "product", "cart", "checkout", "history"]
    assert list(first.steps_s) == ["page", "script", "register", *bought]
    assert list(second.steps_s) == ["page", "script", *bought]
    # The script is the one that the page names.
    assert "GET /assets/index-1.js" in shop.requests
    assert first.seconds >= sum(first.steps_s.values()) > 0


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    with serve(tmp_path, Shop(checkout_failures=1)) as shop:
        shopper = Shopper(shop.url, checked_context(shop.ca_certificate))
        with pytest.raises(TransactionFailed, match="checkout: status 503, expected 201"):
            shopper.buy()
        shopper.buy()
        shop.order_status = "pending"
        with pytest.raises(TransactionFailed, match="'pending', not paid"):
            shopper.buy()
        shopper.close()
    with pytest.raises(TransactionFailed, match="page: ConnectError"):
        Shopper(shop.url, unchecked_context(), timeout_s=1).buy()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"page": "<h1>It works!</h1>"}, "page: no script in it"),
        ({"page": '<script src="/assets/gone.js"></script>'}, "script: status 404"),
        ({"page": '<script src="/health/live"></script>'}, "script: the answer is application/js"),
        ({"history": ("another",)}, "history: the order that was paid is not in it"),
    ],
)
def test_a_shop_that_lacks_a_part_is_found_out(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with serve(tmp_path, Shop(**change)) as shop:
        shopper = Shopper(shop.url, checked_context(shop.ca_certificate))
        with pytest.raises(TransactionFailed, match=words):
            shopper.buy()
        shopper.close()


def test_answers_that_are_no_contract_fail_and_do_not_crash() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("register"):
            return httpx.Response(201)
        if request.url.path.endswith("login"):
            return httpx.Response(200, json=["no token"])
        if request.url.path.endswith(".js"):
            return httpx.Response(200, headers={"content-type": "text/javascript"})
        return httpx.Response(200, text="<script src=/a.js></script>")

    shopper = Shopper(
        "https://shop.test", unchecked_context(), transport=httpx.MockTransport(answer)
    )
    with pytest.raises(TransactionFailed, match="an answer lacks"):
        shopper.buy()


def test_another_gateway_is_found_out(tmp_path: Path) -> None:
    with serve(tmp_path, Shop()) as shop:
        shopper = Shopper(shop.url, unchecked_context())
        seen = shopper.buy().certificate
        shopper.close()
        assert verify_identity(shop.url, shop.ca_certificate, [seen, b""]) == ""
        other = make_authority(tmp_path)
        assert "fails the check" in verify_identity(shop.url, other, [seen])
        assert "another certificate" in verify_identity(
            shop.url, shop.ca_certificate, [b"somebody else's"]
        )
