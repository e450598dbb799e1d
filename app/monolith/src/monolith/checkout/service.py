"""Checkout: reserve, record, pay, settle.

1. One transaction claims the idempotency key with a pending order, takes the stock and writes
   the lines at the catalogue's prices. Either all of it is there or nothing.
2. The payment runs outside any transaction, under a lease on the order, so that neither a row
   lock nor a connection is held while the gateway thinks. The order's id is the gateway's own
   idempotency key.
3. A second transaction makes the order paid, or failed with the stock put back. Only then does
   the customer get an answer, so an acknowledged order is on disk.

A fault between 1 and 3 leaves a pending order. The customer's repetition with the same key, or
else the recovery of `checkout.recovery`, goes on at 2; the gateway's key makes that harmless.
"""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from monolith.cart.store import CartStore
from monolith.checkout.gateway import Declined, GatewayFault, Paid, PaymentGateway
from monolith.checkout.metrics import ORDERS
from monolith.orders import repository as orders
from monolith.orders.repository import OrderLine, StoredOrder
from shopcatalogue import repository as products
from shopcatalogue.service import out_of_stock
from shopcore.database import Database
from shopcore.problems import Problem, ProblemType
from shopcore.schemas import CURRENCY

# How long a repetition waits for the checkout it repeats before it says "still in progress".
REPLAY_WAIT_S = 3.0
REPLAY_POLL_S = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """A paid order; `replayed` if an earlier request of the same key had paid it."""

    order: StoredOrder
    replayed: bool


class CheckoutService:
    """Turns the caller's cart into a paid order."""

    def __init__(
        self, database: Database, carts: CartStore, gateway: PaymentGateway, lease_s: float
    ) -> None:
        self._database = database
        self._carts = carts
        self._gateway = gateway
        self.lease_s = lease_s

    async def check_out(self, user_id: UUID, idempotency_key: str, payment_method: str) -> Settled:
        """Buy what is in the cart, once per key.

        Problems: cart-empty and out-of-stock leave no trace, the key can be used again;
        payment-declined is final for the key; a gateway fault leaves the order pending.
        """
        async with self._database.transaction() as connection:
            earlier = await orders.find_by_key(connection, user_id, idempotency_key)
        if earlier is None:
            order = await self._record(user_id, idempotency_key, payment_method)
            if order is not None:
                return Settled(await self.settle(order), replayed=False)
        return await self._repeat(user_id, idempotency_key, payment_method)

    async def _record(
        self, user_id: UUID, idempotency_key: str, payment_method: str
    ) -> StoredOrder | None:
        """Write the pending order; None if a concurrent request of the key was first."""
        cart = await self._carts.read(user_id)
        async with self._database.transaction() as connection:
            order_id = await orders.claim_key(
                connection,
                user_id=user_id,
                idempotency_key=idempotency_key,
                payment_method=payment_method,
                currency=CURRENCY,
                lease_s=self.lease_s,
            )
            if order_id is None:
                return None
            if not cart.quantities:
                raise Problem(ProblemType.CART_EMPTY, "Put something into the cart first.")
            found, shortages = await products.reserve(connection, cart.quantities)
            if shortages:
                raise out_of_stock(shortages)
            await orders.fill(
                connection,
                order_id,
                [
                    OrderLine(
                        product_id,
                        found[product_id].name,
                        found[product_id].price_minor,
                        quantity,
                    )
                    for product_id, quantity in sorted(cart.quantities.items())
                ],
            )
            return await orders.get(connection, order_id)

    async def _repeat(self, user_id: UUID, idempotency_key: str, payment_method: str) -> Settled:
        """Answer a key that has an order: with its outcome, or by bringing it to one."""
        deadline = monotonic() + REPLAY_WAIT_S
        while True:
            async with self._database.transaction() as connection:
                order = await orders.find_by_key(connection, user_id, idempotency_key)
                if order is None:
                    # The first request was rolled back while this one waited for it.
                    raise _in_progress()
                if order.payment_method != payment_method:
                    raise Problem(
                        ProblemType.IDEMPOTENCY_KEY_REUSED,
                        "This Idempotency-Key was used with another payment method.",
                    )
                leased = order.status == "pending" and await orders.take_lease(
                    connection, order.id, self.lease_s
                )
            if order.status == "paid":
                return Settled(order, replayed=True)
            if order.status == "payment_failed":
                raise _declined(order, replayed=True)
            if leased:
                return Settled(await self.settle(order), replayed=False)
            if monotonic() >= deadline:
                raise _in_progress()
            await asyncio.sleep(REPLAY_POLL_S)

    async def settle(self, order: StoredOrder) -> StoredOrder:
        """Pay a pending order that the caller holds the lease of, and make it final.

        Raises the payment-declined problem, or the gateway's fault with the lease given back.
        """
        try:
            outcome = await self._gateway.charge(
                order_id=order.id,
                amount_minor=order.total_minor,
                currency=order.currency,
                payment_method=order.payment_method,
            )
        except GatewayFault as fault:
            async with self._database.transaction() as connection:
                await orders.drop_lease(connection, order.id)
            raise fault.as_problem(order.id) from fault
        async with self._database.transaction() as connection:
            if isinstance(outcome, Paid):
                changed = await orders.mark_paid(connection, order.id, outcome.reference)
            else:
                changed = await _fail(connection, order, outcome)
            final = await orders.get(connection, order.id)
        if changed:
            ORDERS.labels(final.status).inc()
            if final.status == "paid":
                await self._take_from_cart(final)
        if final.status == "payment_failed":
            raise _declined(final, replayed=False)
        return final

    async def _take_from_cart(self, order: StoredOrder) -> None:
        # The order stands whatever happens here: a cart that keeps bought lines is a nuisance.
        try:
            await self._carts.subtract(order.user_id, order.quantities)
        except Problem:
            log.warning("cart not emptied after payment", extra={"order_id": str(order.id)})


async def _fail(connection: AsyncConnection, order: StoredOrder, outcome: Declined) -> bool:
    changed = await orders.mark_failed(connection, order.id, outcome.code)
    if changed:
        await products.restock(connection, order.quantities)
    return changed


def _declined(order: StoredOrder, *, replayed: bool) -> Problem:
    return Problem(
        ProblemType.PAYMENT_DECLINED,
        "The payment was declined and nothing was charged; try again with a new Idempotency-Key.",
        headers={"Idempotent-Replayed": "true"} if replayed else None,
        order_id=str(order.id),
        code=order.failure_code or "card_declined",
    )


def _in_progress() -> Problem:
    return Problem(
        ProblemType.CHECKOUT_IN_PROGRESS,
        "A checkout with this Idempotency-Key is under way; repeat it shortly.",
        headers={"Retry-After": "1"},
    )
