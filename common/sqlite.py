"""What every record on SQLite needs: a private, whole file, durable connections, copies made while it is in use."""

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError

from common.durability import sync_file
from config.secrets import ConfigurationError, make_folder, sync_folder

log = logging.getLogger(__name__)

BUSY_SECONDS: Final = 5.0

WRITE: Final = {"begin": "BEGIN IMMEDIATE"}
"""Execution options of a transaction that writes; SQLite then never has to upgrade a read lock."""

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "free some space, and it resumes automatically",
    sqlite3.SQLITE_IOERR: "the disk fails, is full or turned read-only; free some space, or mend it and start again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, and it resumes automatically",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable, and it resumes automatically",
    sqlite3.SQLITE_BUSY: "another program holds it; it resumes automatically when that one lets go",
}

_DURABLE: Final = ("journal_mode=TRUNCATE", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")

_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class DamagedFileError(sqlite3.DatabaseError):
    """A file is not whole; it was not written to."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def cause_of(error: Exception, *, if_damaged: str) -> str:
    """Say why a database cannot be used: in SQLite's own words, which hold no value, and what to do."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, OSError):
        return str(original.strerror)
    if not isinstance(original, sqlite3.Error):
        return type(original).__name__
    code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return f"the file is damaged ({original}) and was left as it is; {if_damaged}"
    return f"{original}: {_ADVICE[code]}" if code in _ADVICE else str(original)


def engine_of(
    path: Path,
    busy_seconds: float = BUSY_SECONDS,
    *,
    mode: str = "rw",
    pragmas: Sequence[str] = _DURABLE,
    **options: Any,
) -> Engine:
    """Return an engine whose connections are durable; a file that is gone is not made again, open to all.

    The rollback journal is truncated, not deleted, and every commit is synchronous: SQLite does not sync the folder
    after deleting a journal, so that a loss of power could bring a committed transaction back undone. What is deleted
    is overwritten with zeros. While another program holds the file, a statement waits for ``busy_seconds`` and fails.
    In the ``mode`` "ro" nothing is written. Without ``pragmas`` the file stays in the journal mode it has.
    """

    def connect() -> sqlite3.Connection:
        address = f"{path.absolute().as_uri()}?mode={mode}"
        # transactions begin where SQLAlchemy says, not at the first write
        connection = sqlite3.connect(address, busy_seconds, uri=True, isolation_level=None, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, creator=connect, hide_parameters=True, **options)  # parameters are patients' values

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def prepare(path: Path) -> None:
    """Make a file and its folder their owner's alone, in a mode that loses nothing, and read every page.

    Raises
    ------
    OSError, sqlite3.Error
        When that cannot be done, or the file is damaged.
    """
    make_private(path)
    path.chmod(0o600)  # one that was copied back may be open to all, and so may be what is beside it
    path.parent.chmod(0o700)
    leave_write_ahead_mode(path)
    check_whole(path)


def make_private(path: Path) -> None:
    """Make an empty file that its owner alone can read, and its folder, unless they are there; on disk either way."""
    make_folder(path.parent)
    if not path.exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(path.parent)


def leave_write_ahead_mode(path: Path) -> None:
    """Move what is in a write-ahead log into the file, and go back to the rollback journal.

    In that mode SQLite before 3.51.3 can lose commits (https://www.sqlite.org/wal.html#walresetbug).

    Raises
    ------
    sqlite3.Error
        When another program has a file in that mode open, or it is damaged.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # one connection alone: the defect needs two
        (before,) = connection.execute("PRAGMA journal_mode").fetchone()
        connection.execute("PRAGMA journal_mode=TRUNCATE").fetchone()
    if before == "wal":
        log.warning("%s was in write-ahead mode, in which commits can be lost: it was taken out", path)


def check_whole(path: Path) -> None:
    """Read every page of a file.

    Raises
    ------
    sqlite3.Error
        When it is damaged or cannot be read.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise DamagedFileError("the check of its pages failed")


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use to a new file of its owner's alone, whole as of one moment, and on disk.

    Writers wait meanwhile.

    Raises
    ------
    FileExistsError
        When there is such a file; it stays as it is.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with ExitStack() as undo:
        undo.callback(target.unlink)
        with closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as old, closing(sqlite3.connect(target)) as new:
            new.execute("PRAGMA synchronous=OFF")  # it is synced at the end, when no writer waits any longer
            old.backup(new)
        sync_file(target)
        undo.pop_all()
    sync_folder(target.parent)


def copy_before_migration(path: Path, version: str) -> None:
    """Copy a database beside itself, named for the version of its schema and the time."""
    name = f"{path.stem}-before-migration-{version}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{path.suffix}"
    copy_database(path, path.with_name(name))
    log.info("the database was copied to %s before its migration", name)


def step_schema(engine: Engine, newest: int, migrate: Callable[[Connection, int], None], *, if_unknown: str) -> int:
    """Bring a file to the newest schema, by its ``PRAGMA user_version``; return the schema it had, 0 of a new file.

    ``migrate`` is called with the older schema's number, within the transaction.

    Raises
    ------
    ConfigurationError
        With the sentence ``if_unknown``, if a newer version of this program, or another program, wrote the file.
    """
    with engine.execution_options(**WRITE).begin() as connection:
        # Within the transaction that writes: two processes that start at once migrate one after the other.
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version > newest or (not version and inspect(connection).get_table_names()):
            raise ConfigurationError(if_unknown)
        if version < newest:
            migrate(connection, version)
            connection.exec_driver_sql(f"PRAGMA user_version = {newest}")
    return version
