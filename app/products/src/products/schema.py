"""The service's tables: the catalogue and the reservations, in a schema of their own."""

from pathlib import Path

from shopcatalogue.seed import SEED
from shopcore.schema import Schema

SCHEMA = Schema(
    revisions=Path(__file__).parent / "migrations",
    seed=SEED,
    lock_key=int.from_bytes(b"products"),
)
