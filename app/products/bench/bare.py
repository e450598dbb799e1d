"""The hot endpoint alone: what the service may cost more is measured against this.

The same framework, server, pool and statement as the service's GET /api/v1/products/{product_id},
and no more: no middleware, no logs, no metrics, no cache. `python3 bench/bare.py`, with the
service's settings.
"""

import uvicorn
from fastapi import FastAPI, HTTPException

from products.settings import Settings
from shopcatalogue.repository import find_one
from shopcatalogue.schemas import Product
from shopcore.database import make_engine

settings = Settings.from_env()
engine = make_engine(
    settings,
    pool_size=settings.database_pool_size,
    command_timeout_s=settings.database_timeout_s,
).execution_options(isolation_level="AUTOCOMMIT")
app = FastAPI(openapi_url=None)


@app.get("/api/v1/products/{product_id}")
async def get_product(product_id: int) -> Product:
    """Return one product."""
    async with engine.connect() as connection:
        product = await find_one(connection, product_id)
    if product is None:
        raise HTTPException(404)
    return Product.of(product)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
