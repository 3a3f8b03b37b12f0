"""What the servers on one PostgreSQL tell each other: who runs, who leads, and at which one each client app is."""

import logging
import math
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from common.errors import OutdatedAttemptError, StoreUnavailableError
from common.messages import PROTOCOL_VERSION, ClientStatus, Handshake, ServerStatus
from common.periodic import PeriodicTask
from server.clients import Connected, ConnectedClients
from server.log import ChangeLog
from server.store import PredictionStore, postgres
from server.store.cluster_tables import client_apps, make_cluster_tables, servers
from server.store.database import begun
from server.store.schema import change_counter

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 0.5
STOP_SECONDS: Final = 1.0
FIGURES_SECONDS: Final = 5.0
"""How exact the figures of a server are: each other one would be news to every dashboard."""

LEASE_SECONDS: Final = 3.0
"""So long after its last answer from the database a server may lead and accepts patients; whoever gets the lock waits
for as long."""

SILENT_SECONDS: Final = 5
"""After so long the database ends the connection of a server that says nothing, and with it its lock."""

DEAD_SECONDS: Final = 8
"""Without a heartbeat for so long, a server counts as dead, and its client apps as away."""

FORGOTTEN_SECONDS: Final = 600

_LOCK: Final = 7_016_003

_NOW: Final = func.clock_timestamp()  # the database's: the servers' own clocks may differ
_AGE: Final = func.extract("epoch", _NOW - servers.c.heartbeat)
_ANSWERS: Final = func.coalesce(_AGE < DEAD_SECONDS, False)
_SERVERS: Final = (
    select(servers, _ANSWERS.label("answers"))
    .where(_AGE < FORGOTTEN_SECONDS)
    .order_by(servers.c.started_at, servers.c.id)
)
_CLIENT_APPS: Final = select(client_apps, _ANSWERS.label("answers")).outerjoin(
    servers, servers.c.id == client_apps.c.server
)


