"""Customers of the shop under test (which one that is, tests/conftest.py says)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from .harness.client import Customer, Target, find_by_stock
from .harness.contract import Contract, load_contract

#: Access tokens are good for 15 minutes; under emulation a suite takes longer.
_MEMBER_AGE_S = 300.0
_CROWD_PATIENCE_S = 60.0


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile(
        "contract",
        max_examples=config.getoption("--fuzz-examples"),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("contract")


def pytest_report_header(config: pytest.Config) -> str:
    return f"contract: {config.getoption('--fuzz-examples')} made-up requests per operation"


@pytest.fixture(scope="session")
def crowd(request: pytest.FixtureRequest) -> int:
    """Say how many want the same at once."""
    wanted: int = request.config.getoption("--crowd")
    return max(2, wanted)


@pytest.fixture(scope="session")
def crowded(target: Target) -> Target:
    """Return the shop for those who come at once.

    On a busy host a service gives up another that such a crowd keeps from answering in time. It
    says so, and when to try again; a deadlock, which the database ends, is an internal error.
    """
    return replace(target, patience_s=max(target.patience_s, _CROWD_PATIENCE_S))


@pytest.fixture
def crowding(crowded: Target) -> Iterator[Customer]:
    """Someone who is logged in, new here, and at many screens at once."""
    with Customer(crowded) as customer:
        yield customer.enroll()


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load_contract()


@pytest.fixture
def visitor(target: Target) -> Iterator[Customer]:
    """Someone without an account."""
    with Customer(target) as customer:
        yield customer


@pytest.fixture
def customer(target: Target) -> Iterator[Customer]:
    """Someone who is logged in, new here."""
    with Customer(target) as customer:
        yield customer.enroll()


@pytest.fixture
def other(target: Target) -> Iterator[Customer]:
    """Someone else who is logged in."""
    with Customer(target) as customer:
        yield customer.enroll()


@pytest.fixture(scope="session")
def _members() -> Iterator[dict[str, tuple[float, Customer]]]:
    members: dict[str, tuple[float, Customer]] = {}
    yield members
    for _, member in members.values():
        member.close()


@pytest.fixture
def member(target: Target, _members: dict[str, tuple[float, Customer]]) -> Customer:
    """Someone who has been logged in for a while: for tests that do not care about the past.

    Hashing a password is slow on purpose, and very slow under emulation.
    """
    since, known = _members.get(target.base_url) or (0.0, Customer(target).enroll())
    if time.monotonic() - since > _MEMBER_AGE_S:
        assert known.log_in().status_code == 200
        _members[target.base_url] = (time.monotonic(), known)
    return known


@pytest.fixture(scope="session")
def scarce(target: Target) -> dict[str, Any]:
    """Find a product of which there are some, but fewer than a cart line may hold."""
    product_id = find_by_stock(target, lambda stock: 3 <= stock <= 20)
    with Customer(target) as visitor:
        product: dict[str, Any] = visitor.get(f"/api/v1/products/{product_id}").json()
        return product
