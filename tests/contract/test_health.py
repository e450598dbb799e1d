"""The whole shop's health, as the gateway shows it."""

from __future__ import annotations

import pytest

from .harness.client import Customer

#: Who is asked for the shop's readiness.
PARTS = {
    "monolith": {"database", "cart_store"},
    "microservices": {"auth", "products", "cart", "payments", "frontend"},
}


def test_live(visitor: Customer) -> None:
    assert visitor.get("/health/live").json() == {"status": "live"}


def test_ready(visitor: Customer) -> None:
    response = visitor.get("/health/ready")
    assert response.status_code == 200
    assert set(response.json()["checks"].values()) == {"up"}


@pytest.mark.local
def test_ready_names_what_it_asked(visitor: Customer, shape: str) -> None:
    assert set(visitor.get("/health/ready").json()["checks"]) == PARTS[shape]
