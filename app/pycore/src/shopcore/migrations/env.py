"""Alembic's environment: it runs on the connection that the caller holds the lock on."""

from alembic import context

from shopcore.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
