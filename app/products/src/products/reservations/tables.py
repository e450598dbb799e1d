"""The reservations' table."""

from sqlalchemy import CheckConstraint, Column, DateTime, String, Table, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from shopcore.database import metadata

reservations = Table(
    "reservations",
    metadata,
    Column("id", Uuid, primary_key=True),
    # A release that comes before its reservation leaves a released one without lines.
    Column("status", String(8), nullable=False),
    # The answer that was given, so that a repetition gives the same one.
    Column("lines", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('held', 'released')", name="status_known"),
)
