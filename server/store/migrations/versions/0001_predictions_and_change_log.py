"""Predictions, the change log, its counter, and the counts by client and level."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("risk_level", sa.String(16), nullable=False),
        sa.Column("anomaly_score", sa.Float(), nullable=False),
        sa.Column("awaits_explanation", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_predictions"),
        sa.UniqueConstraint("sequence", name="uq_predictions_sequence"),
        sa.UniqueConstraint("client_id", "request_id", name="uq_predictions_client_id_request_id"),
    )
    op.create_index("ix_predictions_client_id_sequence", "predictions", ["client_id", "sequence"])
    op.create_index("ix_predictions_risk_level_sequence", "predictions", ["risk_level", "sequence"])
    op.create_table(
        "changes",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("explanation", sa.Text()),
        sa.PrimaryKeyConstraint("sequence", name="pk_changes"),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.prediction_id"], name="fk_changes_prediction_id"),
    )
    op.create_index("ix_changes_client_id_sequence", "changes", ["client_id", "sequence"])
    op.create_index("ix_changes_prediction_id_kind", "changes", ["prediction_id", "kind"])
    counter = op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change_counter"),
    )
    op.bulk_insert(counter, [{"id": 1, "value": 0}])
    op.create_table(
        "counts",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("risk_level", sa.String(16), nullable=False),
        sa.Column("predictions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "risk_level", name="pk_counts"),
    )
