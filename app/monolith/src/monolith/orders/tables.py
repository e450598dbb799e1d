"""The orders module's tables."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from shopcore.database import metadata

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("idempotency_key", String(128), nullable=False),
    Column("payment_method", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("payment_reference", String(255)),
    Column("failure_code", String(64)),
    # Whoever works on a pending order's payment holds it until then.
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("paid_at", DateTime(timezone=True)),
    UniqueConstraint("user_id", "idempotency_key"),
    CheckConstraint("status IN ('pending', 'paid', 'payment_failed')", name="status_known"),
    CheckConstraint("total_minor >= 0", name="total_not_negative"),
    Index("ix_orders_history", "user_id", text("created_at DESC"), "id"),
    Index("ix_orders_pending", "lease_until", postgresql_where=text("status = 'pending'")),
)

order_items = Table(
    "order_items",
    metadata,
    Column("order_id", Uuid, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("product_id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(200), nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    Column("quantity", Integer, nullable=False),
    CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity_range"),
)
