"""Erased predictions: the log keeps its entries without them, and gaps in its numbers are explained."""

import sqlalchemy as sa
from alembic import op

from server.store.schema import sequence_gaps

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("changes") as changes:
        changes.drop_constraint("fk_changes_prediction_id", type_="foreignkey")
    # The next migration takes it away again, so it needs none of the constraints that it was once made with.
    ids = [sa.Column(name, sa.String(64), nullable=False) for name in ("prediction_id", "client_id", "request_id")]
    op.create_table("erasures", sa.Column("sequence", sa.Integer(), nullable=False), *ids)
    sequence_gaps.create(op.get_bind())
