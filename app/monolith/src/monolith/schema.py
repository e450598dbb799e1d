"""The monolith's tables: those of its modules, in the server's default schema."""

from pathlib import Path

from shopcatalogue.seed import SEED
from shopcore.schema import Schema

SCHEMA = Schema(
    revisions=Path(__file__).parent / "migrations",
    seed=SEED,
    lock_key=int.from_bytes(b"triptych"),
)
