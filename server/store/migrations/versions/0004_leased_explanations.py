"""Predictions that await an explanation are rows, which workers lease."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

AWAITING = sa.text(
    "SELECT p.prediction_id, c.at FROM predictions p JOIN changes c ON c.sequence = p.sequence "
    "WHERE p.awaits_explanation AND NOT EXISTS (SELECT 1 FROM changes e "
    "WHERE e.prediction_id = p.prediction_id AND e.kind = 'explanation_finished')"
)


def upgrade() -> None:
    awaiting = op.create_table(
        "awaiting_explanations",
        sa.Column("prediction_id", sa.String(64), primary_key=True),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(36)),
        sa.Column("leased_until", sa.Float(), nullable=False),
    )
    unleased = {"tries": 0, "lease": None, "leased_until": 0.0}
    rows = [
        {"prediction_id": prediction_id, "since": datetime.fromisoformat(at).timestamp(), **unleased}
        for prediction_id, at in op.get_bind().execute(AWAITING)
    ]
    op.bulk_insert(awaiting, rows)
