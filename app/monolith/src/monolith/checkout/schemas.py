"""Bodies and headers of the checkout endpoint."""

from typing import Annotated

from fastapi import Header
from pydantic import StringConstraints

from shopcore.schemas import Input

PaymentMethod = Annotated[str, StringConstraints(pattern=r"^pm_[A-Za-z0-9_]{1,64}$")]
IdempotencyKey = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$"),
    Header(alias="Idempotency-Key"),
]


class CheckoutRequest(Input):
    """How to pay: a payment method that the gateway knows, such as `pm_card_visa`."""

    payment_method: PaymentMethod
