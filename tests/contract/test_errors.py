"""What every operation does with requests that are no requests."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from .harness.bad_requests import MEDIA_TYPES, NOT_JSON, OTHER_JSON, REGISTRATIONS
from .harness.client import Customer, problem_slug
from .harness.contract import load_contract

JSON = {"content-type": "application/json", "idempotency-key": str(uuid4())}
WITH_BODY = [
    pytest.param(
        operation.method.upper(),
        operation.path.replace("{product_id}", "1"),
        id=operation.name,
    )
    for operation in load_contract().operations
    if "requestBody" in operation.document
]


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_broken_json(member: Customer, method: str, path: str, body: bytes) -> None:
    response = member.send(method, path, content=body, headers=JSON)
    assert (response.status_code, problem_slug(response)) == (400, "malformed-json")


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@pytest.mark.parametrize("body", OTHER_JSON)
def test_json_of_another_shape(member: Customer, method: str, path: str, body: bytes) -> None:
    response = member.send(method, path, content=body, headers=JSON)
    assert (response.status_code, problem_slug(response)) == (422, "validation")
    assert all(fault["in"] == "body" for fault in response.json()["errors"])


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_no_body(member: Customer, method: str, path: str) -> None:
    response = member.send(method, path, headers=JSON)
    assert response.status_code == 422


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@pytest.mark.parametrize("media_type", MEDIA_TYPES, ids=str)
def test_other_media_types(
    member: Customer, method: str, path: str, media_type: str | None
) -> None:
    response = member.send(
        method, path, content=b"{}", headers={**JSON, "content-type": media_type}
    )
    assert (response.status_code, problem_slug(response)) == (415, "unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_media_types_that_are_good(member: Customer, media_type: str) -> None:
    response = member.put(
        "/api/v1/cart/items/1", content=b'{"quantity": 1}', headers={"content-type": media_type}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_body_of_one_megabyte(member: Customer, method: str, path: str) -> None:
    response = member.send(method, path, content=b" " * 1_000_000, headers=JSON)
    assert (response.status_code, problem_slug(response)) == (413, "body-too-large")


def test_a_large_body_of_undeclared_length(member: Customer) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    response = member.put("/api/v1/cart/items/1", content=chunks(), headers=JSON)
    assert (response.status_code, problem_slug(response)) == (413, "body-too-large")


def test_the_largest_body_is_read(member: Customer) -> None:
    body = b'{"quantity": 1' + b" " * (64 * 1024 - 15) + b"}"
    assert len(body) == 64 * 1024
    response = member.put("/api/v1/cart/items/1", content=body, headers=JSON)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1", "/api/v2/products", "/api/v1/products/", "/openapi.json",
             "/docs", "/api/v1/cart/items", "/api/v1/orders/1/items", "/..%2f..%2fetc/passwd",
             "/api/v1/auth", "/api/v1/auth/nothing", "/api/v1/checkout/1", "/health", "/metrics",
             "/internal/v1/products?ids=1", "/health/shop", "/.well-known/nothing"]
)  # fmt: skip
def test_paths_that_are_not_there(visitor: Customer, path: str) -> None:
    response = visitor.page(path)
    assert (response.status_code, problem_slug(response)) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/v1/cart", "DELETE, GET"),
        ("POST", "/api/v1/products", "GET"),
        ("GET", "/api/v1/checkout", "POST"),
        ("DELETE", "/api/v1/orders", "GET"),
        ("GET", "/api/v1/cart/items/1", "DELETE, PUT"),
        ("POST", "/health/ready", "GET"),
    ],
)
def test_methods_that_are_not_there(
    visitor: Customer, method: str, path: str, allowed: str
) -> None:
    response = visitor.send(method, path)
    assert (response.status_code, problem_slug(response)) == (405, "method-not-allowed")
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(", ")


def test_a_well_formed_request_id_is_kept(visitor: Customer) -> None:
    response = visitor.get("/api/v1/products/1", headers={"x-request-id": "trace.me_4-7"})
    assert response.headers["x-request-id"] == "trace.me_4-7"


@pytest.mark.parametrize("offered", ["a b", "x" * 65, '"><script>', "ä".encode(), ""], ids=str)
def test_another_request_id_is_replaced(visitor: Customer, offered: str | bytes) -> None:
    response = visitor.get("/api/v1/products/1", headers={"x-request-id": offered})
    assert response.status_code == 200
    assert response.headers["x-request-id"] != offered


@pytest.mark.parametrize(
    "body", REGISTRATIONS, ids=lambda body: str(body)[:60].encode("ascii", "replace").decode()
)
def test_registrations_out_of_form(visitor: Customer, body: dict[str, object]) -> None:
    response = visitor.post(
        "/api/v1/auth/register", content=json.dumps(body).encode(), headers=JSON
    )
    assert (response.status_code, problem_slug(response)) == (422, "validation")
    assert "long enough" not in response.text


def test_half_a_request_hurts_nobody(visitor: Customer) -> None:
    url = urlsplit(visitor.target.base_url)
    host = url.hostname or ""
    context = ssl.create_default_context(cafile=visitor.target.ca_file)
    with (
        socket.create_connection((host, url.port or 443), 5) as link,
        context.wrap_socket(link, server_hostname=host) as secured,
    ):
        secured.sendall(
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: shop\r\n"
            b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        )
    assert visitor.get("/health/live").status_code == 200
