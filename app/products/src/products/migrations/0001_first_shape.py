"""Catalogue, reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shopcatalogue.revisions import create_catalogue

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first shape of the schema."""
    create_catalogue()
    op.create_table(
        "reservations",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("lines", postgresql.JSONB, nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("status IN ('held', 'released')", name="ck_reservations_status_known"),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
    )


def downgrade() -> None:
    """Drop everything."""
    for table in ("reservations", "catalogue_seed", "products"):
        op.drop_table(table)
