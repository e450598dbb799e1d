"""Recovery: brings orders to an end whose checkout was cut off, at start and from then on."""

import asyncio
import logging

from monolith.checkout.service import CheckoutService
from monolith.orders import repository as orders
from shopcore.database import Database
from shopcore.problems import Problem, ProblemType

BATCH = 20
# The gateway remembers idempotency keys for 24 h. After that a repetition could charge again,
# so older orders stay pending for a human to look at.
GATEWAY_MEMORY_S = 23 * 3600.0

log = logging.getLogger(__name__)


class Recovery:
    """Settles pending orders that nobody holds."""

    def __init__(self, database: Database, checkout: CheckoutService, interval_s: float) -> None:
        self._database = database
        self._checkout = checkout
        self._interval_s = interval_s

    async def run(self) -> None:
        """Run passes for ever, `interval_s` apart."""
        while True:
            try:
                await self.run_once()
            except Problem as problem:
                log.warning("recovery pass cut short", extra={"reason": problem.kind.slug})
            except Exception:
                log.exception("recovery pass failed")
            await asyncio.sleep(self._interval_s)

    async def run_once(self) -> int:
        """Settle one batch and return how many orders became final.

        Stops at the first gateway fault, so that a dead gateway gets one call per pass.
        """
        async with self._database.transaction() as connection:
            batch = await orders.lease_abandoned(
                connection,
                lease_s=self._checkout.lease_s,
                oldest_age_s=GATEWAY_MEMORY_S,
                limit=BATCH,
            )
        settled = 0
        for index, order in enumerate(batch):
            try:
                await self._checkout.settle(order)
            except Problem as problem:
                if problem.kind is not ProblemType.PAYMENT_DECLINED:
                    await self._give_back(batch[index + 1 :])
                    raise
            settled += 1
            log.info("order recovered", extra={"order_id": str(order.id)})
        return settled

    async def _give_back(self, rest: list[orders.StoredOrder]) -> None:
        async with self._database.transaction() as connection:
            for order in rest:
                await orders.drop_lease(connection, order.id)
