"""What the service does with its stores: tables and seed, the cache, and both going away."""

from __future__ import annotations

import asyncio

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import Shop, running
from sqlalchemy import Connection
from stores import Link, Postgres, Valkey, until

from products.schema import SCHEMA
from products.settings import Settings
from shopcore.database import make_engine, metadata

# The catalogue is the same everywhere, in every shape (tests/contract/test_startup.py).
DIGEST = "96260ff2936b7628d2c2a05bfb0af632"


async def test_several_at_once_migrate_and_seed_an_empty_database_once(
    settings: Settings, database: asyncpg.Connection
) -> None:
    await database.execute("DROP DATABASE IF EXISTS empty WITH (FORCE)")
    await database.execute("CREATE DATABASE empty")
    empty = settings.model_copy(update={"database_name": "empty"})
    await asyncio.gather(*(SCHEMA.prepare(empty) for _ in range(4)))
    engine = make_engine(empty, pool_size=1, command_timeout_s=30)
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT count(*), md5(string_agg(concat_ws('|', sku, name, description, price_minor),"
            " ',' ORDER BY id)) FROM products.products"
        )
        assert tuple(rows.one()) == (10_000, DIGEST)
        public = await connection.exec_driver_sql(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )
        assert public.scalar() == 0
    await engine.dispose()
    await database.execute("DROP DATABASE empty")


async def test_the_tables_are_those_of_the_code(shop: Shop, settings: Settings) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = make_engine(settings, pool_size=1, command_timeout_s=30)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_cached_answers_follow_the_stock(shop: Shop, other_shop: Shop) -> None:
    await until(lambda: other_shop.services.cache.in_use)
    stock = await shop.stock(31)
    for taken in range(1, 6):
        # Twice each, so that the second comes from the cache.
        for each in (shop, other_shop, shop, other_shop):
            assert await each.stock(31) == stock + 1 - taken
            assert await each.listed_stock(31) == stock + 1 - taken
        assert (await shop.reserve({31: 1})).status_code == 200
    assert await other_shop.listed_stock(31) == stock - 5


async def test_answers_do_come_from_the_cache(shop: Shop, database: asyncpg.Connection) -> None:
    paths = ("/api/v1/products/32", "/api/v1/products?page=32&page_size=1")
    before = [(await shop.client.get(path)).content for path in paths]
    # Behind the service's back, so that the cache can't know.
    await database.execute("UPDATE products SET stock = stock + 1 WHERE id = 32")
    assert [(await shop.client.get(path)).content for path in paths] == before
    await shop.reserve({32: 1})
    assert [(await shop.client.get(path)).content for path in paths] == before


async def test_a_hanging_cache_costs_no_answer(shop: Shop, valkey: Valkey) -> None:
    stock = await shop.stock(33)
    valkey.pause()
    try:
        assert await shop.stock(33) == stock
        assert not shop.services.cache.in_use
        assert (await shop.reserve({33: 1})).status_code == 200
        assert await shop.stock(33) == stock - 1
        assert (await shop.client.get("/health/ready")).json()["checks"] == {"database": "up"}
    finally:
        valkey.resume()
    await until(lambda: shop.services.cache.in_use)
    # The cache still holds the answer from before, which must not be given.
    assert await shop.stock(33) == stock - 1


async def test_a_cache_that_is_gone_costs_no_answer(shop: Shop, valkey: Valkey) -> None:
    stock = await shop.stock(34)
    valkey.stop()
    try:
        assert await shop.stock(34) == stock
        assert (await shop.reserve({34: 1})).status_code == 200
        assert await shop.listed_stock(34) == stock - 1
    finally:
        valkey.start()
    await until(lambda: shop.services.cache.in_use)
    assert await shop.stock(34) == stock - 1


async def test_a_database_that_is_gone_is_told_and_survived(shop: Shop, postgres: Postgres) -> None:
    assert (await shop.client.get("/api/v1/products?q=tent")).status_code == 200
    postgres.stop()
    try:
        for response in (
            await shop.client.get("/api/v1/products/9999"),
            await shop.client.get("/internal/v1/products?ids=1"),
            await shop.reserve({35: 1}),
        ):
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["dependency"] == "database"
        ready = await shop.client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "down"})
        assert (await shop.client.get("/health/live")).status_code == 200
    finally:
        postgres.start()
    assert (await shop.client.get("/api/v1/products/9998")).status_code == 200
    assert (await shop.reserve({35: 1})).status_code == 200


async def test_lost_connections_to_the_database_are_given_up(
    settings: Settings, postgres: Postgres
) -> None:
    """Nobody hears of their end: not the service, and not the server."""
    async with Link(postgres.port) as link:
        far = settings.model_copy(
            update={"database_port": link.port, "database_timeout_s": 1.0, "valkey_url": None}
        )
        async with running(far) as shop:
            numbers = range(1, 3 * far.database_pool_size)

            async def statuses() -> set[int]:
                paths = [f"/api/v1/products/{number}" for number in numbers]
                answers = await asyncio.gather(*map(shop.client.get, paths))
                return {answer.status_code for answer in answers}

            assert await statuses() == {200}
            link.lose_all()
            # Each is used once more, in vain.
            assert await statuses() <= {200, 503}
            assert (await shop.client.get("/health/ready")).status_code == 200
            assert await statuses() == {200}


async def test_before_it_is_ready_everything_is_unavailable(settings: Settings) -> None:
    async with running(settings.model_copy(update={"database_port": 1}), ready=False) as shop:
        assert (await shop.client.get("/health/live")).status_code == 200
        assert (await shop.client.get("/health/ready")).status_code == 503
        early = await shop.client.get("/api/v1/products/1")
        assert (early.status_code, early.json()["dependency"]) == (503, "database")


async def test_a_start_in_vain_fails(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_port": 1, "startup_timeout_s": 0.3})
    async with running(nowhere) as shop:
        assert shop.services.startup.failed
