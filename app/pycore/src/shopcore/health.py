"""Health and metrics: what orchestrators and Prometheus ask of every service."""

import asyncio
from collections.abc import Mapping
from typing import Literal, Protocol

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shopcore.http import ContractRoute
from shopcore.problems import Problem, ProblemType
from shopcore.schemas import Output

CHECK_TIMEOUT_S = 1.0

router = APIRouter(route_class=ContractRoute)

State = Literal["up", "down", "unknown"]


class Store(Protocol):
    """What the service keeps its data in."""

    async def ping(self) -> None:
        """Ask for an answer; raises a problem if there is none."""


class Liveness(Output):
    """The process answers."""

    status: Literal["live"] = "live"


class Readiness(Output):
    """The service and what it cannot do without."""

    status: Literal["ready"] = "ready"
    checks: dict[str, State]


@router.get("/health/live")
async def live() -> Liveness:
    """Answer, from the first moment on."""
    return Liveness()


@router.get("/health/ready")
async def ready(request: Request, response: Response) -> Readiness:
    """Ask the service's stores; 503 before start-up is done and while one is down."""
    response.headers["Cache-Control"] = "no-store"
    services = request.app.state.services
    stores: Mapping[str, Store] = services.stores
    if not services.startup.done:
        raise _not_ready("Start-up is not finished.", dict.fromkeys(stores, "unknown"))
    states = await asyncio.gather(*(_check(store) for store in stores.values()))
    checks: dict[str, State] = dict(zip(stores, states, strict=True))
    if "down" in states:
        raise _not_ready("A part the service cannot do without does not answer.", checks)
    return Readiness(checks=checks)


@router.get("/metrics")
async def metrics() -> Response:
    """Return metrics in Prometheus's text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _check(store: Store) -> State:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await store.ping()
    except (Problem, TimeoutError):
        return "down"
    return "up"


def _not_ready(detail: str, checks: Mapping[str, State]) -> Problem:
    return Problem(ProblemType.NOT_READY, detail, headers={"Retry-After": "1"}, checks=dict(checks))
