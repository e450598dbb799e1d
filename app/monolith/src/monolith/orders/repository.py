"""Orders in PostgreSQL. Every change of state is a compare-and-set on `pending`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from monolith.orders.tables import order_items, orders
from shopcore.page import PageRequest

Status = Literal["pending", "paid", "payment_failed"]

_COLUMNS = (
    orders.c.id,
    orders.c.user_id,
    orders.c.status,
    orders.c.total_minor,
    orders.c.currency,
    orders.c.payment_method,
    orders.c.payment_reference,
    orders.c.failure_code,
    orders.c.created_at,
    orders.c.paid_at,
)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One product of an order; the price is in the currency's minor unit."""

    product_id: int
    name: str
    unit_price_minor: int
    quantity: int


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order with its lines."""

    id: UUID
    user_id: UUID
    status: Status
    total_minor: int
    currency: str
    payment_method: str
    payment_reference: str | None
    failure_code: str | None
    created_at: datetime
    paid_at: datetime | None
    lines: tuple[OrderLine, ...]

    @property
    def quantities(self) -> dict[int, int]:
        """Quantities by product id."""
        return {line.product_id: line.quantity for line in self.lines}


async def claim_key(
    connection: AsyncConnection,
    *,
    user_id: UUID,
    idempotency_key: str,
    payment_method: str,
    currency: str,
    lease_s: float,
) -> UUID | None:
    """Insert the pending order of a key, held for `lease_s`; None if the key has one already.

    A concurrent insert of the same key waits here until the first transaction has ended.
    Lines and total follow with `fill`, in the same transaction.
    """
    statement = (
        postgresql.insert(orders)
        .values(
            id=uuid4(),
            user_id=user_id,
            idempotency_key=idempotency_key,
            payment_method=payment_method,
            status="pending",
            total_minor=0,
            currency=currency,
            lease_until=func.now() + timedelta(seconds=lease_s),
        )
        .on_conflict_do_nothing(index_elements=[orders.c.user_id, orders.c.idempotency_key])
        .returning(orders.c.id)
    )
    order_id: UUID | None = (await connection.execute(statement)).scalar_one_or_none()
    return order_id


async def fill(connection: AsyncConnection, order_id: UUID, lines: Sequence[OrderLine]) -> None:
    """Write the lines of a new order and its total."""
    await connection.execute(
        insert(order_items),
        [
            {
                "order_id": order_id,
                "product_id": line.product_id,
                "name": line.name,
                "unit_price_minor": line.unit_price_minor,
                "quantity": line.quantity,
            }
            for line in lines
        ],
    )
    total = sum(line.unit_price_minor * line.quantity for line in lines)
    await connection.execute(
        update(orders).where(orders.c.id == order_id).values(total_minor=total)
    )


async def find(connection: AsyncConnection, user_id: UUID, order_id: UUID) -> StoredOrder | None:
    """Return the user's order; None also if it is someone else's."""
    return await _one(connection, (orders.c.id == order_id) & (orders.c.user_id == user_id))


async def find_by_key(
    connection: AsyncConnection, user_id: UUID, idempotency_key: str
) -> StoredOrder | None:
    """Return the user's order of an idempotency key."""
    return await _one(
        connection, (orders.c.user_id == user_id) & (orders.c.idempotency_key == idempotency_key)
    )


async def get(connection: AsyncConnection, order_id: UUID) -> StoredOrder:
    """Return an order that is known to exist, whoever owns it."""
    order = await _one(connection, orders.c.id == order_id)
    if order is None:
        raise LookupError(f"order {order_id} has vanished")
    return order


async def history(
    connection: AsyncConnection, user_id: UUID, page: PageRequest
) -> tuple[list[StoredOrder], int]:
    """Return a page of the user's orders, newest first, and how many there are in all."""
    mine = orders.c.user_id == user_id
    count = select(func.count()).select_from(orders).where(mine)
    total = (await connection.execute(count)).scalar_one()
    rows = (
        await connection.execute(
            select(*_COLUMNS)
            .where(mine)
            .order_by(orders.c.created_at.desc(), orders.c.id)
            .limit(page.page_size)
            .offset(page.offset)
        )
    ).all()
    return await _with_lines(connection, rows), total


async def take_lease(connection: AsyncConnection, order_id: UUID, lease_s: float) -> bool:
    """Become the one who works on a pending order; False while another does, or if final."""
    result = await connection.execute(
        update(orders)
        .where(
            orders.c.id == order_id,
            orders.c.status == "pending",
            orders.c.lease_until <= func.now(),
        )
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
    )
    return result.rowcount == 1


async def drop_lease(connection: AsyncConnection, order_id: UUID) -> None:
    """Let others work on a pending order."""
    await connection.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.status == "pending")
        .values(lease_until=func.now())
    )


async def lease_abandoned(
    connection: AsyncConnection, *, lease_s: float, oldest_age_s: float, limit: int
) -> list[StoredOrder]:
    """Take over pending orders nobody works on, the longest untried first.

    Orders older than `oldest_age_s` are left: the gateway has forgotten their key by then, so
    that trying again could charge twice.
    """
    free = (
        select(orders.c.id)
        .where(
            orders.c.status == "pending",
            orders.c.lease_until <= func.now(),
            orders.c.created_at > func.now() - timedelta(seconds=oldest_age_s),
        )
        .order_by(orders.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (
        await connection.execute(
            update(orders)
            .where(orders.c.id.in_(free))
            .values(lease_until=func.now() + timedelta(seconds=lease_s))
            .returning(*_COLUMNS)
        )
    ).all()
    return await _with_lines(connection, rows)


async def mark_paid(connection: AsyncConnection, order_id: UUID, reference: str) -> bool:
    """Make a pending order paid; False if it was final already."""
    return await _finish(
        connection, order_id, status="paid", payment_reference=reference, paid_at=func.now()
    )


async def mark_failed(connection: AsyncConnection, order_id: UUID, code: str) -> bool:
    """Make a pending order failed; False if it was final already."""
    return await _finish(connection, order_id, status="payment_failed", failure_code=code[:64])


async def _finish(connection: AsyncConnection, order_id: UUID, **values: Any) -> bool:
    result = await connection.execute(
        update(orders).where(orders.c.id == order_id, orders.c.status == "pending").values(**values)
    )
    return result.rowcount == 1


async def _one(connection: AsyncConnection, condition: ColumnElement[bool]) -> StoredOrder | None:
    row = (await connection.execute(select(*_COLUMNS).where(condition))).one_or_none()
    if row is None:
        return None
    return (await _with_lines(connection, [row]))[0]


async def _with_lines(connection: AsyncConnection, rows: Sequence[Any]) -> list[StoredOrder]:
    if not rows:
        return []
    lines: dict[UUID, list[OrderLine]] = defaultdict(list)
    found = await connection.execute(
        select(order_items)
        .where(order_items.c.order_id.in_([row.id for row in rows]))
        .order_by(order_items.c.order_id, order_items.c.product_id)
    )
    for order_id, product_id, name, unit_price_minor, quantity in found:
        lines[order_id].append(OrderLine(product_id, name, unit_price_minor, quantity))
    return [StoredOrder(**row._mapping, lines=tuple(lines[row.id])) for row in rows]
