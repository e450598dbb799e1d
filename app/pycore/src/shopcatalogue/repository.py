"""Products in PostgreSQL."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ARRAY, Integer, Select, any_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shopcatalogue.tables import products
from shopcore.page import PageRequest

_Rows: TypeAlias = Select[int, str, str, str, str, int, str, int]

_COLUMNS = (
    products.c.id,
    products.c.sku,
    products.c.name,
    products.c.description,
    products.c.category,
    products.c.price_minor,
    products.c.currency,
    products.c.stock,
)
# Made once: a statement carries its own key to SQLAlchemy's cache of compiled ones.
_ONE = select(*_COLUMNS).where(products.c.id == bindparam("product_id"))
_SEVERAL = (
    select(*_COLUMNS)
    .where(products.c.id == any_(bindparam("product_ids", type_=ARRAY(Integer))))
    .order_by(products.c.id)
)
_SEVERAL_LOCKED = _SEVERAL.with_for_update()
_CHANGE_STOCK = (
    update(products)
    .where(products.c.id == bindparam("product_id"))
    .values(stock=products.c.stock + bindparam("change"))
)


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product; the price is in the currency's minor unit."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    price_minor: int
    currency: str
    stock: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which there is less than was asked for."""

    product_id: int
    requested: int
    available: int


def search_statements(query: str | None, page: PageRequest) -> tuple[Select[int], _Rows]:
    """Return the statements that count the matches and read a page of them."""
    count = select(func.count()).select_from(products)
    rows = select(*_COLUMNS)
    if query:
        words = func.websearch_to_tsquery("english", query)
        matches = products.c.search.bool_op("@@")(words)
        count = count.where(matches)
        rows = rows.where(matches).order_by(
            func.ts_rank(products.c.search, words).desc(), products.c.id
        )
    else:
        rows = rows.order_by(products.c.id)
    return count, rows.limit(page.page_size).offset(page.offset)


async def search(
    connection: AsyncConnection, query: str | None, page: PageRequest
) -> tuple[list[StoredProduct], int]:
    """Return a page of matching products, best match first, and how many match in all."""
    count, rows = search_statements(query, page)
    total = (await connection.execute(count)).scalar_one()
    if total <= page.offset:
        return [], total
    found = (await connection.execute(rows)).all()
    return [StoredProduct(*row) for row in found], total


async def find_one(connection: AsyncConnection, product_id: int) -> StoredProduct | None:
    """Return the product, if there is one of that id."""
    row = (await connection.execute(_ONE, {"product_id": product_id})).one_or_none()
    return None if row is None else StoredProduct(*row)


async def find(
    connection: AsyncConnection, product_ids: Collection[int]
) -> dict[int, StoredProduct]:
    """Return those of the products that exist, by id and in the order of their ids."""
    return await _read(connection, _SEVERAL, product_ids)


async def reserve(
    connection: AsyncConnection, quantities: Mapping[int, int]
) -> tuple[dict[int, StoredProduct], list[Shortage]]:
    """Take the quantities from stock, all or nothing, and return the products at their price.

    The rows are locked in the order of their ids, so that two checkouts cannot wait for each
    other; the lock lasts as long as the caller's transaction. With shortages nothing is taken.
    """
    found = await _read(connection, _SEVERAL_LOCKED, quantities)
    shortages = [
        Shortage(product_id, quantity, found[product_id].stock if product_id in found else 0)
        for product_id, quantity in sorted(quantities.items())
        if product_id not in found or found[product_id].stock < quantity
    ]
    if not shortages:
        await _change_stock(connection, {key: -value for key, value in quantities.items()})
    return found, shortages


async def restock(connection: AsyncConnection, quantities: Mapping[int, int]) -> None:
    """Put the quantities back."""
    await _read(connection, _SEVERAL_LOCKED, quantities)
    await _change_stock(connection, quantities)


async def _read(
    connection: AsyncConnection, statement: _Rows, product_ids: Collection[int]
) -> dict[int, StoredProduct]:
    rows = await connection.execute(statement, {"product_ids": list(product_ids)})
    return {row.id: StoredProduct(*row) for row in rows}


async def _change_stock(connection: AsyncConnection, changes: Mapping[int, int]) -> None:
    await connection.execute(
        _CHANGE_STOCK,
        [{"product_id": product_id, "change": change} for product_id, change in changes.items()],
    )
