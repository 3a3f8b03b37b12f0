"""The log has an identity and knows its requests; what protocol 4 no longer holds leaves the stored messages."""

import uuid
from collections.abc import Callable
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _extend_counter()
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
    where = sa.text("kind IN ('prediction_erased', 'request_refused')")
    ids = ["client_id", "request_id", "kind"]
    name = "uq_changes_without_prediction"
    op.create_index(name, "changes", ids, unique=True, sqlite_where=where, postgresql_where=where)
    _rewrite("predictions", "body", _prediction)
    _rewrite("changes", "explanation", _explanation)


def _extend_counter() -> None:
    # A later migration makes the table anew, and then none of them may be null.
    for name in ("erased_up_to", "epoch"):
        op.add_column("change_counter", sa.Column(name, sa.Integer()))
    op.add_column("change_counter", sa.Column("log_id", sa.String(36)))
    newest_erasure = "(SELECT COALESCE(max(sequence), 0) FROM erasures)"
    fill = sa.text(f"UPDATE change_counter SET erased_up_to = {newest_erasure}, log_id = :name, epoch = 0")  # noqa: S608
    op.execute(fill.bindparams(name=str(uuid.uuid4())))


def _rewrite(name: str, column: str, without: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite the stored messages of one column, one after another: together they may not fit into memory."""
    table = sa.table(name, sa.column("sequence"), sa.column(column))
    connection = op.get_bind()
    for sequence in connection.scalars(sa.select(table.c.sequence).where(table.c[column].is_not(None))).all():
        here = table.c.sequence == sequence
        message = orjson.loads(connection.execute(sa.select(table.c[column]).where(here)).scalar_one())
        written = orjson.dumps(without(message)).decode()
        connection.execute(table.update().where(here).values({column: written}))


def _prediction(message: dict[str, Any]) -> dict[str, Any]:
    message.pop("outbox_number", None)
    return message | {"explanation": _explanation(message["explanation"])}


def _explanation(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in {"first_sentence_ms", "measures"}}
