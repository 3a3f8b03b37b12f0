"""Where an app keeps accounts, sessions and the audit trail: a file that it shares with the commands."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from limits.storage import Storage
from sqlalchemy import Column, Connection, Engine, Float, ForeignKey, Index, Integer, MetaData, String, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from common import sqlite
from common.errors import StoreUnavailableError
from config.settings import ClientSettings, ServerSettings

SCHEMA_VERSION: Final = 2
BUSY_SECONDS: Final = 0.5
"""How long to wait for another process's lock: on eventlet everybody waits as well."""

TURN_SECONDS: Final = 1.0
"""How long a thread waits for the others of its own process."""

_IF_DAMAGED: Final = "put a copy in its place, or move it away and add the people again"

access_metadata = MetaData()

accounts = Table(
    "accounts",
    access_metadata,
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
_IN_USE = text("revoked_at IS NULL")
Index("name_in_use", accounts.c.name_key, unique=True, sqlite_where=_IN_USE, postgresql_where=_IN_USE)

sessions = Table(
    "sessions",
    access_metadata,
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
    access_metadata,
    Column("number", Integer, primary_key=True),
    *(Column(name, String, nullable=False) for name in _WORDS),
)
"""Append-only: nothing in this program changes or deletes a row."""

app = Table("app", access_metadata, Column("url", String, nullable=False))
"""One row: the address that people reach the app at, as it was at its last start."""


def access_file(data_dir: Path, app_name: str) -> Path:
    """Return where an app keeps its people."""
    return data_dir / app_name / "access.sqlite"


def file_of(settings: ServerSettings | ClientSettings) -> "AccessFile":
    """Open an app's own file."""
    return AccessFile(access_file(settings.data_dir, settings.app_name))


class AccessStore(Protocol):
    """What people, sessions and the trail stand on; every transaction raises ``StoreUnavailableError``."""

    counts: Storage | None
    """Where attempts to sign in are counted; ``None`` is in memory."""

    def reading(self) -> AbstractContextManager[Connection]: ...

    def writing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction during which nobody else writes."""

    def check(self) -> None:
        """Raise ``StoreUnavailableError`` if it cannot be written now."""


class AccessFile:
    """SQLite, mode 600; each transaction has a connection of its own, so that a copy put in its place is seen.

    Every transaction raises ``StoreUnavailableError`` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises
        ------
        ConfigurationError
            If a newer version of this program wrote it.
        """
        self.counts: Storage | None = None
        self._path = path
        self._turn = threading.Lock()
        self._engine = sqlite.engine_of(path, BUSY_SECONDS, poolclass=NullPool)
        if_unknown = f"The accounts in {path} were written by a newer version of this program. Update it."
        with self._named_errors():
            sqlite.prepare(path)
            # Version 1 lacks the audit trail alone: what is missing is made, and what is there stays.
            sqlite.step_schema(
                self._engine, SCHEMA_VERSION, lambda to, _: access_metadata.create_all(to), if_unknown=if_unknown
            )

    def reading(self) -> AbstractContextManager[Connection]:
        return self._transaction(self._engine)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        # This process's own threads take turns: SQLite would let one give up after half a second on a slow disk. Where
        # the turn does not come soon, another program holds the file, and everybody fails like the first.
        has_turn = self._turn.acquire(timeout=TURN_SECONDS)
        try:
            with self._transaction(self._engine.execution_options(**sqlite.WRITE)) as connection:
                yield connection
        finally:
            if has_turn:
                self._turn.release()

    def check(self) -> None:
        """Raise ``StoreUnavailableError`` if it cannot be written now."""
        with self.writing():  # its BEGIN IMMEDIATE fails where the file is locked, read-only or gone
            pass

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._named_errors(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, DBAPIError) as error:
            time.sleep(0)  # on eventlet everybody has waited for the lock: now it is their turn
            cause = sqlite.cause_of(error, if_damaged=_IF_DAMAGED)
            raise StoreUnavailableError(f"The accounts in {self._path} cannot be used: {cause}.") from error
