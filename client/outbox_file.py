"""The file of a client app's outbox: its tables, and opening it whole, private and brought to this program's schema."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from common.errors import StoreUnavailableError
from common.sqlite import check_whole, copy_before_migration, in_words, leave_write_ahead_mode, make_private
from config.secrets import ConfigurationError

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 2
BUSY_SECONDS: Final = 2.0

IF_DAMAGED: Final = (
    "move it away and start again: what was answered comes back from the server, and patients that were still queued "
    "have to be entered anew"
)

IS_WAITING: Final = text("state = 'queued'")  # spelled out, not a parameter: SQLite then uses the partial index

_metadata = MetaData()

requests = Table(
    "requests",
    _metadata,
    Column("request_id", String, primary_key=True),
    Column("outbox_number", Integer, nullable=False, index=True),
    Column("patient_reference", String),
    Column("entered_at", String, nullable=False),
    Column("state", String, nullable=False),
    Column("record", Text, nullable=False),
    Column("prediction_id", String, unique=True),
    Column("prediction", Text),
    Column("explanation", Text),
    Column("error", Text),
)
Index("waiting_requests", requests.c.outbox_number, sqlite_where=IS_WAITING)

marks = Table("marks", _metadata, Column("name", String, primary_key=True), Column("value", Integer, nullable=False))

erased = Table("erased", _metadata, Column("prediction_id", String, primary_key=True))
"""Predictions that were erased: an answer that was still on its way does not bring one back."""


def open_outbox(path: Path) -> Engine:
    """Open the file, or make it, readable by its owner alone; an older one is copied and brought up to date.

    Raises
    ------
    ConfigurationError
        When a newer version of this program, or another program, wrote it.
    StoreUnavailableError
        When it cannot be used at all, or is damaged; a damaged file is left as it is.
    """
    with ExitStack() as undo:
        try:
            make_private(path)
            path.parent.chmod(0o700)
            path.chmod(0o600)
            leave_write_ahead_mode(path)
            check_whole(path)
            engine = _engine(path)
            undo.callback(engine.dispose)
            _bring_up_to_date(engine, path)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The outbox {path} cannot be used: {cause_of(error)}.") from error
        undo.pop_all()
    return engine


def cause_of(error: Exception) -> str:
    """Say why an outbox cannot be used: in SQLite's own words, which hold no value, and what to do."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return in_words(original, if_damaged=IF_DAMAGED)
    return str(original.strerror) if isinstance(original, OSError) else type(original).__name__


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        is_new = not version and not inspect(connection).get_table_names()
    if version == SCHEMA_VERSION:
        return
    if not is_new and version not in _STEPS:
        raise ConfigurationError(
            f"The outbox {path} was written by another version of this program (schema {version}, wanted "
            f"{SCHEMA_VERSION}). Run that version until nothing waits, then move the file away: what was answered "
            "comes back from the server."
        )
    if not is_new:
        copy_before_migration(path, str(version))
    with engine.begin() as connection:
        for step in [_metadata.create_all] if is_new else _STEPS[version]:
            step(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    if not is_new:
        _write_anew(engine)
        log.info("the schema of the outbox went from %d to %d", version, SCHEMA_VERSION)


def _write_anew(engine: Engine) -> None:
    """Let nothing be left of what was deleted before deleting meant overwriting."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM")
    finally:
        connection.close()


def _remember_erasures(connection: Connection) -> None:
    """From 1 to 2: a client app that has read the log once knows how far its numbers have gone."""
    connection.exec_driver_sql("CREATE TABLE erased (prediction_id VARCHAR NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO marks SELECT 'numbers_settled', 1 FROM marks WHERE name = 'caught_up_to'")


_STEPS: Final[dict[int, list[Callable[[Connection], object]]]] = {1: [_remember_erasures]}
"""What brings each older schema up to date."""


def _engine(path: Path) -> Engine:
    # One connection: the pool hands it to one thread at a time, so that nobody meets a busy database.
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,  # they are patients' values
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not at the first write
    for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
