"""Endpoint of the checkout module."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from monolith.auth.dependencies import CurrentUser, SecuredRoute
from monolith.checkout.schemas import CheckoutRequest, IdempotencyKey
from monolith.checkout.service import CheckoutService
from monolith.orders.router import shown_order
from monolith.orders.schemas import Order

router = APIRouter(route_class=SecuredRoute)


async def _service(request: Request) -> CheckoutService:
    service: CheckoutService = request.app.state.services.checkout
    return service


@router.post("/api/v1/checkout", status_code=201)
async def check_out(
    body: CheckoutRequest,
    user_id: CurrentUser,
    idempotency_key: IdempotencyKey,
    service: Annotated[CheckoutService, Depends(_service)],
    response: Response,
) -> Order:
    """Buy what is in the cart."""
    settled = await service.check_out(user_id, idempotency_key, body.payment_method)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = f"/api/v1/orders/{settled.order.id}"
    if settled.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return shown_order(settled.order)
