"""The file of a client app's outbox: its tables, and opening it whole, private and brought to this program's schema."""

import logging
import sqlite3
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Engine, Index, Integer, MetaData, String, Table, Text, insert, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from common import sqlite
from common.errors import StoreUnavailableError

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 5
SCHEMA_OF_PROTOCOL_4: Final = 3
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

waiting = Index("waiting_requests", requests.c.request_id, sqlite_where=IS_WAITING)

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
        if not version:
            return _make_tables(connection)
        sqlite.copy_before_migration(path, str(version))
        if version < SCHEMA_OF_PROTOCOL_4:
            return _take_over(connection)
        if version == SCHEMA_OF_PROTOCOL_4:
            _extend(connection)
        return _count_readings(connection)

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
                sqlite.write_anew(engine)  # free pages still hold what older versions deleted
                log.info("the schema of the outbox went from %d to %d", version, SCHEMA_VERSION)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The outbox {path} cannot be used: {cause_of(error)}.") from error
        undo.pop_all()
    return engine


def cause_of(error: Exception) -> str:
    """Say why an outbox cannot be used, and what to do."""
    return sqlite.cause_of(error, if_damaged=IF_DAMAGED)


def _make_tables(connection: Connection) -> None:
    _metadata.create_all(connection)
    connection.execute(insert(place).values(log=f"{uuid.uuid4()}.0", sequence=0, server_after=0))


def _extend(connection: Connection) -> None:
    """Bring a file of schema 3, which knew no corrections, withdrawals and drafts, up to date."""
    for column in ("entered_by", "entered", "corrects", "superseded_by"):
        connection.exec_driver_sql(f"ALTER TABLE requests ADD COLUMN {column} TEXT")
    connection.exec_driver_sql("DROP INDEX waiting_requests")  # it is by another condition now
    waiting.create(connection)
    drafts.create(connection)


def _count_readings(connection: Connection) -> None:
    """Bring a file of schema 4, which knew nothing of answers that a server's log lacks, up to date.

    The log is read from its beginning again: what it holds is of this server's record, what it does not may be of
    another one, whose patients this server must not get.
    """
    for table, column in (("requests", "reading"), ("place", "reading"), ("place", "compared")):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER DEFAULT 0 NOT NULL")
    connection.execute(update(place).values(reading=1, compared=1, server_after=0))


def _take_over(connection: Connection) -> None:
    """Bring in a file of schema 1 or 2, which numbered the requests, and counted in a log of the server without name.

    The server's log is read from its beginning again, which brings back what was answered and names what was erased.
    """
    connection.exec_driver_sql("ALTER TABLE requests RENAME TO numbered")
    # Indexes keep their names when their table is renamed, and the new tables need these.
    for index in ("ix_requests_outbox_number", "waiting_requests"):
        connection.exec_driver_sql(f"DROP INDEX {index}")
    _make_tables(connection)
    connection.exec_driver_sql("""
        INSERT INTO requests (request_id, sequence, state, patient_reference, entered_at, record, prediction_id,
            prediction, explanation, error)
        SELECT request_id, row_number() OVER (ORDER BY outbox_number, entered_at), state, patient_reference, entered_at,
            record, prediction_id,
            json_remove(prediction, '$.outbox_number', '$.explanation.first_sentence_ms', '$.explanation.measures'),
            json_remove(explanation, '$.first_sentence_ms', '$.measures'), error
        FROM numbered""")
    connection.exec_driver_sql("UPDATE place SET sequence = (SELECT count(*) FROM requests)")
    for table in ("numbered", "marks", "erased"):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")  # there is no third one in schema 1
