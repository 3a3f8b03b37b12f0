"""The people of several servers: accounts, sessions, the audit trail and sign-in attempts in their PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from limits.storage import Storage
from sqlalchemy import Column, Connection, Engine, Float, Integer, MetaData, String, Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.pool import NullPool

from common.access.file import AccessStore, access_file, access_metadata, accounts, audit, file_of
from common.errors import StoreUnavailableError
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store import postgres
from server.store.backup import copy_rows
from server.store.database import begun, database_url, make_tables

SCHEMA: Final = "access"
"""Beside the record's schema, so that a restore of the record alone does not bring a revoked person back."""

_TURN: Final = 7_016_002
_NOW: Final = func.extract("epoch", func.clock_timestamp())  # the database's: the servers' own clocks may differ

_own_metadata = MetaData()

attempts = Table(
    "attempts",
    _own_metadata,
    Column("key", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("ends_at", Float, nullable=False),
    prefixes=["UNLOGGED"],
)
"""How often a sign-in was tried within a window; a crash of the database forgets it, as a restart does memory."""


class AccessDatabase:
    """The tables of ``AccessFile`` in a schema of the database that the servers share.

    Every transaction raises ``StoreUnavailableError`` when it cannot be read or written.
    """

    def __init__(self, engine: Engine, check: Callable[[], None] = lambda: None) -> None:
        """Make what is missing of the tables; any number of servers may do so at once.

        ``check`` raises ``StoreUnavailableError`` at once where the database is known not to answer.
        """
        self.check = check
        self.counts: Storage | None = SharedCounts(self)
        self._engine = engine.execution_options(schema_translate_map={None: SCHEMA})
        make_tables(self._engine, SCHEMA, access_metadata, _own_metadata)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self.check()
        with begun(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.reading() as connection:
            # One at a time, as with the file: between a look and what is written after it nobody else writes.
            connection.execute(select(func.pg_advisory_xact_lock(_TURN)))
            yield connection


class SharedCounts(Storage):
    """Where the sign-ins at all servers are counted together; how limits documents a storage of one's own."""

    STORAGE_SCHEME = ["access"]  # noqa: RUF012 - as the base class has it
    base_exceptions = StoreUnavailableError

    def __init__(self, database: AccessDatabase) -> None:
        super().__init__()
        self._database = database

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        first = insert(attempts).values(key=key, number=amount, ends_at=_NOW + expiry)
        more = {"number": attempts.c.number + amount}
        with self._database.writing() as connection:
            connection.execute(delete(attempts).where(attempts.c.ends_at <= _NOW))
            counted = first.on_conflict_do_update(index_elements=["key"], set_=more).returning(attempts.c.number)
            return int(connection.execute(counted).scalar_one())

    def get(self, key: str) -> int:
        return int(self._of(attempts.c.number, key) or 0)

    def get_expiry(self, key: str) -> float:
        return float(self._of(attempts.c.ends_at, key) or time.time())

    def check(self) -> bool:
        return True

    def reset(self) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(attempts))

    def clear(self, key: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(attempts).where(attempts.c.key == key))

    def _of(self, column: Column[int] | Column[float], key: str) -> float | None:
        with self._database.reading() as connection:
            return connection.scalar(select(column).where(attempts.c.key == key, attempts.c.ends_at > _NOW))


def access_store(settings: ServerSettings) -> AccessStore:
    """Open what the commands of the server need: the file, or the database that its servers share.

    Raises
    ------
    ConfigurationError, StoreUnavailableError
        As the file and the database do.
    """
    if settings.is_scaled:
        return AccessDatabase(postgres.engine_of(database_url(settings), {"poolclass": NullPool}))
    return file_of(settings)


def without_people(engine: Engine) -> AccessDatabase:
    """Return the tables of a database that has no accounts yet.

    Raises
    ------
    ConfigurationError
        If it has some.
    """
    database = AccessDatabase(engine)
    with database.reading() as connection:
        if connection.scalar(select(accounts.c.id)):
            raise ConfigurationError("The database has accounts: a server was started on it. Name an empty one.")
    return database


def copy_people(settings: ServerSettings, database: AccessDatabase) -> int:
    """Copy the accounts and the audit trail of the file to a database without any; return how many accounts."""
    if not access_file(settings.data_dir, settings.app_name).exists():
        return 0
    with file_of(settings).reading() as old, database.writing() as new:
        people = copy_rows(old, new, accounts)
        copy_rows(old, new, audit)
        new.execute(text("SELECT setval('access.audit_number_seq', max(number)) FROM access.audit"))
    return people
