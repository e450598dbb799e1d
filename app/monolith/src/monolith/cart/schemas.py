"""Bodies of the cart endpoints."""

from shopcore.schemas import Input, Money, Output, Quantity


class CartItemChange(Input):
    """How many of a product the cart should hold."""

    quantity: Quantity


class CartItem(Output):
    """A product in the cart, at today's price."""

    product_id: int
    name: str
    unit_price: Money
    quantity: int
    line_total: Money


class Cart(Output):
    """The cart, in the order of product ids."""

    items: list[CartItem]
    total: Money
