"""The FastAPI application that every service is: its routes behind the shop's common conduct."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shopcore.health import Store
from shopcore.http import answer_http_exception, answer_invalid_request, answer_problem
from shopcore.middleware import LimitedBody, ObservedRequests
from shopcore.problems import Problem
from shopcore.settings import ServiceSettings
from shopcore.startup import Startup


class Services(Protocol):
    """What the routers reach through the application's state, and what lives as long as it."""

    @property
    def startup(self) -> Startup:
        """What has to be done before the service is ready."""

    @property
    def stores(self) -> Mapping[str, Store]:
        """What the service cannot do without, by its name among readiness's checks."""

    async def run(self) -> None:
        """Do what goes on in the background once start-up is done; cancelled at the end."""

    async def close(self) -> None:
        """Give everything back."""


def api_routes(routers: Sequence[APIRouter]) -> list[APIRoute]:
    """Return every route of the routers."""
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def make_application(
    settings: ServiceSettings, services: Services, routers: Sequence[APIRouter]
) -> FastAPI:
    """Return the application.

    FastAPI's own schema and pages are off: the contract is written by hand, and tests compare
    the routes with it.
    """
    costs = None
    if settings.known_costs:
        from shopcore.known_costs import CostlyRequests, KnownCosts

        costs = KnownCosts.from_text(settings.known_costs)
        services.startup.also(costs.before_ready)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def start_then_run() -> None:
            await services.startup.run()
            if services.startup.done:
                await services.run()

        background = asyncio.create_task(start_then_run())
        yield
        background.cancel()
        await asyncio.wait([background])
        await services.close()

    app = FastAPI(
        title=f"Triptych {settings.service}",
        version=settings.release,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        exception_handlers={
            Problem: answer_problem,
            HTTPException: answer_http_exception,
            RequestValidationError: answer_invalid_request,
        },
    )
    app.state.services = services
    for router in routers:
        app.include_router(router)
    app.state.known_routes = api_routes(routers)
    app.add_middleware(LimitedBody)
    if costs is not None:
        app.add_middleware(CostlyRequests, costs=costs)
    app.add_middleware(ObservedRequests, service=settings.service)  # added last, so it is outermost
    return app
