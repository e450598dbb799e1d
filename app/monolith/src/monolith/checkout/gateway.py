"""The payment gateway: Stripe's own SDK behind one call with three possible answers.

Either the gateway said yes (`Paid`), or it said no (`Declined`), or the outcome is not known
(`GatewayFault`). The SDK is synchronous, so it runs in its own few threads: a slow gateway can
exhaust those, not the event loop nor the threads of anything else.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from monolith.checkout.metrics import PAYMENTS
from monolith.settings import Settings
from shopcore.problems import Problem, ProblemType

if TYPE_CHECKING:
    from stripe import StripeClient

THREADS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Paid:
    """The money has moved; `reference` is the gateway's id of the payment."""

    reference: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The gateway refused, and no repetition will change that."""

    code: str


class GatewayFault(Exception):
    """No answer that settles the payment: it may have happened or not."""

    def __init__(self, kind: ProblemType, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail

    def as_problem(self, order_id: UUID) -> Problem:
        """Return the problem for the client, who may repeat the checkout with the same key."""
        return Problem(
            self.kind,
            f"{self.detail} The order is pending; repeat the checkout with the same"
            " Idempotency-Key to learn its outcome. It is never charged twice.",
            headers={"Retry-After": "2"},
            order_id=str(order_id),
        )


class PaymentGateway:
    """Charges a payment method for an order."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="payment")
        self._client: StripeClient | None = None

    async def warm_up(self) -> None:
        """Import the SDK ahead of the first payment."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._stripe)

    async def charge(
        self, *, order_id: UUID, amount_minor: int, currency: str, payment_method: str
    ) -> Paid | Declined:
        """Charge an order once, however often this is called for it.

        The order's id is the gateway's idempotency key. Raises GatewayFault if the outcome is
        not known within `payment_deadline_s`, waiting for a free thread included.
        """
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(
            self._threads, self._charge, order_id, amount_minor, currency, payment_method
        )
        try:
            outcome = await asyncio.wait_for(call, self._settings.payment_deadline_s)
        except TimeoutError:
            PAYMENTS.labels("timeout").inc()
            raise GatewayFault(
                ProblemType.PAYMENT_GATEWAY_TIMEOUT, "The payment gateway is too slow."
            ) from None
        except GatewayFault as fault:
            PAYMENTS.labels(fault.kind.slug.removeprefix("payment-gateway-")).inc()
            raise
        PAYMENTS.labels("paid" if isinstance(outcome, Paid) else "declined").inc()
        return outcome

    def _stripe(self) -> "StripeClient":
        if self._client is None:
            # Imported here: the SDK is large, and the service is live without it.
            import stripe

            self._client = stripe.StripeClient(
                self._settings.stripe_api_key.get_secret_value(),
                base_addresses={"api": self._settings.stripe_api_base},
                max_network_retries=self._settings.stripe_max_retries,
                http_client=stripe.RequestsClient(timeout=self._settings.stripe_timeout_s),
            )
        return self._client

    def _charge(
        self, order_id: UUID, amount_minor: int, currency: str, payment_method: str
    ) -> Paid | Declined:
        import stripe

        try:
            intent = self._stripe().v1.payment_intents.create(
                {
                    "amount": amount_minor,
                    "currency": currency.lower(),
                    "payment_method": payment_method,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "confirm": True,
                    "metadata": {"order_id": str(order_id)},
                    "expand": ["latest_charge"],
                },
                {"idempotency_key": f"order-{order_id}"},
            )
        except stripe.CardError as error:
            return Declined(
                str((error.error and error.error.decline_code) or error.code or "card_declined")
            )
        except stripe.InvalidRequestError as error:
            log.warning("payment refused as invalid", extra={"code": error.code})
            return Declined(str(error.code or "invalid_request"))
        except stripe.APIConnectionError as error:
            raise _connection_fault(error) from error
        except stripe.StripeError as error:
            log.error(
                "payment gateway failed",
                extra={"error": type(error).__name__, "http_status": error.http_status},
            )
            raise GatewayFault(
                ProblemType.PAYMENT_GATEWAY_ERROR, "The payment gateway failed."
            ) from error
        # The charge is what moved money. An intent that asks the customer for another step has
        # none, and this shop has no page for such a step.
        charge = intent.latest_charge
        if charge is not None and not isinstance(charge, str):
            if charge.paid and charge.status == "succeeded":
                return Paid(intent.id)
            if charge.status == "failed":
                return Declined(str(charge.failure_code or "card_declined"))
        if intent.status in ("requires_action", "requires_payment_method", "canceled"):
            return Declined(intent.status)
        raise GatewayFault(
            ProblemType.PAYMENT_GATEWAY_ERROR, "The payment gateway has not settled the payment."
        )

    def close(self) -> None:
        """Start no more payments; one that is under way is settled by recovery if need be."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _connection_fault(error: Exception) -> GatewayFault:
    import requests

    if isinstance(error.__cause__, requests.exceptions.Timeout):
        return GatewayFault(
            ProblemType.PAYMENT_GATEWAY_TIMEOUT, "The payment gateway did not answer in time."
        )
    return GatewayFault(
        ProblemType.PAYMENT_GATEWAY_UNAVAILABLE, "The payment gateway cannot be reached."
    )
