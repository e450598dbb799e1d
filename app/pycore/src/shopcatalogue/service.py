"""What the catalogue can do."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from shopcatalogue import repository
from shopcatalogue.repository import Shortage
from shopcatalogue.schemas import Product, ProductPage
from shopcore.database import Database
from shopcore.page import PageRequest
from shopcore.problems import Problem, ProblemType

_PRODUCT = TypeAdapter(Product)
_PAGE = TypeAdapter(ProductPage)


class Catalogue:
    """Search and detail. Answers are JSON as the contract has it, written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, query: str | None, page: PageRequest) -> bytes:
        """Return a page of products and the number of all that match; all without a query."""
        async with self._database.reading() as connection:
            found, total = await repository.search(connection, query, page)
        return _PAGE.dump_json(
            ProductPage(
                items=[Product.of(product) for product in found],
                total=total,
                page=page.page,
                page_size=page.page_size,
            )
        )

    async def get(self, product_id: int) -> bytes:
        """Return a product; 404 if there is none of that id."""
        async with self._database.reading() as connection:
            product = await repository.find_one(connection, product_id)
        if product is None:
            raise product_not_found(product_id)
        return _PRODUCT.dump_json(Product.of(product))


def product_not_found(product_id: int) -> Problem:
    """Return the 404 problem."""
    return Problem(ProblemType.PRODUCT_NOT_FOUND, f"There is no product {product_id}.")


def out_of_stock(shortages: Sequence[Shortage]) -> Problem:
    """Return the 409 problem that says of what there is too little."""
    return Problem(
        ProblemType.OUT_OF_STOCK,
        "There is less in stock than the cart asks for.",
        shortages=[
            {
                "product_id": shortage.product_id,
                "requested": shortage.requested,
                "available": shortage.available,
            }
            for shortage in shortages
        ],
    )
