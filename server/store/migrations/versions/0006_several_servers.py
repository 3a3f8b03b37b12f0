"""Numbers of 8 bytes on PostgreSQL, and what servers that share a record notice of each other and of a failover."""

import sqlalchemy as sa
from alembic import op

from server.store.schema import CurrentTimeline, change_counter

revision = "0006"
down_revision = "0005"

NUMBERS = {"predictions": ["sequence"], "changes": ["sequence"], "counts": ["predictions"]}
NUMBERS |= {"sequence_gaps": ["after", "up_to"]}

NEWEST_REFUSAL = sa.text("SELECT COALESCE(max(sequence), 0) FROM changes WHERE kind = 'request_refused'")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, names in NUMBERS.items():
            for name in names:
                op.alter_column(table, name, type_=sa.BigInteger())
    added = {"refused_up_to": connection.scalar(NEWEST_REFUSAL), "began_after": 0}
    added["timeline"] = connection.scalar(sa.select(CurrentTimeline()))
    rows = [dict(row) | added for row in connection.execute(sa.text("SELECT * FROM change_counter")).mappings()]
    # As the schema has it: a later change of the table has to write out here what it was.
    op.drop_table("change_counter")
    change_counter.create(connection)
    op.bulk_insert(change_counter, rows)
