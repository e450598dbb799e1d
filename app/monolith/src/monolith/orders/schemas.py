"""Bodies of the orders endpoints."""

from typing import Literal
from uuid import UUID

from shopcore.schemas import Money, Output, Timestamp


class OrderItem(Output):
    """What was bought, with name and price as they were."""

    product_id: int
    name: str
    unit_price: Money
    quantity: int
    line_total: Money


class Order(Output):
    """An order as its owner sees it."""

    id: UUID
    status: Literal["pending", "paid", "payment_failed"]
    items: list[OrderItem]
    total: Money
    payment_method: str
    payment_reference: str | None
    failure_code: str | None
    created_at: Timestamp
    paid_at: Timestamp | None


class OrderPage(Output):
    """One page of the order history, newest first."""

    items: list[Order]
    total: int
    page: int
    page_size: int
