"""PostgreSQL as the record: bounded waits, connections that are dropped when dead, and causes without values."""

import selectors
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from server.store.schema import CHANNEL

READ_ONE_MOMENT: Final = {"isolation_level": "REPEATABLE READ"}
"""Execution options of a transaction whose statements all read the same moment."""

AT_ONCE: Final = {"isolation_level": "AUTOCOMMIT"}
"""Execution options of single statements, each of which is a transaction."""

# Each waits for something else: the network, a statement, a lock, a client that stopped within a transaction. The last
# is short: what such a one has locked, the log's counter as a rule, holds up every other server.
_LIMITS: Final[Mapping[str, Any]] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 4_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "target_session_attrs": "read-write",
    "application_name": "heart-attack-detection",
    "options": "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=4s "
    "-c default_transaction_isolation=read\\ committed -c log_parameter_max_length_on_error=0",
}
_POOL: Final = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 5.0, "pool_use_lifo": True, "pool_recycle": 3600}

_SHORT: Final = 100
"""Rows of a statement that a server writes; only a command that moves a record writes more."""

_MIGRATION_LOCK: Final = 7_016_001

# The first that fits; messages of PostgreSQL itself may quote values.
_CAUSES: Final = (
    (errors.DiskFull, "its disk is full; free some space, and it resumes automatically"),
    (errors.InsufficientPrivilege, "its role lacks a privilege; the role must own the tables"),
    (errors.ReadOnlySqlTransaction, "it is a standby; DATABASE_URL must lead to the primary"),
    (errors.UndefinedTable, "a table is missing; run: python -m server.store migrate"),
    (errors.IdleInTransactionSessionTimeout, "it waited too long for this server; look at its network and load"),
    ((errors.QueryCanceled, errors.LockNotAvailable), "a statement took too long; it is tried again"),
    (errors.TooManyConnections, "it has no connection left; raise max_connections"),
    (errors.IntegrityConstraintViolation, "what was to be stored contradicts what is stored"),
    (errors.OperationalError, "the server cannot be reached or has stopped; it resumes automatically when it is back"),
)


def cause_of(error: psycopg.Error) -> str:
    """Say why PostgreSQL cannot be used and what to do, without any value."""
    name = f"{type(error).__name__} {error.sqlstate}" if error.sqlstate else type(error).__name__
    if isinstance(error, errors.OperationalError) and not error.sqlstate:
        name = " ".join(str(error).split())[:300]  # of the network or a refused connection; no statement is in it
    said = next((said for kinds, said in _CAUSES if isinstance(error, kinds)), None)
    return f"{said} ({name})" if said else name


def engine_of(url: URL, pool: Mapping[str, Any] = _POOL) -> Engine:
    """Return an engine whose waits are all bounded; what the address itself says of a limit counts."""
    limits = {name: value for name, value in _LIMITS.items() if name not in url.query}
    engine = create_engine(url, hide_parameters=True, connect_args=limits, **pool)  # parameters are patients' values

    @event.listens_for(engine, "checkout")
    def _drop_ended(connection: psycopg.Connection, *_: object) -> None:
        # An idle connection has nothing to read unless the server has ended it: no round trip is needed to know.
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            if selector.select(0):
                raise DisconnectionError

    @event.listens_for(engine, "do_executemany")
    def _one_by_one(cursor: psycopg.Cursor[Any], statement: str, rows: Sequence[Any], _: object) -> bool:
        # psycopg would send them as a pipeline, within which PostgreSQL does not limit how long a transaction idles:
        # a server that is cut off then would hold what it has locked for ever.
        if is_short := len(rows) <= _SHORT:
            for row in rows:
                cursor.execute(statement, row)
        return is_short

    return engine


def migrate_alone(connection: Connection) -> None:
    """Be the one who changes the schema until the transaction ends; its statements take as long as they need."""
    take_time(connection)
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))


def vacuum(connection: Connection, tables: Sequence[str]) -> None:
    """Free what was deleted or overwritten in tables, however long that takes; not within a transaction."""
    connection.execute(text("SET statement_timeout = 0"))
    try:
        connection.execute(text(f"VACUUM {', '.join(tables)}"))
    finally:
        connection.execute(text("RESET statement_timeout"))


def listen(engine: Engine, tell: Callable[[int], object], stopping: threading.Event) -> None:
    """Call ``tell`` with the number of the log's newest entry after each commit, whoever committed it.

    That is a hint, which may come late or never. It ends with its connection, or within a second of a stop.
    """
    with suppress(SQLAlchemyError, psycopg.Error):  # who reads and writes says why
        pooled = engine.raw_connection()
        with closing(cast("psycopg.Connection", pooled.driver_connection)) as connection:
            pooled.detach()  # from now on it counts for no limit of the pool
            connection.autocommit = True
            # Not within a transaction: notices would only come at its end.
            connection.execute(f"LISTEN {CHANNEL}".encode())
            while not stopping.is_set():
                for notice in connection.notifies(timeout=1.0):
                    if notice.payload.isdecimal():  # or it is somebody else's
                        tell(int(notice.payload))


def take_time(connection: Connection) -> None:
    """Let the statements of a transaction take as long as they need, and what is done between them its time."""
    for limit in ("statement_timeout = 0", "lock_timeout = 0", "idle_in_transaction_session_timeout = '15s'"):
        connection.execute(text(f"SET LOCAL {limit}"))
