"""Erased predictions: the log keeps its entries without them, and gaps in its numbers are explained."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("changes") as changes:
        changes.drop_constraint("fk_changes_prediction_id", type_="foreignkey")
    # The next migration takes it away again, so it needs none of the constraints that it was once made with.
    ids = [sa.Column(name, sa.String(64), nullable=False) for name in ("prediction_id", "client_id", "request_id")]
    op.create_table("erasures", sa.Column("sequence", sa.Integer(), nullable=False), *ids)
    op.create_table(
        "sequence_gaps",
        sa.Column("after", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("up_to", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
    )
