"""The products module's tables."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from shopcore.database import metadata

# Weights: a word in the name counts most, then the category, then the description.
SEARCH_EXPRESSION = (
    "setweight(to_tsvector('english', name), 'A')"
    " || setweight(to_tsvector('english', category), 'B')"
    " || setweight(to_tsvector('english', description), 'C')"
)

products = Table(
    "products",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sku", String(32), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("category", String(50), nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("stock", Integer, nullable=False),
    Column("search", TSVECTOR, Computed(SEARCH_EXPRESSION, persisted=True), nullable=False),
    CheckConstraint("price_minor > 0", name="price_positive"),
    CheckConstraint("stock >= 0", name="stock_not_negative"),
    # fastupdate=off: the catalogue is written once, in bulk, and searched from then on.
    Index(
        "ix_products_search",
        "search",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    ),
)

catalogue_seed = Table(
    "catalogue_seed",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("seeded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
