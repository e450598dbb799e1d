"""Reservations on a real PostgreSQL: once each, all lines or none, never below zero."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import uuid4

import asyncpg
import pytest
from conftest import Shop

RELEASED = "urn:triptych:problem:reservation-released"


async def test_a_reservation_takes_stock_at_todays_price(shop: Shop) -> None:
    before = {product_id: await shop.product(product_id) for product_id in (11, 12)}
    response = await shop.reserve({12: 3, 11: 1})
    assert response.status_code == 200
    assert response.json() == {
        "lines": [
            {
                "product_id": product_id,
                "name": before[product_id]["name"],
                "unit_price": before[product_id]["price"],
                "quantity": quantity,
            }
            for product_id, quantity in ((11, 1), (12, 3))
        ]
    }
    assert await shop.stock(11) == before[11]["stock"] - 1
    assert await shop.stock(12) == before[12]["stock"] - 3


async def test_a_repetition_answers_the_same_and_takes_nothing(
    shop: Shop, database: asyncpg.Connection
) -> None:
    reservation = uuid4()
    before = await shop.stock(13)
    first = await shop.reserve({13: 2}, reservation)
    await database.execute("UPDATE products SET price_minor = price_minor + 100 WHERE id = 13")
    again = await shop.reserve({13: 2}, reservation)
    assert (again.status_code, again.json()) == (200, first.json())
    assert await shop.stock(13) == before - 2


async def test_a_hammered_reservation_is_made_once(shop: Shop, other_shop: Shop) -> None:
    reservation = uuid4()
    before = await shop.stock(14)
    answers = await asyncio.gather(
        *(each.reserve({14: 2}, reservation) for each in (shop, other_shop) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await shop.stock(14) == before - 2


async def test_shortages_take_nothing_and_leave_the_id_unused(
    shop: Shop, database: asyncpg.Connection
) -> None:
    reservation = uuid4()
    await database.execute("UPDATE products SET stock = 1 WHERE id = 15")
    before = await shop.stock(16)
    response = await shop.reserve({2_000_000: 1, 16: 1, 15: 2}, reservation)
    assert response.status_code == 409
    problem = response.json()
    assert problem["type"] == "urn:triptych:problem:out-of-stock"
    assert problem["shortages"] == [
        {"product_id": 15, "requested": 2, "available": 1},
        {"product_id": 2_000_000, "requested": 1, "available": 0},
    ]
    assert await shop.stock(16) == before
    assert (await shop.reserve({16: 1, 15: 1}, reservation)).status_code == 200
    assert await shop.stock(16) == before - 1


async def test_a_release_gives_back_once(shop: Shop, other_shop: Shop) -> None:
    reservation = uuid4()
    before = await shop.stock(17)
    assert (await shop.reserve({17: 5}, reservation)).status_code == 200
    answers = await asyncio.gather(
        *(each.release(reservation) for each in (shop, other_shop) for _ in range(10))
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert await shop.stock(17) == before
    again = await shop.reserve({17: 5}, reservation)
    assert (again.status_code, again.json()["type"]) == (409, RELEASED)
    assert await shop.stock(17) == before


async def test_what_is_released_beforehand_can_no_longer_be_made(shop: Shop) -> None:
    reservation = uuid4()
    before = await shop.stock(18)
    assert (await shop.release(reservation)).status_code == 204
    late = await shop.reserve({18: 1}, reservation)
    assert (late.status_code, late.json()["type"]) == (409, RELEASED)
    assert (await shop.release(reservation)).status_code == 204
    assert await shop.stock(18) == before


async def test_making_and_releasing_at_once_ends_with_the_stock_as_it_was(
    shop: Shop, other_shop: Shop
) -> None:
    before = [await shop.stock(product_id) for product_id in (19, 20)]
    for _ in range(10):
        reservation = uuid4()
        made, released, repeated = await asyncio.gather(
            shop.reserve({19: 1, 20: 1}, reservation),
            other_shop.release(reservation),
            other_shop.reserve({20: 1, 19: 1}, reservation),
        )
        assert released.status_code == 204
        for answer in (made, repeated):
            assert answer.status_code == 200 or answer.json()["type"] == RELEASED
        final = await shop.reserve({19: 1}, reservation)
        assert final.json()["type"] == RELEASED
    assert [await shop.stock(product_id) for product_id in (19, 20)] == before


async def test_the_last_pieces_are_sold_once_whoever_asks(
    shop: Shop, other_shop: Shop, database: asyncpg.Connection
) -> None:
    """Everyone wants some of the same few products, named in any order, all at the same time."""
    ids = range(21, 27)
    await database.execute("UPDATE products SET stock = 17 WHERE id = ANY($1::int[])", list(ids))
    chance = random.Random(7)
    wanted = []
    for _ in range(120):
        some = chance.sample(ids, chance.randint(1, 4))
        wanted.append({product_id: chance.randint(1, 3) for product_id in some})
    reservations = [uuid4() for _ in wanted]
    answers = await asyncio.gather(
        *(
            (shop if index % 2 else other_shop).reserve(lines, reservations[index])
            for index, lines in enumerate(wanted)
        )
    )
    sold = Counter[int]()
    for lines, answer in zip(wanted, answers, strict=True):
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            sold.update(lines)
        else:
            for shortage in answer.json()["shortages"]:
                assert shortage["available"] < shortage["requested"]
    left = {product_id: await shop.stock(product_id) for product_id in ids}
    assert left == {product_id: 17 - sold[product_id] for product_id in ids}
    assert min(left.values()) <= 2

    await asyncio.gather(
        *(
            (other_shop if index % 2 else shop).release(reservation)
            for index, reservation in enumerate(reservations)
        )
    )
    assert {await shop.stock(product_id) for product_id in ids} == {17}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("reservations/7", "reservation_id"),
        ("reservations/00000000000000000000000000000001", "reservation_id"),
    ],
)
async def test_ids_out_of_form(shop: Shop, path: str, field: str) -> None:
    response = await shop.client.put(
        f"/internal/v1/{path}", json={"lines": [{"product_id": 1, "quantity": 1}]}
    )
    assert response.status_code == 422
    (fault,) = response.json()["errors"]
    assert (fault["in"], fault["field"]) == ("path", field)


async def test_a_product_named_twice_is_out_of_form(shop: Shop) -> None:
    line = {"product_id": 1, "quantity": 1}
    response = await shop.client.put(
        f"/internal/v1/reservations/{uuid4()}", json={"lines": [line, line]}
    )
    assert response.status_code == 422
    (fault,) = response.json()["errors"]
    assert (fault["in"], fault["field"]) == ("body", "lines")


async def test_looking_up_leaves_out_what_is_not_there(shop: Shop) -> None:
    response = await shop.client.get("/internal/v1/products", params={"ids": "9,2000000,4,9"})
    assert response.json() == {"items": [await shop.product(4), await shop.product(9)]}
    fifty = ",".join(map(str, range(1, 51)))
    assert len((await shop.client.get(f"/internal/v1/products?ids={fifty}")).json()["items"]) == 50
    for ids in ("", "0", "1,", "a", "2147483648", "1 ,2", f"{fifty},51"):
        bad = await shop.client.get("/internal/v1/products", params={"ids": ids})
        assert bad.status_code == 422
        (fault,) = bad.json()["errors"]
        assert (fault["in"], fault["field"]) == ("query", "ids")
