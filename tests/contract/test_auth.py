"""Accounts, tokens, sessions."""

from __future__ import annotations

import time

import pytest

from .harness.client import PASSWORD, Customer, Target, problem_slug
from .harness.jwt import decode_part, forgeries, sign_es256
from .harness.shop import LocalShop

SECURED = [
    ("GET", "/api/v1/cart"),
    ("DELETE", "/api/v1/cart"),
    ("PUT", "/api/v1/cart/items/1"),
    ("DELETE", "/api/v1/cart/items/1"),
    ("POST", "/api/v1/checkout"),
    ("GET", "/api/v1/orders"),
    ("GET", "/api/v1/orders/00000000-0000-4000-8000-000000000000"),
]
#: One operation of each module that checks tokens.
CHECKED = ["/api/v1/cart", "/api/v1/orders"]


def test_register_answers_the_account_without_the_password(visitor: Customer) -> None:
    response = visitor.register()
    assert response.status_code == 201
    assert response.json()["email"] == visitor.email
    assert PASSWORD not in response.text


def test_addresses_are_unique_whatever_their_case(visitor: Customer) -> None:
    assert visitor.register().status_code == 201
    visitor.email = visitor.email.upper()
    again = visitor.register()
    assert (again.status_code, problem_slug(again)) == (409, "email-taken")
    assert visitor.log_in().status_code == 200


def test_an_address_that_is_too_long_in_lower_case_is_refused(visitor: Customer) -> None:
    visitor.email = "\u0130" * 249 + "@e.io"
    refused = visitor.register()
    assert (refused.status_code, problem_slug(refused)) == (422, "validation")


