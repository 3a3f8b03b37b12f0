"""Predictions that await an explanation are rows, which workers lease."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from server.store.schema import awaiting_explanations as awaiting

revision = "0004"
down_revision = "0003"

AWAITING = sa.text(
    "SELECT p.prediction_id, c.at FROM predictions p JOIN changes c ON c.sequence = p.sequence "
    "WHERE p.awaits_explanation AND NOT EXISTS (SELECT 1 FROM changes e "
    "WHERE e.prediction_id = p.prediction_id AND e.kind = 'explanation_finished')"
)


def upgrade() -> None:
    # As the schema has it: a later change of the table has to write out here what it was.
    awaiting.create(op.get_bind())
    unleased = {"tries": 0, "lease": None, "leased_until": 0.0}
    rows = [
        {"prediction_id": prediction_id, "since": datetime.fromisoformat(at).timestamp(), **unleased}
        for prediction_id, at in op.get_bind().execute(AWAITING)
    ]
    op.bulk_insert(awaiting, rows)
