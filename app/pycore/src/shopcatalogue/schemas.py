"""Bodies of the catalogue's endpoints."""

from typing import Self

from shopcatalogue.repository import StoredProduct
from shopcore.schemas import Money, Output


class Product(Output):
    """A product as customers see it."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    price: Money
    stock: int

    @classmethod
    def of(cls, product: StoredProduct) -> Self:
        """Return a stored product as customers see it."""
        return cls(
            id=product.id,
            sku=product.sku,
            name=product.name,
            description=product.description,
            category=product.category,
            price=Money(amount=product.price_minor, currency=product.currency),
            stock=product.stock,
        )


class ProductPage(Output):
    """One page of the catalogue or of a search."""

    items: list[Product]
    total: int
    page: int
    page_size: int
