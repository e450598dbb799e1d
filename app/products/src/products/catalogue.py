"""The catalogue with a cache in front of it."""

import hashlib
from collections.abc import Collection

from products.cache import Cache, Place
from shopcatalogue.service import Catalogue
from shopcore.page import PageRequest

#: Pages share so many keys. There are more pages than memory, and Valkey holds the carts too.
PAGE_KEYS = 256
_ANY_STOCK = "products:stock"


class CachedCatalogue:
    """Search and detail. All that is in the answers is constant but the stock."""

    def __init__(self, catalogue: Catalogue, cache: Cache) -> None:
        self._catalogue = catalogue
        self._cache = cache

    async def search(self, query: str | None, page: PageRequest) -> bytes:
        """Return a page of products and the number of all that match; all without a query."""
        name = hashlib.blake2b(
            f"{page.page} {page.page_size} {query or ''}".encode(), digest_size=12
        )
        place = Place(
            key=f"products:page:{int.from_bytes(name.digest()) % PAGE_KEYS}",
            tag=_ANY_STOCK,
            name=name.hexdigest(),
        )
        return await self._cache.through(place, lambda: self._catalogue.search(query, page))

    async def get(self, product_id: int) -> bytes:
        """Return a product; 404 if there is none of that id."""
        place = Place(key=f"products:item:{product_id}", tag=_stock_of(product_id))
        return await self._cache.through(place, lambda: self._catalogue.get(product_id))

    async def stock_changed(self, product_ids: Collection[int]) -> None:
        """Forget what is cached of the products. To be called after the change's commit."""
        await self._cache.drop([_ANY_STOCK, *map(_stock_of, product_ids)])


def _stock_of(product_id: int) -> str:
    return f"products:stock:{product_id}"
