"""The file of one app that keeps accounts, sessions and the audit trail; the running app and the commands share it."""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from common import sqlite
from common.errors import StoreUnavailableError
from config.secrets import sync_folder

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 2
BUSY_SECONDS: Final = 0.5
"""How long another process's lock is waited for: on eventlet everybody waits as well."""

OLD_TRAIL: Final = "audit.jsonl"
READ_TRAIL: Final = "audit-of-version-3.jsonl"

_IF_DAMAGED: Final = "put a copy in its place, or move it away and add the people again"

_metadata = MetaData()

accounts = Table(
    "accounts",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("name_key", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("built_in", String),
    Column("revoked_at", Float),
    Column("token_hash", String),
    Column("password_hash", String),
)
Index("name_in_use", accounts.c.name_key, unique=True, sqlite_where=text("revoked_at IS NULL"))

sessions = Table(
    "sessions",
    _metadata,
    Column("id", String, primary_key=True),
    Column("account_id", String, ForeignKey("accounts.id"), nullable=False),
    Column("began_at", Float, nullable=False),
    Column("ends_at", Float, nullable=False),
    Column("last_active_at", Float, nullable=False),
    Column("address", String, nullable=False),
)

_WORDS: Final = ("at", "account", "name", "role", "address", "action", "target")

audit = Table(
    "audit",
    _metadata,
    Column("number", Integer, primary_key=True),
    *(Column(name, String, nullable=False) for name in _WORDS),
)
"""Append-only: nothing in this program changes or deletes a row."""

app = Table("app", _metadata, Column("url", String, nullable=False))
"""One row: the address that people reach the app at, as it was at its last start."""


def access_file(data_dir: Path, app_name: str) -> Path:
    """Return where an app keeps its people."""
    return data_dir / app_name / "access.sqlite"


class AccessFile:
    """SQLite, mode 600; each transaction has a connection of its own, so that a copy put in its place is seen.

    Every transaction raises ``StoreUnavailableError`` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; one of version 3 gets what stands in the trail beside it.

        Raises
        ------
        ConfigurationError
            If a newer version of this program wrote it.
        """
        self._path = path
        self._engine = sqlite.engine_of(path, BUSY_SECONDS, poolclass=NullPool)
        with self._named_errors():
            sqlite.prepare(path)
            self._bring_up_to_date()

    def reading(self) -> AbstractContextManager[Connection]:
        return self._transaction({})

    def writing(self) -> AbstractContextManager[Connection]:
        return self._transaction(sqlite.WRITE)

    def check(self) -> None:
        """Raise ``StoreUnavailableError`` if it cannot be written now."""
        with self.writing():
            pass

    @contextmanager
    def _transaction(self, options: Mapping[str, str]) -> Iterator[Connection]:
        with self._named_errors(), self._engine.execution_options(**options).begin() as connection:
            yield connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, DBAPIError) as error:
            time.sleep(0)  # on eventlet everybody has waited for the lock: now it is their turn
            cause = sqlite.cause_of(error, if_damaged=_IF_DAMAGED)
            raise StoreUnavailableError(f"The accounts in {self._path} cannot be used: {cause}.") from error

    def _bring_up_to_date(self) -> None:
        if_unknown = f"The accounts in {self._path} were written by a newer version of this program. Update it."
        sqlite.step_schema(
            self._engine, SCHEMA_VERSION, lambda connection, _: _metadata.create_all(connection), if_unknown=if_unknown
        )
        old_trail = self._path.with_name(OLD_TRAIL)
        if not old_trail.exists():
            return
        with self.writing() as connection:
            _take_over(connection, old_trail)
        # Renamed after the commit: a start that was cut off between the two reads it once more, and adds nothing.
        with suppress(FileNotFoundError):  # another process was faster
            old_trail.rename(old_trail.with_name(READ_TRAIL))
            sync_folder(old_trail.parent)


def _take_over(connection: Connection, trail: Path) -> None:
    """Read an audit trail that was lines of JSON; entries keep their numbers, and those that are known stay."""
    with trail.open("rb") as file:
        found = [_entry_of(line) for line in file if line.strip()]
    if entries := [entry for entry in found if entry]:
        connection.execute(insert(audit).prefix_with("OR IGNORE"), entries)
    log.info("%d entries of the audit trail %s were taken over", len(entries), trail)
    if unreadable := len(found) - len(entries):
        log.warning("%d lines of it were no entries; they stay in %s alone", unreadable, READ_TRAIL)


def _entry_of(line: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(line)
        return {"number": int(said["number"])} | {name: str(said[name]) for name in _WORDS}
    except (ValueError, TypeError, KeyError):
        return None
