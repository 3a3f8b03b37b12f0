"""Predictions may be superseded by corrections."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table in ("predictions", "changes"):
        op.add_column(table, sa.Column("superseded_by", sa.String(64)))
