from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from products.reservations.schemas import WantedReservation


def line(product_id: Any = 1, quantity: Any = 1) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": quantity}


@pytest.mark.parametrize(
    "lines", [[line()], [line(2**31 - 1, 99)], [line(number) for number in range(1, 51)]]
)
def test_a_reservation_names_up_to_fifty_products(lines: list[Any]) -> None:
    assert len(WantedReservation.model_validate({"lines": lines}).lines) == len(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line(number) for number in range(1, 52)],
        [line(1), line(2), line(1)],
        [line(0)],
        [line(2**31)],
        [line("1")],
        [line(1, 0)],
        [line(1, 100)],
        [line(1, 1.0)],
        [line(1, True)],
        [{**line(), "price": 1}],
        [{"product_id": 1}],
        line(),
        None,
    ],
    ids=lambda lines: str(lines)[:40],
)
def test_what_is_out_of_form_is_refused(lines: Any) -> None:
    with pytest.raises(ValidationError):
        WantedReservation.model_validate({"lines": lines})
