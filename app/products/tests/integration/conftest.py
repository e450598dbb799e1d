"""The service in this process, on stores of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from httpx import ASGITransport, AsyncClient, Response
from stores import PASSWORD, Postgres, Valkey, until

from products.application import Services, create_app
from products.settings import Settings


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stores")
    for directory in (home, *home.parents[:2]):
        directory.chmod(0o755)  # for PostgreSQL's own user
    return home


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[Postgres]:
    server = Postgres(home)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(home: Path) -> Iterator[Valkey]:
    server = Valkey(home)
    yield server
    server.resume()
    server.stop()


@pytest.fixture
def settings(postgres: Postgres, valkey: Valkey) -> Settings:
    return Settings.model_validate(
        {
            "database_host": "127.0.0.1",
            "database_port": postgres.port,
            "database_name": "postgres",
            "database_password": PASSWORD,
            "database_timeout_s": 60,
            "valkey_url": f"redis://127.0.0.1:{valkey.port}/0",
        }
    )


class Shop:
    """The running service, asked over HTTP."""

    def __init__(self, services: Services, client: AsyncClient) -> None:
        self.services = services
        self.client = client
        # No more at once than there are connections, so that nobody is turned away, however
        # slow the machine is.
        self._turns = asyncio.Semaphore(10)

    async def product(self, product_id: int) -> dict[str, Any]:
        response = await self.client.get(f"/api/v1/products/{product_id}")
        assert response.status_code == 200
        product: dict[str, Any] = response.json()
        return product

    async def stock(self, product_id: int) -> int:
        return int((await self.product(product_id))["stock"])

    async def listed_stock(self, product_id: int) -> int:
        page = await self.client.get(
            "/api/v1/products", params={"page": product_id, "page_size": 1}
        )
        (product,) = page.json()["items"]
        assert product["id"] == product_id
        return int(product["stock"])

    async def reserve(self, lines: dict[int, int], reservation: UUID | None = None) -> Response:
        async with self._turns:
            return await self.client.put(
                f"/internal/v1/reservations/{reservation or uuid4()}",
                json={"lines": [{"product_id": key, "quantity": lines[key]} for key in lines]},
            )

    async def release(self, reservation: UUID) -> Response:
        async with self._turns:
            return await self.client.delete(f"/internal/v1/reservations/{reservation}")


@asynccontextmanager
async def running(settings: Settings, *, ready: bool = True) -> AsyncIterator[Shop]:
    """Run the service until the block is left."""
    app = create_app(settings)
    services: Services = app.state.services
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://products") as client,
    ):
        if ready:
            await until(lambda: services.startup.done or services.startup.failed)
        yield Shop(services, client)


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    async with running(settings) as shop:
        await until(lambda: shop.services.cache.in_use)
        yield shop


@pytest.fixture
async def other_shop(settings: Settings) -> AsyncIterator[Shop]:
    """Run a second process of the service, as far as the stores can tell."""
    async with running(settings) as shop:
        yield shop


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=settings.database_port,
        user="shop",
        password=PASSWORD,
        database="postgres",
        server_settings={"search_path": "products"},
    )
    yield connection
    await connection.close()
