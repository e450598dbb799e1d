"""Endpoints of the cart module."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import StringConstraints

from monolith.auth.dependencies import CurrentUser, SecuredRoute
from monolith.cart.schemas import Cart, CartItem, CartItemChange
from monolith.cart.service import CartService, PricedCart
from shopcore.schemas import CURRENCY, Money, ProductId

router = APIRouter(route_class=SecuredRoute)

IfMatch = Annotated[
    Annotated[str, StringConstraints(pattern=r'^("[A-Za-z0-9]{1,32}"|\*)$')] | None,
    Header(alias="If-Match"),
]


async def _service(request: Request) -> CartService:
    service: CartService = request.app.state.services.cart
    return service


Service = Annotated[CartService, Depends(_service)]


@router.get("/api/v1/cart")
async def get_cart(user_id: CurrentUser, service: Service, response: Response) -> Cart:
    """Return the caller's cart."""
    return _shown(await service.get(user_id), response)


@router.put("/api/v1/cart/items/{product_id}")
async def put_item(
    product_id: ProductId,
    change: CartItemChange,
    user_id: CurrentUser,
    service: Service,
    response: Response,
    if_match: IfMatch = None,
) -> Cart:
    """Set how many of a product the cart holds."""
    cart = await service.put(user_id, product_id, change.quantity, _version(if_match))
    return _shown(cart, response)


@router.delete("/api/v1/cart/items/{product_id}", status_code=204, response_class=Response)
async def delete_item(
    product_id: ProductId, user_id: CurrentUser, service: Service, if_match: IfMatch = None
) -> None:
    """Take a product out of the cart."""
    await service.remove(user_id, product_id, _version(if_match))


@router.delete("/api/v1/cart", status_code=204, response_class=Response)
async def delete_cart(user_id: CurrentUser, service: Service, if_match: IfMatch = None) -> None:
    """Empty the cart."""
    await service.clear(user_id, _version(if_match))


def _version(if_match: str | None) -> str | None:
    return None if if_match in (None, "*") else if_match.strip('"')


def _shown(cart: PricedCart, response: Response) -> Cart:
    response.headers["ETag"] = f'"{cart.version}"'
    response.headers["Cache-Control"] = "no-store"
    items = [
        CartItem(
            product_id=product.id,
            name=product.name,
            unit_price=Money(amount=product.price_minor, currency=product.currency),
            quantity=quantity,
            line_total=Money(amount=product.price_minor * quantity, currency=product.currency),
        )
        for product, quantity in cart.lines
    ]
    total = sum(item.line_total.amount for item in items)
    return Cart(items=items, total=Money(amount=total, currency=CURRENCY))
