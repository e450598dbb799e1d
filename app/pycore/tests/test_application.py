"""The common conduct of every service, on an application with a few routes of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, ClassVar

import pytest
from fastapi import APIRouter
from httpx import ASGITransport, AsyncClient
from pydantic import StringConstraints

from shopcore.application import make_application
from shopcore.context import instance_id
from shopcore.health import Store
from shopcore.health import router as health_router
from shopcore.http import ContractRoute
from shopcore.middleware import MAX_BODY_BYTES
from shopcore.problems import dependency_unavailable
from shopcore.schemas import Input, ProductId, UuidText
from shopcore.settings import Port, ServiceSettings
from shopcore.startup import Startup

router = APIRouter(route_class=ContractRoute)


class Order(Input):
    quantity: int
    note: Annotated[str, StringConstraints(pattern="^[^x]*$")] = ""


@router.put("/orders/{order_id}")
async def put_order(order_id: UuidText, order: Order) -> dict[str, int]:
    return {"quantity": order.quantity}


@router.delete("/orders/{order_id}", status_code=204)
async def delete_order(order_id: UuidText) -> None:
    return None


@router.get("/products/{product_id}")
async def get_product(product_id: ProductId) -> dict[str, int]:
    return {"id": product_id}


@router.get("/defect")
async def defect() -> None:
    raise ZeroDivisionError("a secret of ours")


class Settings(ServiceSettings):
    service: ClassVar[str] = "sample"
    listen_port: Port = 1


class FakeStore:
    def __init__(self) -> None:
        self.up = True
        self.hangs = False

    async def ping(self) -> None:
        if self.hangs:
            await asyncio.sleep(60)
        if not self.up:
            raise dependency_unavailable("store")


class Services:
    def __init__(self) -> None:
        async def prepare() -> None: ...

        self.store = FakeStore()
        self.startup = Startup(prepare=prepare)

    @property
    def stores(self) -> Mapping[str, Store]:
        return {"store": self.store}

    async def run(self) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
async def client(services: Services) -> AsyncIterator[AsyncClient]:
    settings = Settings.model_validate({"database_host": "h", "database_password": "p"})
    app = make_application(settings, services, [router, health_router])
    async with AsyncClient(transport=ASGITransport(app), base_url="http://sample") as client:
        yield client


PATH = "/orders/00000000-0000-0000-0000-000000000001"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [b"", b'{"quantity": 1}', b'\xef\xbb\xbf{"quantity": 1}', b'{"quantity": 9, "quantity": 1}'],
)
async def test_json_is_read(client: AsyncClient, body: bytes) -> None:
    response = await client.put(PATH, content=body, headers=JSON)
    if body:
        assert (response.status_code, response.json()) == (200, {"quantity": 1})
    else:
        assert response.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        '{"quantity": 1}'.encode("utf-16"),
        '{"quantity": 1}'.encode("utf-32-le"),
        b'\xef\xbb\xbf\xef\xbb\xbf{"quantity": 1}',
        b'{"quantity": NaN}',
        b'{"quantity": 1, "note": -Infinity}',
        b'{"quantity": 01}',
        b"[" * 60_000,
        b"9" * 60_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_is_not_json_is_400(client: AsyncClient, body: bytes) -> None:
    response = await client.put(PATH, content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["type"] == "urn:triptych:problem:malformed-json"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "quantity"),
        (b'{"quantity": "1"}', "quantity"),
        (b'{"quantity": 1.0}', "quantity"),
        (b'{"quantity": 1e0}', "quantity"),
        (b'{"quantity": true}', "quantity"),
        (b'{"quantity": 1, "note": "\\ud800"}', "note"),
        (b'{"quantity": 1, "more": 1}', "more"),
        (b"[]", ""),
        (b"null", ""),
    ],
)
async def test_another_shape_is_422(client: AsyncClient, body: bytes, field: str) -> None:
    response = await client.put(PATH, content=body, headers=JSON)
    assert response.status_code == 422
    assert [(fault["in"], fault["field"]) for fault in response.json()["errors"]] == [
        ("body", field)
    ]


async def test_the_media_type_comes_before_the_body(client: AsyncClient) -> None:
    for media_type in ("text/plain", "application/json; charset=latin-1", ""):
        response = await client.put(PATH, content=b"{", headers={"content-type": media_type})
        assert response.status_code == 415


async def test_large_bodies_are_refused_declared_or_not(client: AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * 1024

    assert MAX_BODY_BYTES == 64 * 1024
    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        response = await client.put(PATH, content=content, headers=JSON)
        assert response.status_code == 413
    largest = b'{"quantity": 1}'.ljust(MAX_BODY_BYTES)
    assert (await client.put(PATH, content=largest, headers=JSON)).status_code == 200


async def test_a_path_has_all_its_methods(client: AsyncClient) -> None:
    response = await client.post(PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, PUT")
    assert (await client.get("/nothing")).json()["type"] == "urn:triptych:problem:not-found"


async def test_every_answer_has_the_requests_id(client: AsyncClient) -> None:
    for path in ("/products/1", "/products/0", "/nothing", "/defect", "/health/ready"):
        response = await client.get(path, headers={"x-request-id": "trace.me"})
        assert response.headers["x-request-id"] == "trace.me"
        assert response.headers["x-instance-id"] == instance_id
        if response.status_code >= 400:
            assert response.json()["request_id"] == "trace.me"
    made = (await client.get("/products/1", headers={"x-request-id": "a b"})).headers
    assert len(bytes.fromhex(made["x-request-id"])) == 16
    assert len(bytes.fromhex(made["x-instance-id"])) == 16


async def test_a_defect_is_logged_and_not_told(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/defect")
    assert (response.status_code, response.json()["type"]) == (
        500,
        "urn:triptych:problem:internal",
    )
    assert "secret" not in response.text
    (record,) = [record for record in caplog.records if record.name == "sample.errors"]
    assert record.exc_info is not None


async def test_requests_are_logged_and_counted_by_route(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("/products/1?x=1", "/products/2", "/nothing/3"):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/products/{product_id}",status="200"}' in text
    assert 'http_request_duration_seconds_count{method="GET",route="unmatched"}' in text
    assert "/products/1" not in text
    seen = [
        (record.levelname, record.__dict__["route"], record.__dict__["path"])
        for record in caplog.records
        if record.name == "sample.access"
    ]
    assert seen == [
        ("INFO", "/products/{product_id}", "/products/1"),
        ("INFO", "/products/{product_id}", "/products/2"),
        ("INFO", "unmatched", "/nothing/3"),
        ("DEBUG", "/metrics", "/metrics"),
    ]


async def test_readiness_tells_the_truth(client: AsyncClient, services: Services) -> None:
    async def ready() -> tuple[int, dict[str, str]]:
        response = await client.get("/health/ready")
        checks: dict[str, str] = json.loads(response.content)["checks"]
        return response.status_code, checks

    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert await ready() == (503, {"store": "unknown"})
    await services.startup.run()
    assert await ready() == (200, {"store": "up"})
    services.store.up = False
    assert await ready() == (503, {"store": "down"})
    services.store.up = services.store.hangs = True
    assert await ready() == (503, {"store": "down"})
