"""What carts can do."""

from dataclasses import dataclass
from uuid import UUID

from monolith.cart.store import MAX_LINES, CartStore, Change
from shopcatalogue import repository as products
from shopcatalogue.repository import StoredProduct
from shopcatalogue.service import product_not_found
from shopcore.database import Database
from shopcore.problems import Problem, ProblemType


@dataclass(frozen=True, slots=True)
class PricedCart:
    """The cart's lines with their products, and the cart's version."""

    lines: list[tuple[StoredProduct, int]]
    version: str


class CartService:
    """Reads and changes the caller's own cart; no other is reachable."""

    def __init__(self, database: Database, store: CartStore) -> None:
        self._database = database
        self._store = store

    async def get(self, user_id: UUID) -> PricedCart:
        """Return the cart at today's prices."""
        cart = await self._store.read(user_id)
        if not cart.quantities:
            return PricedCart([], cart.version)
        async with self._database.transaction() as connection:
            found = await products.find(connection, cart.quantities)
        lines = [
            (found[product_id], quantity)
            for product_id, quantity in sorted(cart.quantities.items())
            if product_id in found
        ]
        return PricedCart(lines, cart.version)

    async def put(
        self, user_id: UUID, product_id: int, quantity: int, expected: str | None
    ) -> PricedCart:
        """Set a product's quantity and return the cart."""
        async with self._database.transaction() as connection:
            if product_id not in await products.find(connection, [product_id]):
                raise product_not_found(product_id)
        _check(await self._store.put(user_id, product_id, quantity, expected))
        return await self.get(user_id)

    async def remove(self, user_id: UUID, product_id: int, expected: str | None) -> None:
        """Take a product out."""
        _check(await self._store.remove(user_id, product_id, expected))

    async def clear(self, user_id: UUID, expected: str | None) -> None:
        """Empty the cart."""
        _check(await self._store.clear(user_id, expected))


def _check(change: Change) -> None:
    match change:
        case Change.DONE:
            return
        case Change.VERSION_DIFFERS:
            raise Problem(
                ProblemType.CART_CHANGED, "Read the cart again; its ETag is no longer this one."
            )
        case Change.FULL:
            raise Problem(
                ProblemType.CART_FULL, f"A cart holds at most {MAX_LINES} different products."
            )
