from __future__ import annotations

import pytest
from pydantic import ValidationError

from monolith.auth.schemas import Credentials, Registration

GOOD = {"email": "Ada@Example.test", "password": "correct horse", "name": "Ada"}


def test_addresses_are_in_lower_case() -> None:
    assert Registration.model_validate(GOOD).email == "ada@example.test"


def test_an_address_is_measured_in_lower_case() -> None:
    with pytest.raises(ValidationError, match="at most 254"):
        Registration.model_validate({**GOOD, "email": "\u0130" * 249 + "@e.io"})


@pytest.mark.parametrize("field", ["email", "password", "name"])
@pytest.mark.parametrize("value", ["lone \ud800 surrogate@of.text", "", 7, None])
def test_every_field_is_checked(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        Registration.model_validate({**GOOD, field: value})
    assert [fault["loc"] for fault in error.value.errors()] == [(field,)]


def test_a_short_password_is_no_malformed_one_at_log_in() -> None:
    body = {"email": "a@b.cd", "password": "x"}
    assert Credentials.model_validate(body).password.get_secret_value() == "x"
    with pytest.raises(ValidationError):
        Credentials.model_validate({**body, "password": "\udfff"})
