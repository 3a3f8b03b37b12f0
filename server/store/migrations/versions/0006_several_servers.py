"""Numbers of 8 bytes on PostgreSQL, and what servers that share a record notice of each other and of a failover."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NUMBERS = {"predictions": ["sequence"], "changes": ["sequence"], "counts": ["predictions"]}
NUMBERS |= {"sequence_gaps": ["after", "up_to"]}

NEWEST_REFUSAL = sa.text("SELECT COALESCE(max(sequence), 0) FROM changes WHERE kind = 'request_refused'")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIMELINE = sa.text("SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)")


def upgrade() -> None:
    connection = op.get_bind()
    timeline = ""
    if connection.dialect.name == "postgresql":
        timeline = connection.scalar(TIMELINE)
        for table, names in NUMBERS.items():
            for name in names:
                op.alter_column(table, name, type_=sa.BigInteger())
    added = {"refused_up_to": connection.scalar(NEWEST_REFUSAL), "began_after": 0, "timeline": timeline}
    rows = [dict(row) | added for row in connection.execute(sa.text("SELECT * FROM change_counter")).mappings()]
    op.drop_table("change_counter")
    numbers = ("value", "erased_up_to", "refused_up_to", "began_after")
    counter = op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        *(sa.Column(name, NUMBER, nullable=False) for name in numbers),
        sa.Column("log_id", sa.String(36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("timeline", sa.String(8), nullable=False),
    )
    op.bulk_insert(counter, rows)
