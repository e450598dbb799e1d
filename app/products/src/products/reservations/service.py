"""What reservations can do."""

from collections.abc import Mapping
from uuid import UUID

from products.catalogue import CachedCatalogue
from products.reservations import repository
from products.reservations.schemas import Reservation, ReservedLine
from shopcatalogue import repository as products
from shopcatalogue.service import out_of_stock
from shopcore.database import Database
from shopcore.problems import Problem, ProblemType
from shopcore.schemas import Money


class Reservations:
    """Takes stock and gives it back, once per reservation, each in one transaction."""

    def __init__(self, database: Database, catalogue: CachedCatalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    async def make(self, reservation_id: UUID, quantities: Mapping[int, int]) -> Reservation:
        """Take the quantities, all or none; a repetition takes nothing and answers the same.

        Problems: out-of-stock leaves no trace; reservation-released is final for the id.
        """
        async with self._database.transaction() as connection:
            if not await repository.claim(connection, reservation_id, repository.HELD):
                lines = await repository.held_lines(connection, reservation_id)
                if lines is None:
                    raise Problem(
                        ProblemType.RESERVATION_RELEASED, "This reservation was released."
                    )
                return Reservation.model_validate({"lines": lines})
            found, shortages = await products.reserve(connection, quantities)
            if shortages:
                raise out_of_stock(shortages)
            reservation = Reservation(
                lines=[
                    ReservedLine(
                        product_id=product_id,
                        name=found[product_id].name,
                        unit_price=Money(
                            amount=found[product_id].price_minor,
                            currency=found[product_id].currency,
                        ),
                        quantity=quantity,
                    )
                    for product_id, quantity in sorted(quantities.items())
                ]
            )
            await repository.fill(
                connection, reservation_id, [line.model_dump() for line in reservation.lines]
            )
        await self._catalogue.stock_changed(quantities)
        return reservation

    async def release(self, reservation_id: UUID) -> None:
        """Give the stock back, once; a reservation that is not there can no longer be made."""
        async with self._database.transaction() as connection:
            if await repository.claim(connection, reservation_id, repository.RELEASED):
                return
            lines = await repository.release(connection, reservation_id)
            quantities = {line["product_id"]: line["quantity"] for line in lines}
            if quantities:
                await products.restock(connection, quantities)
        if quantities:
            await self._catalogue.stock_changed(quantities)
