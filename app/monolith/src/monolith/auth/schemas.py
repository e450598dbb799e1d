"""Bodies of the auth endpoints."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from shopcore.schemas import CleanText, Input, Output, Timestamp

# The length is that of what is stored: "İ" is two code points in lower case.
Email = Annotated[
    str,
    StringConstraints(
        min_length=3,
        pattern=r"^[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+\.[^\s@\x00-\x1f]+$",
    ),
    AfterValidator(str.lower),
    Field(max_length=254),
]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"), CleanText
]


def _text(secret: SecretStr) -> SecretStr:
    # pydantic looks for lone surrogates where it has a pattern to match, and here it has none.
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("string_unicode", "Input should be Unicode text") from None
    return secret


Secret = Annotated[SecretStr, AfterValidator(_text)]
Password = Annotated[Secret, Field(min_length=8, max_length=128)]
RefreshToken = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Registration(Input):
    """A new account."""

    email: Email
    password: Password
    name: Name


class Credentials(Input):
    """A log-in. No minimum length: a short password is wrong, not malformed."""

    email: Email
    password: Annotated[Secret, Field(min_length=1, max_length=128)]


class RefreshRequest(Input):
    """A session's refresh token."""

    refresh_token: RefreshToken


class User(Output):
    """An account as its owner sees it."""

    id: UUID
    email: str
    name: str
    created_at: Timestamp


class TokenPair(Output):
    """A short-lived access token and the token that gets the next one."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
