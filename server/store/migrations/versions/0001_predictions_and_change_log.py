"""Predictions, the change log, its counter, and the counts by client and level: the first schema.

New databases are made from the schema of now, so that nothing but the name is needed of the first one.
"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: a database that has a schema has at least this one."""
