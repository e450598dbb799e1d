"""The database schema, migrated and seeded by one process at a time before it is used."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shopcore.database import is_database_fault, make_engine
from shopcore.settings import ServiceSettings
from shopcore.startup import StartupError, reason, wait_until_up

TIMEOUT_S = 300.0
_ENVIRONMENT = Path(__file__).parent / "migrations"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seed:
    """Rows that a database starts with. `table` has one row, with the `version` that is there."""

    table: str
    version: int
    write: Callable[[AsyncConnection], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Schema:
    """A service's tables: the directory of its revisions, and what they start with.

    `lock_key` is that of the advisory lock which lets one process at a time change them.
    """

    revisions: Path
    seed: Seed
    lock_key: int

    @property
    def head(self) -> str:
        """The newest revision: a file's name starts with its id."""
        return max(path.name.split("_")[0] for path in self.revisions.glob("[0-9]*.py"))

    async def prepare(self, settings: ServiceSettings) -> None:
        """Migrate and seed, one process at a time; nothing to do costs two small queries."""
        engine = make_engine(settings, pool_size=2, command_timeout_s=TIMEOUT_S)
        try:
            await wait_until_up(
                "the database", lambda: _connect(engine), timeout_s=settings.startup_timeout_s
            )
            async with engine.connect() as connection:
                if await self._is_current(connection):
                    return
            async with engine.connect() as lock:
                await lock.execution_options(isolation_level="AUTOCOMMIT")
                key = {"key": self.lock_key}
                await lock.execute(text("SELECT pg_advisory_lock(:key)"), key)
                if not await self._is_current(lock):  # another process may have done it meanwhile
                    await self._migrate_and_seed(engine, settings.database_schema)
                await lock.execute(text("SELECT pg_advisory_unlock(:key)"), key)
        except SQLAlchemyError as error:
            if not is_database_fault(error):
                raise
            raise StartupError(
                f"the database went away while migrating: {reason(error)}"
            ) from error
        finally:
            await engine.dispose()

    async def _is_current(self, connection: AsyncConnection) -> bool:
        tables = (
            "SELECT to_regclass('alembic_version') IS NOT NULL"
            f" AND to_regclass('{self.seed.table}') IS NOT NULL"
        )
        if not (await connection.execute(text(tables))).scalar_one():
            return False
        versions = (
            "SELECT (SELECT version_num FROM alembic_version),"
            f" (SELECT version FROM {self.seed.table})"
        )
        found = (await connection.execute(text(versions))).one()
        return tuple(found) == (self.head, self.seed.version)

    async def _migrate_and_seed(self, engine: AsyncEngine, schema: str | None) -> None:
        await asyncio.to_thread(_import_alembic)  # large: keep the event loop answering meanwhile
        started = monotonic()
        async with engine.begin() as connection:
            if schema is not None:
                await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            await connection.run_sync(self._upgrade)
        migrated = monotonic()
        async with engine.begin() as connection:
            rows = await self.seed.write(connection)
        log.info(
            "database prepared",
            extra={
                "migrate_s": round(migrated - started, 3),
                "seed_s": round(monotonic() - migrated, 3),
                "rows_written": rows,
            },
        )

    def _upgrade(self, connection: Connection) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_ENVIRONMENT))
        config.set_main_option("version_locations", str(self.revisions))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async def migrate(self, settings: ServiceSettings) -> int:
        """Run the service's command `migrate`; return the exit code."""
        try:
            await self.prepare(settings)
        except StartupError as error:
            log.error("migration failed: %s", error)
            return 1
        log.info("database is up to date")
        return 0


async def _connect(engine: AsyncEngine) -> None:
    async with engine.connect():
        pass


def _import_alembic() -> None:
    import alembic.command
    import alembic.config  # noqa: F401