@dataclass(eq=False)
class Cluster:
    """This server among the others: a thread beats twice a second, on a connection to the database of its own.

    The connection holds the lock of the server that leads. The database ends it when this server falls silent, and
    the next one waits until this one has noticed: there are never two. Making it makes the tables that are missing, and
    raises ``StoreUnavailableError`` where that cannot be done.
    """

    store: PredictionStore
    clients: ConnectedClients
    changes: ChangeLog
    _: KW_ONLY
    model: Callable[[], str]
    connections: Callable[[], int]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.id = f"{socket.gethostname()[:64]}-{secrets.token_hex(2)}"
        self.servers: list[ServerStatus] = []
        self.beat_at = 0.0
        """When the database last answered, in seconds since 1970; 0 before the first time."""
        self._started_at = self.clock()
        self._connection: Connection | None = None
        self._locked_at: float | None = None
        self._has_led = False
        self._told: dict[str, Connected] = {}
        self.behind = 0
        """Entries that this server had not read when it last counted."""
        self._figures: dict[str, int] = {}
        self._counted_at = -FIGURES_SECONDS
        self._on_lead: Callable[[], None] = lambda: None
        self._has_left = False
        self._turn = threading.Lock()
        self._beating = PeriodicTask("cluster", self.beat, seconds=BEAT_SECONDS)
        # Not by the beat: it may have to wait for a lock, and a server that does not beat counts as cut off.
        self._trying = PeriodicTask("record", self._try_record, seconds=BEAT_SECONDS)
        make_cluster_tables(self.store.engine)
        self._confirmed_at = math.inf  # until it beats, nothing is known
        self.store.require_answers = self.check

    def start(self, on_lead: Callable[[], None]) -> None:
        """Begin to beat; ``on_lead`` is called when this server begins to lead."""
        self._on_lead = on_lead
        self._confirmed_at = self.monotonic()
        self._beating.start()
        self._trying.start()

    def stop(self) -> None:
        """Leave: the others see it at once."""
        self._trying.stop(0)  # it may wait for a lock
        self._beating.stop()
        if not self._turn.acquire(timeout=STOP_SECONDS):  # the database does not answer, and will notice it alone
            self._has_left = True
            return
        with suppress(SQLAlchemyError):
            if self._connection is not None:
                here = client_apps.c.server == self.id
                self._connection.execute(update(client_apps).where(here).values(connected=False))
                self._connection.execute(delete(servers).where(servers.c.id == self.id))
                self._connection.execute(select(func.pg_advisory_unlock_all()))  # now, not at the end of it
        self._leave_connection()
        self._turn.release()

    @property
    def leads(self) -> bool:
        """Whether this server does what one of them has to do."""
        # The lock has been held for longer than the last holder may go on without an answer, and the last answer here
        # is younger than that: whoever lost the lock stops before the next one begins.
        now, locked_at = self.monotonic(), self._locked_at
        return locked_at is not None and now - locked_at > LEASE_SECONDS > now - self._confirmed_at

    @property
    def is_cut_off(self) -> bool:
        """Whether the database has not answered for a while."""
        return self.monotonic() - self._confirmed_at > LEASE_SECONDS

    def check(self) -> None:
        """Raise ``StoreUnavailableError`` if it is cut off; returns at once."""
        if self.is_cut_off:
            raise StoreUnavailableError("The database that the servers share cannot be reached.")

    def claim(self, client_id: str, handshake: Handshake) -> None:
        """Note a new connection of a client app, so that every other server closes an older one.

        Raises
        ------
        OutdatedAttemptError
            If the same process has connected later already, at whichever server.
        StoreUnavailableError
            If that cannot be noted now.
        """
        self.check()
        attempt = {"server": self.id, "instance": handshake.instance, "attempt": handshake.attempt}
        row = attempt | {"connected": True, "last_seen": _NOW}
        is_later = (client_apps.c.instance == handshake.instance) & (client_apps.c.attempt > handshake.attempt)
        claim = insert(client_apps).values(client_id=client_id, **row)
        claim = claim.on_conflict_do_update(index_elements=["client_id"], set_=row, where=~is_later)
        with begun(self.store.engine) as connection:
            if connection.scalar(claim.returning(client_apps.c.server)) is None:
                raise OutdatedAttemptError

    def beat(self) -> None:
        """Say that this server runs and what is connected here, and take what the others say.

        Raises
        ------
        StoreUnavailableError
            If the database cannot be used.
        """
        with self._turn, self.store.named_failure(), ExitStack() as on_failure:
            on_failure.callback(self._leave_connection)  # or the lock would stay with a server that does not lead
            self._beat()
            if not self._has_left:
                on_failure.pop_all()

    def _try_record(self) -> None:
        """Where the record could not be used, try whether it can be written again."""
        if self.store.failure:
            self.store.check()

    def _beat(self) -> None:
        asked_at, connection = self.monotonic(), self._connection or self._connect()
        if self._locked_at is None and connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            self._locked_at = self.monotonic()
        # Before the others are asked: a client app that connects here meanwhile must not count as one that moved away.
        here = self.clients.here()
        for name, one in here.items():
            if self._told.get(name) != one:
                connection.execute(self._row_of(name, one))
        connection.execute(self._own_row(connection, asked_at))
        apps = {row["client_id"]: dict(row) for row in connection.execute(_CLIENT_APPS).mappings()}
        found = [_as(ServerStatus, row) for row in connection.execute(_SERVERS).mappings()]
        # Counted from when it was asked: an answer that took long says nothing about now.
        self._confirmed_at, self.beat_at = asked_at, time.time()
        # What the database has lost is said again at the next beat.
        self._told = {name: one for name, one in here.items() if name in apps}
        elsewhere = {
            name: Connected(
                _as(ClientStatus, row | {"connected": row["connected"] and row["answers"]}), instance=row["instance"]
            )
            for name, row in apps.items()
            if row["server"] != self.id
        }
        is_news = self.clients.take(elsewhere, here) or found != self.servers
        self.servers = found
        if is_news:
            self.changes.nudge()
        if self.leads and not self._has_led:
            log.info("this server leads: it erases what is too old to be kept")
            self._on_lead()
        self._has_led = self.leads

    def _connect(self) -> Connection:
        self._connection = self.store.engine.execution_options(**postgres.AT_ONCE).connect()
        self._connection.detach()  # it is not given back: the lock is the session's
        self._connection.execute(text(f"SET idle_session_timeout = '{SILENT_SECONDS}s'"))
        self._connection.execute(delete(servers).where(_AGE > FORGOTTEN_SECONDS))
        return self._connection

    def _leave_connection(self) -> None:
        connection, self._connection, self._locked_at = self._connection, None, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _own_row(self, connection: Connection, asked_at: float) -> Any:
        """Return the statement that says that this server runs."""
        if asked_at - self._counted_at >= FIGURES_SECONDS:
            newest = int(connection.scalar(select(change_counter.c.value)) or 0)
            self.behind = max(0, newest - self.changes.newest)
            self._figures = {"connections": self.connections(), "behind": self.behind}
            self._counted_at = asked_at
        now = {"heartbeat": _NOW, "model": self.model(), "leads": self.leads, **self._figures}
        row = insert(servers).values(id=self.id, started_at=self._started_at, protocol=PROTOCOL_VERSION, **now)
        return row.on_conflict_do_update(index_elements=["id"], set_=now)

    def _row_of(self, client_id: str, one: Connected) -> Any:
        """Return the statement that tells of a client app, unless it is at another server by now."""
        told = dict(one.status) | {"instance": one.instance, "attempt": one.attempt}
        # A newer attempt may have been noted since this was looked at.
        is_newer = (client_apps.c.instance != one.instance) | (client_apps.c.attempt > one.attempt)
        is_here = (client_apps.c.server == self.id) & ~is_newer
        if one.sid is None:
            return update(client_apps).where(client_apps.c.client_id == client_id, is_here).values(told)
        row = insert(client_apps).values(server=self.id, **told)
        return row.on_conflict_do_update(index_elements=["client_id"], set_=told, where=is_here)


def _as(kind: Any, row: Any) -> Any:
    """Return what a row says as a message, which has fewer fields."""
    return kind.model_validate({name: row[name] for name in kind.model_fields})
