"""Types that the modules' schemas share. Input is strict: no coercion, no unknown fields."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

MAX_ID = 2**31 - 1
CURRENCY = "EUR"


class Input(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Output(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(frozen=True)


class Money(Output):
    """An amount in the currency's minor unit (cents)."""

    amount: int
    currency: str


def _digits(value: Any) -> Any:
    # Path and query carry text; only plain ASCII digits are a number ("+1", "1_0", "1.0" are not).
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise PydanticCustomError("integer", "Input should be a whole number in plain digits")
    return value


def _clean_text(value: str) -> str:
    # PostgreSQL's text cannot hold U+0000.
    if "\x00" in value:
        raise PydanticCustomError("text", "Input should not contain U+0000")
    return value


Digits = BeforeValidator(_digits)
CleanText = AfterValidator(_clean_text)

ProductId = Annotated[int, Digits, Field(ge=1, le=MAX_ID)]
Page = Annotated[int, Digits, Field(ge=1, le=100_000)]
PageSize = Annotated[int, Digits, Field(ge=1, le=100)]
Quantity = Annotated[int, Field(ge=1, le=99)]
Timestamp = datetime
# In a path, which takes no other spelling of a UUID.
UuidText = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
]
