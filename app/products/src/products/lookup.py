"""Looking several products up at once: for carts, which name them by id."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from shopcatalogue import repository
from shopcatalogue.schemas import Product
from shopcore.database import Database
from shopcore.http import ContractRoute, invalid_request
from shopcore.problems import FieldError
from shopcore.schemas import MAX_ID, Output

router = APIRouter(route_class=ContractRoute)


class Products(Output):
    """Those of the products asked for that there are, in the order of their ids."""

    items: list[Product]


async def _ids(
    ids: Annotated[str, Query(pattern=r"^[1-9][0-9]{0,9}(,[1-9][0-9]{0,9}){0,49}$")],
) -> set[int]:
    numbers = {int(part) for part in ids.split(",")}
    if max(numbers) > MAX_ID:
        raise invalid_request([FieldError("query", "ids", f"Ids are at most {MAX_ID}")])
    return numbers


@router.get("/internal/v1/products")
async def look_up(ids: Annotated[set[int], Depends(_ids)], request: Request) -> Products:
    """Return the products of up to 50 ids."""
    database: Database = request.app.state.services.database
    async with database.reading() as connection:
        found = await repository.find(connection, ids)
    return Products(items=[Product.of(product) for product in found.values()])