def test_concurrent_registrations_of_one_address_make_one_account(
    crowded: Target, crowd: int
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Customer(crowded) as first:
        email = first.email

    def register(_: int) -> tuple[int, bool]:
        with Customer(crowded) as customer:
            customer.email = email
            return customer.register().status_code, customer.was_late

    with ThreadPoolExecutor(crowd) as threads:
        answers = list(threads.map(register, range(crowd)))
    created = [status for status, _ in answers].count(201)
    # Who was asked to try again may be the one whose account it is.
    assert created == 1 or (created == 0 and any(late for _, late in answers))
    assert {status for status, _ in answers} <= {201, 409}
    with Customer(crowded) as owner:
        owner.email = email
        assert owner.log_in().status_code == 200


def test_log_in_answers_tokens_that_work(customer: Customer) -> None:
    assert customer.tokens["token_type"] == "bearer"
    claims = decode_part(customer.tokens["access_token"], 1)
    assert claims["exp"] - claims["iat"] == customer.tokens["expires_in"]
    assert (claims["iss"], claims["aud"]) == ("triptych", "triptych-shop")
    assert customer.get("/api/v1/cart").status_code == 200


@pytest.mark.parametrize("password", ["wrong password", PASSWORD + " ", PASSWORD.upper(), "x"])
def test_wrong_password(customer: Customer, password: str) -> None:
    response = customer.log_in(password)
    assert (response.status_code, problem_slug(response)) == (401, "invalid-credentials")


def test_unknown_address_answers_like_a_wrong_password(customer: Customer) -> None:
    wrong = customer.log_in("wrong password").json()
    with Customer(customer.target) as stranger:
        unknown = stranger.log_in().json()
    for answer in (wrong, unknown):
        del answer["request_id"]
    assert wrong == unknown


def test_guessing_is_braked_and_only_for_that_address(
    visitor: Customer, customer: Customer
) -> None:
    visitor.register()
    for _ in range(10):
        assert visitor.log_in("wrong password").status_code == 401
    braked = visitor.log_in()
    assert (braked.status_code, problem_slug(braked)) == (429, "too-many-attempts")
    assert 1 <= int(braked.headers["retry-after"]) <= 60
    assert customer.log_in().status_code == 200


def test_good_log_ins_are_never_braked(customer: Customer) -> None:
    assert {customer.log_in().status_code for _ in range(15)} == {200}


def test_refresh_token_is_good_for_one_use(customer: Customer) -> None:
    first = customer.tokens["refresh_token"]
    answer = customer.post("/api/v1/auth/refresh", json={"refresh_token": first})
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != first
    again = customer.post("/api/v1/auth/refresh", json={"refresh_token": first})
    assert (again.status_code, problem_slug(again)) == (401, "invalid-refresh-token")
    customer.tokens = answer.json()
    assert customer.get("/api/v1/orders").status_code == 200


def test_logging_out_voids_the_refresh_token(customer: Customer) -> None:
    body = {"refresh_token": customer.tokens["refresh_token"]}
    assert customer.post("/api/v1/auth/logout", json=body).status_code == 204
    assert customer.post("/api/v1/auth/logout", json=body).status_code == 204
    assert customer.post("/api/v1/auth/refresh", json=body).status_code == 401


@pytest.mark.parametrize(("method", "path"), SECURED)
def test_secured_operations_need_a_token(visitor: Customer, method: str, path: str) -> None:
    response = visitor.send(method, path)
    assert (response.status_code, problem_slug(response)) == (401, "authentication-required")


@pytest.mark.parametrize("path", CHECKED)
@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer,"])
def test_only_bearer_tokens_count(member: Customer, scheme: str, path: str) -> None:
    token = member.tokens["access_token"]
    response = member.get(path, headers={"authorization": f"{scheme} {token}"})
    assert response.status_code == 401


@pytest.mark.parametrize("path", CHECKED)
@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_case_of_the_scheme_does_not_matter(member: Customer, scheme: str, path: str) -> None:
    token = member.tokens["access_token"]
    response = member.get(path, headers={"authorization": f"{scheme} {token}"})
    assert response.status_code == 200


@pytest.mark.parametrize("path", CHECKED)
def test_forged_tokens_are_refused(member: Customer, path: str) -> None:
    jwks = member.get("/.well-known/jwks.json").json()
    for how, token in forgeries(member.tokens["access_token"], jwks).items():
        response = member.get(path, headers={"authorization": f"Bearer {token}"})
        assert (response.status_code, how) == (401, how)
        assert "invalid_token" in response.headers["www-authenticate"]


def test_the_token_is_looked_at_before_the_body(visitor: Customer) -> None:
    response = visitor.post(
        "/api/v1/checkout", content=b"{", headers={"content-type": "application/json"}
    )
    assert response.status_code == 401


@pytest.mark.local
@pytest.mark.parametrize("path", CHECKED)
@pytest.mark.parametrize(
    "change",
    [
        {"exp": -1},
        {"exp": None},
        {"iss": "someone-else"},
        {"iss": None},
        {"aud": "another-shop"},
        {"aud": None},
        {"sub": None},
        {"sub": "not-a-uuid"},
        {"sub": 7},
        {"nbf": 3600},
        {"iat": 3600},
    ],
    ids=str,
)
def test_claims_are_checked_even_with_the_right_key(
    local_shop: LocalShop, member: Customer, change: dict[str, object], path: str
) -> None:
    good = member.tokens["access_token"]
    claims = decode_part(good, 1)
    for name, value in change.items():
        if value is None:
            del claims[name]
        elif name in ("exp", "nbf", "iat") and isinstance(value, int):
            claims[name] = int(time.time()) + value
        else:
            claims[name] = value
    token = sign_es256(claims, local_shop.jwt_key, decode_part(good, 0))
    response = member.get(path, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401


@pytest.mark.local
@pytest.mark.parametrize("path", CHECKED)
def test_the_suite_can_sign_good_tokens(local_shop: LocalShop, member: Customer, path: str) -> None:
    good = member.tokens["access_token"]
    token = sign_es256(decode_part(good, 1), local_shop.jwt_key, decode_part(good, 0))
    response = member.get(path, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200


@pytest.mark.local
def test_passwords_are_stored_as_argon2id(local_shop: LocalShop, customer: Customer) -> None:
    stored = local_shop.psql(
        f"SELECT password_hash FROM users WHERE email = '{customer.email}'", module="auth"
    )
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
