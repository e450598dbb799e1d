"""PostgreSQL through SQLAlchemy Core on asyncpg.

Each module owns its tables; no foreign key crosses modules, so that a module could leave.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL, MetaData, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shopcore.problems import dependency_unavailable
from shopcore.settings import ServiceSettings

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLSTATE classes that mean "the server, not the statement": connection failures, out of
# resources, operator intervention (shutdown, start-up, cancelled by time-out), system error.
_SERVER_FAULTS = ("08", "53", "57", "58")


def is_database_fault(error: BaseException) -> bool:
    """Say whether the error means that the database is away, rather than that we are wrong."""
    if isinstance(error, PoolTimeoutError | DisconnectionError | OSError | asyncpg.InterfaceError):
        return True  # asyncpg's and asyncio's time-outs are OSErrors
    if isinstance(error, asyncpg.PostgresError):
        return str(getattr(error, "sqlstate", None) or "").startswith(_SERVER_FAULTS)
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None
            and error.orig.__cause__ is not None
            and is_database_fault(error.orig.__cause__)
        )
    return False


def make_engine(
    settings: ServiceSettings, *, pool_size: int, command_timeout_s: float
) -> AsyncEngine:
    """Return an engine; it connects when it is first used."""
    server_settings = {"application_name": f"triptych-{settings.service}", "timezone": "UTC"}
    if settings.database_schema is not None:
        server_settings["search_path"] = settings.database_schema
    engine = create_async_engine(
        URL.create(
            "postgresql+asyncpg",
            username=settings.database_user,
            password=settings.database_password.get_secret_value(),
            host=settings.database_host,
            port=settings.database_port,
            database=settings.database_name,
        ),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=min(settings.database_timeout_s, 2.0),
        hide_parameters=True,
        connect_args={
            "timeout": min(settings.database_timeout_s, 2.0),
            "command_timeout": command_timeout_s,
            "server_settings": server_settings,
        },
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def discard_closed(dbapi_connection: Any, _record: object, _proxy: object) -> None:
        # asyncpg notices a lost server at once. Asking it costs no round trip, and the pool
        # replaces the connection instead of failing the first request after an outage.
        if dbapi_connection.driver_connection.is_closed():
            raise DisconnectionError("closed by the server")

    return engine


class Database:
    """Connections from a bounded pool; an outage surfaces as one kind of problem."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._engine = make_engine(
            settings,
            pool_size=settings.database_pool_size,
            command_timeout_s=settings.database_timeout_s,
        )
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._open = False

    def open(self) -> None:
        """Let statements through: the schema is there. Before that, the database counts as away."""
        self._open = True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Commit on leaving, roll back on any exception; 503 when the database is away."""
        with self._faults():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for statements that stand alone; 503 when the database is away.

        Without BEGIN and COMMIT a look-up is one round trip instead of three.
        """
        with self._faults():
            async with self._reading.connect() as connection:
                yield connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if not self._open:
            raise dependency_unavailable("database")
        try:
            yield
        except Exception as error:
            if is_database_fault(error):
                raise dependency_unavailable("database") from error
            raise

    async def ping(self) -> None:
        """Ask the server for an answer; raises the 503 problem if there is none."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
