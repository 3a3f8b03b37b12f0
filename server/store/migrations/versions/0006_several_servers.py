"""Numbers of 8 bytes on PostgreSQL, and what servers that share a record notice of each other and of a failover."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NUMBERS = {
    "predictions": ["sequence"],
    "changes": ["sequence"],
    "change_counter": ["value", "erased_up_to"],
    "counts": ["predictions"],
    "sequence_gaps": ["after", "up_to"],
}


def upgrade() -> None:
    timeline = "''"
    if op.get_bind().dialect.name == "postgresql":
        timeline = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
        for table, names in NUMBERS.items():
            for name in names:
                op.alter_column(table, name, type_=sa.BigInteger())
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    added: list[sa.Column[Any]] = [
        sa.Column("refused_up_to", number),
        sa.Column("began_after", number),
        sa.Column("timeline", sa.String(8)),
    ]
    for column in added:
        op.add_column("change_counter", column)
    newest_refusal = "(SELECT COALESCE(max(sequence), 0) FROM changes WHERE kind = 'request_refused')"
    op.execute(
        f"UPDATE change_counter SET refused_up_to = {newest_refusal}, began_after = 0, timeline = {timeline}"  # noqa: S608
    )
    with op.batch_alter_table("change_counter") as counter:
        for column in added:
            counter.alter_column(column.name, existing_type=column.type, nullable=False)
