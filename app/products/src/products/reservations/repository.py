"""Reservations in PostgreSQL.

Each transaction takes its reservation's row first and the products' rows, in the order of their
ids, after it: so none can wait for one that waits for it.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from products.reservations.tables import reservations

HELD = "held"
RELEASED = "released"

Lines = Sequence[dict[str, Any]]


async def claim(connection: AsyncConnection, reservation_id: UUID, status: str) -> bool:
    """Insert the row, still without lines; False if there is one already.

    A concurrent claim of the same id waits here until the first transaction has ended.
    """
    statement = (
        insert(reservations)
        .values(id=reservation_id, status=status, lines=[])
        .on_conflict_do_nothing(index_elements=[reservations.c.id])
        .returning(reservations.c.id)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def fill(connection: AsyncConnection, reservation_id: UUID, lines: Lines) -> None:
    """Write the lines of a reservation that was just claimed."""
    await connection.execute(
        update(reservations).where(reservations.c.id == reservation_id).values(lines=lines)
    )


async def held_lines(connection: AsyncConnection, reservation_id: UUID) -> Lines | None:
    """Return the lines of a reservation that exists; None if it was released."""
    statement = select(reservations.c.lines).where(
        reservations.c.id == reservation_id, reservations.c.status == HELD
    )
    lines: Lines | None = (await connection.execute(statement)).scalar_one_or_none()
    return lines


async def release(connection: AsyncConnection, reservation_id: UUID) -> Lines:
    """Release a reservation and return the lines that are to go back; none the second time."""
    statement = (
        update(reservations)
        .where(reservations.c.id == reservation_id, reservations.c.status == HELD)
        .values(status=RELEASED)
        .returning(reservations.c.lines)
    )
    lines: Lines | None = (await connection.execute(statement)).scalar_one_or_none()
    return lines or ()
