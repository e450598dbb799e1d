"""The application: modules wired together, routes, start and stop."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from redis.asyncio import Redis

from monolith.auth.passwords import Passwords
from monolith.auth.router import router as auth_router
from monolith.auth.service import AuthService
from monolith.auth.sessions import LoginBrake, Sessions
from monolith.auth.tokens import AccessTokens
from monolith.cart.router import router as cart_router
from monolith.cart.service import CartService
from monolith.cart.store import CartStore
from monolith.checkout.gateway import PaymentGateway
from monolith.checkout.recovery import Recovery
from monolith.checkout.router import router as checkout_router
from monolith.checkout.service import CheckoutService
from monolith.orders.router import router as orders_router
from monolith.orders.service import OrderService
from monolith.schema import SCHEMA
from monolith.settings import Settings
from monolith.storefront import Storefront
from shopcatalogue.router import router as catalogue_router
from shopcatalogue.service import Catalogue
from shopcore.application import make_application
from shopcore.database import Database
from shopcore.health import Store
from shopcore.health import router as health_router
from shopcore.startup import Startup, wait_until_up
from shopcore.valkey import make_valkey

ROUTERS = (
    auth_router,
    catalogue_router,
    cart_router,
    checkout_router,
    orders_router,
    health_router,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers reach through the application's state."""

    database: Database
    valkey: Redis
    tokens: AccessTokens
    passwords: Passwords
    gateway: PaymentGateway
    carts: CartStore
    auth: AuthService
    catalogue: Catalogue
    cart: CartService
    checkout: CheckoutService
    orders: OrderService
    recovery: Recovery
    startup: Startup

    @property
    def stores(self) -> Mapping[str, Store]:
        """What the shop cannot do without."""
        return {"database": self.database, "cart_store": self.carts}

    async def run(self) -> None:
        """Bring to an end what an earlier process has left, and what is cut off from now on."""
        await self.recovery.run()

    async def close(self) -> None:
        """Close connections and threads."""
        self.passwords.close()
        self.gateway.close()
        await self.database.close()
        await self.valkey.aclose()


def build_services(settings: Settings) -> Services:
    """Wire the modules; nothing connects yet."""
    database = Database(settings)
    valkey = make_valkey(settings.valkey_url, timeout_s=settings.valkey_timeout_s)
    carts = CartStore(valkey, settings.cart_ttl_s)
    tokens = AccessTokens(settings)
    passwords = Passwords()
    gateway = PaymentGateway(settings)
    checkout = CheckoutService(database, carts, gateway, settings.payment_lease_s)

    async def prepare_database() -> None:
        await SCHEMA.prepare(settings)
        database.open()

    async def prepare() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gateway.warm_up())
                tasks.create_task(
                    wait_until_up(
                        "the cart store", carts.ping, timeout_s=settings.startup_timeout_s
                    )
                )
                tasks.create_task(prepare_database())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first to fail; the rest were cancelled

    return Services(
        database=database,
        valkey=valkey,
        tokens=tokens,
        passwords=passwords,
        gateway=gateway,
        carts=carts,
        auth=AuthService(
            database,
            passwords,
            tokens,
            Sessions(valkey, settings.refresh_token_ttl_s),
            LoginBrake(valkey),
        ),
        catalogue=Catalogue(database),
        cart=CartService(database, carts),
        checkout=checkout,
        orders=OrderService(database),
        recovery=Recovery(database, checkout, settings.recovery_interval_s),
        startup=Startup(prepare=prepare),
    )


def create_app(settings: Settings) -> FastAPI:
    """Return the application."""
    app = make_application(settings, build_services(settings), ROUTERS)
    if settings.storefront_dir is not None:
        app.router.default = Storefront(settings.storefront_dir, app.router.default)
    return app
