"""Erased predictions: the log keeps its entries without them, and gaps in its numbers are explained."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("changes") as changes:
        changes.drop_constraint("fk_changes_prediction_id", type_="foreignkey")
    op.create_table(
        "erasures",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_erasures"),
        sa.ForeignKeyConstraint(["sequence"], ["changes.sequence"], name="fk_erasures_sequence"),
        sa.UniqueConstraint("prediction_id", name="uq_erasures_prediction_id"),
        sa.UniqueConstraint("client_id", "request_id", name="uq_erasures_client_id_request_id"),
    )
    op.create_table(
        "sequence_gaps",
        sa.Column("after", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("up_to", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("after", name="pk_sequence_gaps"),
    )
