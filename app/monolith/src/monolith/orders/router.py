"""Endpoints of the orders module."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from monolith.auth.dependencies import CurrentUser, SecuredRoute
from monolith.orders.repository import StoredOrder
from monolith.orders.schemas import Order, OrderItem, OrderPage
from monolith.orders.service import OrderService
from shopcore.page import PageRequest
from shopcore.schemas import Money, Page, PageSize, UuidText

router = APIRouter(route_class=SecuredRoute)


async def _service(request: Request) -> OrderService:
    service: OrderService = request.app.state.services.orders
    return service


Service = Annotated[OrderService, Depends(_service)]


@router.get("/api/v1/orders")
async def list_orders(
    user_id: CurrentUser,
    service: Service,
    response: Response,
    page: Page = 1,
    page_size: PageSize = 20,
) -> OrderPage:
    """Return the caller's orders, newest first."""
    response.headers["Cache-Control"] = "no-store"
    found, total = await service.history(user_id, PageRequest(page, page_size))
    return OrderPage(
        items=[shown_order(order) for order in found], total=total, page=page, page_size=page_size
    )


@router.get("/api/v1/orders/{order_id}")
async def get_order(
    order_id: UuidText, user_id: CurrentUser, service: Service, response: Response
) -> Order:
    """Return one of the caller's orders."""
    response.headers["Cache-Control"] = "no-store"
    return shown_order(await service.get(user_id, UUID(order_id)))


def shown_order(order: StoredOrder) -> Order:
    """Return the order as the contract shows it."""
    return Order(
        id=order.id,
        status=order.status,
        items=[
            OrderItem(
                product_id=line.product_id,
                name=line.name,
                unit_price=Money(amount=line.unit_price_minor, currency=order.currency),
                quantity=line.quantity,
                line_total=Money(
                    amount=line.unit_price_minor * line.quantity, currency=order.currency
                ),
            )
            for line in order.lines
        ],
        total=Money(amount=order.total_minor, currency=order.currency),
        payment_method=order.payment_method,
        payment_reference=order.payment_reference,
        failure_code=order.failure_code,
        created_at=order.created_at,
        paid_at=order.paid_at,
    )
