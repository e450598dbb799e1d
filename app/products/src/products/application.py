"""The application: parts wired together, routes, start and stop."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI

from products.cache import Cache, connect
from products.catalogue import CachedCatalogue
from products.lookup import router as lookup_router
from products.reservations.router import router as reservations_router
from products.reservations.service import Reservations
from products.schema import SCHEMA
from products.settings import Settings
from shopcatalogue.router import router as catalogue_router
from shopcatalogue.service import Catalogue
from shopcore.application import make_application
from shopcore.database import Database
from shopcore.health import Store
from shopcore.health import router as health_router
from shopcore.startup import Startup

ROUTERS = (catalogue_router, lookup_router, reservations_router, health_router)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers reach through the application's state."""

    database: Database
    cache: Cache
    catalogue: CachedCatalogue
    reservations: Reservations
    startup: Startup

    @property
    def stores(self) -> Mapping[str, Store]:
        """What the service cannot do without; a cache is not among it."""
        return {"database": self.database}

    async def run(self) -> None:
        """Use the cache whenever it is there."""
        await self.cache.run()

    async def close(self) -> None:
        """Close every connection."""
        await self.database.close()
        await self.cache.close()


def build_services(settings: Settings) -> Services:
    """Wire the parts; nothing connects yet."""
    database = Database(settings)
    cache = Cache(connect(settings.valkey_url) if settings.valkey_url else None)
    catalogue = CachedCatalogue(Catalogue(database), cache)

    async def prepare() -> None:
        await SCHEMA.prepare(settings)
        database.open()

    return Services(
        database=database,
        cache=cache,
        catalogue=catalogue,
        reservations=Reservations(database, catalogue),
        startup=Startup(prepare=prepare),
    )


def create_app(settings: Settings) -> FastAPI:
    """Return the application."""
    return make_application(settings, build_services(settings), ROUTERS)
