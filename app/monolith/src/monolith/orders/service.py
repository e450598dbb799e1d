"""What the order history can do."""

from uuid import UUID

from monolith.orders import repository
from monolith.orders.repository import StoredOrder
from shopcore.database import Database
from shopcore.page import PageRequest
from shopcore.problems import Problem, ProblemType


class OrderService:
    """Reads the caller's own orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, user_id: UUID, page: PageRequest) -> tuple[list[StoredOrder], int]:
        """Return a page of the user's orders and how many there are in all."""
        async with self._database.transaction() as connection:
            return await repository.history(connection, user_id, page)

    async def get(self, user_id: UUID, order_id: UUID) -> StoredOrder:
        """Return an order; someone else's is 404, as if it were not there."""
        async with self._database.transaction() as connection:
            order = await repository.find(connection, user_id, order_id)
        if order is None:
            raise Problem(ProblemType.ORDER_NOT_FOUND, "You have no order of this id.")
        return order
