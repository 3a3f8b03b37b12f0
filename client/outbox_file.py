"""The file of a client app's outbox: its tables, and opening it whole, private and brought to this program's schema."""

import logging
import sqlite3
import uuid
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Engine, Index, Integer, MetaData, String, Table, Text, insert, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from common import sqlite
from common.errors import StoreUnavailableError

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 5
BUSY_SECONDS: Final = 0.5
"""On eventlet everybody waits as long as one waits for SQLite."""

IF_DAMAGED: Final = (
    "move it away and start again: what was answered comes back from the server, and patients that were still queued "
    "have to be entered again"
)

# Spelled out, not a parameter: SQLite then uses the partial index.
IS_WAITING: Final = text("state IN ('queued', 'withdrawing')")

_metadata = MetaData()

requests = Table(
    "requests",
    _metadata,
    Column("request_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False, index=True, unique=True),
    Column("state", String, nullable=False),
    Column("patient_reference", String),
    Column("entered_at", String),
    Column("record", Text),
    Column("prediction_id", String, index=True),
    Column("prediction", Text),
    Column("explanation", Text),
    Column("error", Text),
    Column("entered_by", String),
    Column("entered", Text),
    Column("corrects", String),
    Column("superseded_by", String),
    Column("reading", Integer, nullable=False, server_default="0"),
)
"""One row for each request; ``sequence`` is that of its last change. Of an erased one the ids stay: a tombstone.

``reading`` is the number of the reading of the server's log in which its answer was last seen.
"""

Index("waiting_requests", requests.c.request_id, sqlite_where=IS_WAITING)

place = Table(
    "place",
    _metadata,
    Column("log", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("server_log", String),
    Column("server_after", Integer, nullable=False),
    Column("reading", Integer, nullable=False, server_default="0"),
    Column("compared", Integer, nullable=False, server_default="0"),
)
"""One row: this file's own log and its newest entry, and how far which log of the server was applied.

``reading`` counts how often that log was begun from its start; ``compared`` is the last reading that came to its end,
or that began another server's record.
"""


drafts = Table(
    "drafts",
    _metadata,
    Column("person", String, primary_key=True),
    Column("draft", Text, nullable=False),
    Column("saved_at", String, nullable=False),
)
"""What each signed-in person, by account id, has typed and not submitted yet, as JSON of the form's controls."""


_OF_NUMBERED: Final = {
    "sequence": "row_number() OVER (ORDER BY outbox_number, entered_at)",
    "prediction": "json_remove(prediction, '$.outbox_number', '$.explanation.first_sentence_ms', "
    "'$.explanation.measures')",
    "explanation": "json_remove(explanation, '$.first_sentence_ms', '$.measures')",
}
"""What columns are made of in a file of schema 1 or 2, which numbered the requests; its messages held more."""


def open_outbox(path: Path) -> Engine:
    """Open the file, or make it, readable by its owner alone; an older one is copied and brought up to date.

    Raises
    ------
    ConfigurationError
        When a newer version of this program, or another program, wrote it.
    StoreUnavailableError
        When it cannot be used at all, or is damaged; a damaged file is left as it is.
    """
    if_unknown = (
        f"The outbox {path} was written by another version of this program. Run that version until nothing waits, "
        "then move the file away: what was answered comes back from the server."
    )

    def migrate(connection: Connection, version: int) -> None:
        if version:
            sqlite.copy_before_migration(path, str(version))
        _make_tables(connection)

    with ExitStack() as undo:
        try:
            sqlite.prepare(path)
            # One connection: the pool hands it to one thread at a time, so that nobody meets a busy database.
            engine = sqlite.engine_of(
                path, BUSY_SECONDS, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=BUSY_SECONDS
            )
            undo.callback(engine.dispose)
            version = sqlite.step_schema(engine, SCHEMA_VERSION, migrate, if_unknown=if_unknown)
            if 0 < version < SCHEMA_VERSION:
                with closing(engine.raw_connection()) as connection:
                    connection.cursor().execute("VACUUM")  # free pages still hold what older versions deleted
                log.info("the schema of the outbox went from %d to %d", version, SCHEMA_VERSION)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The outbox {path} cannot be used: {cause_of(error)}.") from error
        undo.pop_all()
    return engine


def cause_of(error: Exception) -> str:
    """Say why an outbox cannot be used, and what to do."""
    return sqlite.cause_of(error, if_damaged=IF_DAMAGED)


def _make_tables(connection: Connection) -> None:
    """Make the tables; rows of an older file go over into them, with the columns that these have as well.

    The server's log is read from its beginning again. It brings back what was answered and names what was erased; what
    it holds is of this server's record, and what it does not may be of another one, whose patients this server must
    not get.
    """
    before = inspect(connection)
    columns = {name: {one["name"] for one in before.get_columns(name)} for name in before.get_table_names()}
    for name in columns:
        for index in before.get_indexes(name):  # which would keep its name, and the new tables need it
            connection.exec_driver_sql(f"DROP INDEX {index['name']}")
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO old_{name}")
    _metadata.create_all(connection)
    connection.execute(insert(place).values(log=f"{uuid.uuid4()}.0", sequence=0, server_after=0))
    for table in (requests, place, drafts):
        if had := columns.get(table.name):
            source = {column.name: column.name for column in table.columns if column.name in had}
            if "outbox_number" in had:
                source |= _OF_NUMBERED
            into, values = ", ".join(source), ", ".join(source.values())
            connection.exec_driver_sql(f"DELETE FROM {table.name}")  # noqa: S608
            connection.exec_driver_sql(f"INSERT INTO {table.name} ({into}) SELECT {values} FROM old_{table.name}")  # noqa: S608
    if columns:
        # Requests that were numbered have taken the first places.
        connection.exec_driver_sql("UPDATE place SET sequence = max(sequence, (SELECT count(*) FROM requests))")
        connection.exec_driver_sql("UPDATE place SET reading = 1, compared = 1, server_after = 0")
    for name in columns:
        connection.exec_driver_sql(f"DROP TABLE old_{name}")
