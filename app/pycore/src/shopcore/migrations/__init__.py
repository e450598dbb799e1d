"""Alembic's environment; each service has its own revisions."""
