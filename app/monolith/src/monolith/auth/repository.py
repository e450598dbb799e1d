"""Accounts in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from monolith.auth.tables import users


@dataclass(frozen=True, slots=True)
class Account:
    """A stored account."""

    id: UUID
    email: str
    name: str
    password_hash: str
    created_at: datetime


async def add(
    connection: AsyncConnection, *, email: str, name: str, password_hash: str
) -> Account | None:
    """Store an account; None if the address is taken."""
    statement = (
        insert(users)
        .values(id=uuid4(), email=email, name=name, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[users.c.email])
        .returning(users)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return Account(**row) if row else None


async def find_by_email(connection: AsyncConnection, email: str) -> Account | None:
    """Return the account of an address, which is compared in lower case."""
    statement = select(users).where(users.c.email == email)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return Account(**row) if row else None
