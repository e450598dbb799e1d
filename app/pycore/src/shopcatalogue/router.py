"""Endpoints of the catalogue."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from shopcore.http import ContractRoute
from shopcore.page import PageRequest
from shopcore.schemas import CleanText, Page, PageSize, ProductId

router = APIRouter(route_class=ContractRoute)

SearchText = Annotated[str, StringConstraints(max_length=100), CleanText, Query()]


class Answers(Protocol):
    """Where the answers come from: the catalogue, or a cache in front of it."""

    async def search(self, query: str | None, page: PageRequest) -> bytes:
        """Return a page in JSON."""

    async def get(self, product_id: int) -> bytes:
        """Return a product in JSON."""


@router.get("/api/v1/products/{product_id}")
async def get_product(product_id: ProductId, request: Request) -> Response:
    """Return one product."""
    return _json(await _catalogue(request).get(product_id))


@router.get("/api/v1/products")
async def list_products(
    request: Request, q: SearchText = "", page: Page = 1, page_size: PageSize = 20
) -> Response:
    """Search the catalogue, or list all of it without `q`."""
    found = await _catalogue(request).search(q.strip() or None, PageRequest(page, page_size))
    return _json(found)


def _catalogue(request: Request) -> Answers:
    # Not a FastAPI dependency: resolving one takes longer than what it gives is worth here.
    catalogue: Answers = request.app.state.services.catalogue
    return catalogue


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
