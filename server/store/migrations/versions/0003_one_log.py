"""The log has an identity and knows its requests; what protocol 4 no longer holds leaves the stored messages."""

import uuid
from collections.abc import Callable
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

AT_ONCE = 500
WITHOUT_PREDICTION = sa.text("kind IN ('prediction_erased', 'request_refused')")


def upgrade() -> None:
    _replace_counter()
    # The table of erasures refers to that of changes, which SQLite can only change by making another in its place.
    op.execute("CREATE TABLE erased AS SELECT prediction_id, request_id FROM erasures")
    op.drop_table("erasures")
    with op.batch_alter_table("changes") as changes:
        changes.alter_column("prediction_id", existing_type=sa.String(64), nullable=True)
        changes.add_column(sa.Column("request_id", sa.String(64)))
        changes.add_column(sa.Column("error", sa.Text()))
    op.execute(
        "UPDATE changes SET request_id = COALESCE("
        "(SELECT request_id FROM predictions WHERE predictions.prediction_id = changes.prediction_id), "
        "(SELECT request_id FROM erased WHERE erased.prediction_id = changes.prediction_id))"
    )
    op.drop_table("erased")
    with op.batch_alter_table("changes") as changes:
        changes.alter_column("request_id", existing_type=sa.String(64), nullable=False)
    op.create_index(
        "uq_changes_without_prediction",
        "changes",
        ["client_id", "request_id", "kind"],
        unique=True,
        sqlite_where=WITHOUT_PREDICTION,
        postgresql_where=WITHOUT_PREDICTION,
    )
    _rewrite("predictions", "body", _prediction)
    _rewrite("changes", "explanation", _explanation)


def _replace_counter() -> None:
    connection = op.get_bind()
    value = connection.execute(sa.text("SELECT value FROM change_counter")).scalar_one()
    erased_up_to = connection.execute(sa.text("SELECT COALESCE(max(sequence), 0) FROM erasures")).scalar_one()
    op.drop_table("change_counter")
    counter = op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("erased_up_to", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.String(36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change_counter"),
    )
    row = {"id": 1, "value": value, "erased_up_to": erased_up_to, "log_id": str(uuid.uuid4()), "epoch": 0}
    op.bulk_insert(counter, [row])


def _rewrite(name: str, column: str, without: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite the stored messages of one column, in the order of the log."""
    table = sa.table(name, sa.column("sequence"), sa.column(column))
    connection = op.get_bind()
    page = sa.select(table).where(table.c[column].is_not(None)).order_by(table.c.sequence).limit(AT_ONCE)
    write = table.update().where(table.c.sequence == sa.bindparam("at")).values({column: sa.bindparam("new")})
    after = 0
    while rows := connection.execute(page.where(table.c.sequence > after)).all():
        new = [{"at": row[0], "new": orjson.dumps(without(orjson.loads(row[1]))).decode()} for row in rows]
        connection.execute(write, new)
        after = rows[-1][0]


def _prediction(message: dict[str, Any]) -> dict[str, Any]:
    message.pop("outbox_number", None)
    return message | {"explanation": _explanation(message["explanation"])}


def _explanation(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in {"first_sentence_ms", "measures"}}
