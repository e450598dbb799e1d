"""Problem types and routes are those of the contract, in every service that is made of pycore."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from fastapi import APIRouter

import monolith.application
import products.application
from shopcore.application import api_routes
from shopcore.problems import INTERNAL_API, ProblemType

CONTRACT = (Path(__file__).parents[2] / "contract" / "openapi.yaml").read_text()
ROUTERS: dict[str, Sequence[APIRouter]] = {
    "monolith": monolith.application.ROUTERS,
    "products": products.application.ROUTERS,
}
PRODUCTS = ("/api/v1/products", "/health/", "/metrics")
INTERNAL = {
    ("GET", "/internal/v1/products"),
    ("PUT", "/internal/v1/reservations/{reservation_id}"),
    ("DELETE", "/internal/v1/reservations/{reservation_id}"),
}


def operations() -> set[tuple[str, str]]:
    """Return method and path of every operation of the contract."""
    found = set()
    path = ""
    paths = CONTRACT[CONTRACT.index("\npaths:") : CONTRACT.index("\ncomponents:")]
    for line in paths.splitlines():
        if match := re.fullmatch(r"  (/\S+):", line):
            path = match[1]
        elif match := re.fullmatch(r"    (get|put|post|delete):", line):
            found.add((match[1].upper(), path))
    return found


def test_problem_types_are_the_contracts() -> None:
    listed = re.findall(r"^ +- (urn:triptych:problem:[a-z-]+)$", CONTRACT, re.MULTILINE)
    assert listed == [kind.uri for kind in ProblemType if kind not in INTERNAL_API]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("monolith", operations()),
        ("products", {each for each in operations() if each[1].startswith(PRODUCTS)} | INTERNAL),
    ],
)
def test_routes_are_the_contracts(service: str, expected: set[tuple[str, str]]) -> None:
    routes = api_routes(ROUTERS[service])
    assert {(method, route.path) for route in routes for method in route.methods} == expected
    assert len(expected) in (17, 8)
