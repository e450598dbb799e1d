"""Alembic's revisions, one file each; the file name starts with the revision id."""
