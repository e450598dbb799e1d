"""Bodies of the internal endpoints."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from shopcore.schemas import MAX_ID, Input, Money, Output, Quantity


class WantedLine(Input):
    """How many of a product are wanted."""

    product_id: Annotated[int, Field(ge=1, le=MAX_ID)]
    quantity: Quantity


def _each_once(lines: list[WantedLine]) -> list[WantedLine]:
    if len({line.product_id for line in lines}) < len(lines):
        raise PydanticCustomError("lines", "Input should name each product once")
    return lines


class WantedReservation(Input):
    """What an order wants, each product once."""

    lines: Annotated[
        list[WantedLine], Field(min_length=1, max_length=50), AfterValidator(_each_once)
    ]


class ReservedLine(Output):
    """What was taken, with name and price at that moment."""

    product_id: int
    name: str
    unit_price: Money
    quantity: int


class Reservation(Output):
    """What was taken for an order, in the order of product ids."""

    lines: list[ReservedLine]
