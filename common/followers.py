"""Who follows a log, and when each is answered: one ``changes`` for each ``follow``, without Flask and Socket.IO."""

import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Protocol, TypeVar

import orjson

from common.access.sessions import Session
from common.errors import (
    DetectionSystemError,
    InternalError,
    NotSignedInError,
    OutdatedAttemptError,
    RateLimitedError,
    ReplacedConnectionError,
    ServerUnreachableError,
    ShuttingDownError,
    StoreUnavailableError,
    UnreadAnswerError,
)
from common.messages import Closing, Event, Follow, Message, WireError
from common.periodic import PeriodicTask

log = logging.getLogger(__name__)

ALL: Final = ""
"""The scope that sees every entry of a log; any other is a client app's id."""

ANSWER_SECONDS: Final = 20.0
"""A follow is answered by then, even if there is nothing new."""

TICK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 0.5
LEAVE_SECONDS: Final = 0.5
STOP_SECONDS: Final = 1.0
END_SECONDS: Final = 1.0
"""How long after ``closing`` a namespace is left and the transport ended: what was sent has arrived by then."""

RELOAD_BEYOND: Final = 2000
"""Entries that a page may be behind before it loads itself again instead."""

MAX_RUNS: Final = 64
MAX_ENTRIES: Final = 500
MAX_BYTES: Final = 256 * 1024
"""Of one run of a log; a single entry may be longer."""

CLOSED_BY: Final[Sequence[type[DetectionSystemError]]] = (
    InternalError,
    NotSignedInError,
    OutdatedAttemptError,
    RateLimitedError,
    ReplacedConnectionError,
    ShuttingDownError,
    StoreUnavailableError,
    UnreadAnswerError,
)
"""The errors that connections are closed with."""

Item = TypeVar("Item")

NO_ENTRIES: Final = orjson.Fragment(b"[]")


class Transport(Protocol):
    """What carries a connection: it outlives its place in the namespace, and is ended separately."""

    has_ended: bool

    def join(self) -> bool:
        """Note that it was let into a namespace; return whether it may be."""

    def end_in(self, seconds: float) -> None:
        """End it after so many seconds."""


@dataclass(frozen=True)
class Peer:
    """Who is behind a connection: a client app by its token, or a person by the session's cookie."""

    client_id: str | None
    session: Session | None
    address: str
    connection: Transport


@dataclass(frozen=True)
class Run:
    """One encoded run of a log: what follows ``after``, up to ``next_after``, the place that was scanned."""

    after: int
    next_after: int
    has_more: bool
    entries: orjson.Fragment
    """A JSON array."""
    totals: orjson.Fragment | None = None

    @property
    def is_empty(self) -> bool:
        return orjson.dumps(self.entries) == b"[]"


def fitting(items: Iterable[Item], size: Callable[[Item], int], limit: int = MAX_ENTRIES) -> tuple[list[Item], bool]:
    """Take as many items as a run may hold, each of so many bytes, and tell whether there are more."""
    run: list[Item] = []
    total = 0
    for item in items:
        total += size(item)
        if len(run) == limit or (run and total > MAX_BYTES):  # the first goes out whatever its size, or none ever would
            return run, True
        run.append(item)
    return run, False


class Log(Protocol):
    """An append-only log that is followed."""

    @property
    def name(self) -> str:
        """Identity and epoch: another name is another log."""

    @property
    def newest(self) -> int:
        """The last entry's place, from memory."""

    @property
    def generation(self) -> int:
        """Changes when runs that were read before must not be used again, as after an erasure."""

    def read(self, after: int, scope: str) -> Run:
        """Read at most 500 entries and 256 KB of what a scope sees; raises ``StoreUnavailableError``."""


@dataclass(eq=False)
class Follower:
    """One connection in the namespace."""

    sid: str
    peer: Peer
    scope: str
    asked: Follow | None = None
    """What it waits for an answer to."""
    scanned: int = 0
    """Up to here it is known to have nothing to see."""
    due_at: float = 0.0
    ticket: str | None = None
    """Of the last answer; ``None`` before the first."""
    leaves_at: float | None = None
    """When it leaves the namespace, if it was told that it is closed."""
    status: bytes | None = None
    second: int = 0
    events: int = 0


@dataclass(eq=False)
class Followers:
    """The followers of one namespace; one thread answers those that wait, others close those that may not stay.

    ``send(sid, event, message)`` and ``leave(sid)`` reach a connection, ``is_open`` tells whether a session is.
    ``check`` raises the named error for which nobody may stay.
    """

    log: Log
    _: KW_ONLY
    status: Callable[[], Message | None]
    reload_beyond: int | None
    send: Callable[[str, Event, Mapping[str, Any]], object]
    leave: Callable[[str], object]
    is_open: Callable[[Session], bool]
    check: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.events_per_second = 300
        # From 0 on: Prometheus sees no increase in a counter that first appears with a value.
        self.ended: Counter[str] = Counter(dict.fromkeys(["left", *(error.code for error in CLOSED_BY)], 0))
        """Connections that have ended, by the code of the error that closed them; ``left`` of the others."""
        self._followers: dict[str, Follower] = {}
        self._runs: dict[tuple[int, str], tuple[int, Run]] = {}
        self._generation = -1
        self._status: bytes | None = None
        self._changed = threading.Condition(threading.RLock())
        self._asking: list[Follower] = []
        self._is_nudged = False
        self._stopping = threading.Event()
        # Each its own: where a database hangs in the middle of a read, only the thread that reads stands still.
        self._closing = (
            PeriodicTask("sweeps", self.sweep, seconds=TICK_SECONDS),
            PeriodicTask("sessions of followers", self.close_signed_out, seconds=SWEEP_SECONDS),
        )
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._followers)

    @property
    def lag(self) -> int:
        """How many entries the last one has not asked for yet, of those that were answered at least once."""
        newest = self.log.newest
        return max([0, *(newest - one.scanned for one in list(self._followers.values()) if one.ticket)])

    def join(self, sid: str, peer: Peer, scope: str) -> None:
        self.start()
        with self._changed:
            self._followers[sid] = Follower(sid, peer, scope)

    def gone(self, sid: str) -> Peer | None:
        """Forget a connection that has left; return who it was, the first time."""
        with self._changed:
            follower = self._followers.pop(sid, None)
            # One that was closed is counted by its reason already, and leaves half a second later.
            if follower and follower.leaves_at is None:
                self.ended["left"] += 1
        return follower.peer if follower else None

    def require(self, sid: str) -> Peer:
        """Return who sent an event, and count it.

        Raises
        ------
        NotSignedInError
            If the session has ended; the connection is closed then.
        RateLimitedError
            If it sent too many; the connection is closed then.
        ServerUnreachableError
            If it is closed already. Whatever the reason was, no patient may be refused for good because of it.
        """
        follower = self._followers.get(sid)
        if follower is None or follower.leaves_at is not None:
            raise ServerUnreachableError("This connection is closed.")
        session = follower.peer.session
        if session is not None and not self.is_open(session):
            self.close(sid, NotSignedInError())
            raise NotSignedInError
        second = int(self.clock())
        with self._changed:  # requests of one polling page may come at once
            if follower.second != second:
                follower.second, follower.events = second, 0
            follower.events += 1
        if follower.events > self.events_per_second:
            self.close(sid, RateLimitedError())
            raise RateLimitedError
        return follower.peer

    def follow(self, sid: str, asked: Follow) -> None:
        """Take a follower's question; the thread answers it now, or as soon as there is something to say."""
        with self._changed:
            follower = self._followers.get(sid)
            if follower is None or follower.leaves_at is not None:
                return
            # Without the ticket of the last answer it has not read that one: its answers would pile up in memory.
            is_read = follower.asked is None and asked.ticket == follower.ticket
            if is_read:
                follower.asked, follower.scanned = asked, asked.after
                follower.due_at = self.clock() + (ANSWER_SECONDS if follower.ticket else 0)
                self._asking.append(follower)
                self._changed.notify_all()
        if not is_read:
            self.close(sid, UnreadAnswerError())

    def nudge(self) -> None:
        """Answer those that wait: there is more in the log, or the status has changed."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify_all()

    def close(self, sid: str, error: DetectionSystemError) -> None:
        """Say why, leave the namespace after half a second, and end the transport after a second."""
        with self._changed:
            follower = self._followers.get(sid)
            if follower is None or follower.leaves_at is not None:
                return
            # Marked before anything is sent: whatever it asks from now on is passed over, and it is closed once.
            follower.leaves_at = self.clock() + LEAVE_SECONDS
            self.ended[error.code] += 1
            follower.asked = None
        self.send(sid, Event.CLOSING, Closing(reason=WireError.of(error)).to_wire())
        follower.peer.connection.end_in(END_SECONDS)

    def start(self) -> None:
        """Begin to answer; more than once does no harm."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="followers", daemon=True)
                self._thread.start()
                for task in self._closing:
                    task.start()

    def stop(self) -> None:
        """Send what is in the log to those that wait, and tell all that the app stops."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        for task in self._closing:
            task.stop(0)  # one that hangs in a read is not waited for
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        self._answer(list(self._followers.values()))  # first, or an accepted patient would go unanswered
        for sid in list(self._followers):
            self.close(sid, ShuttingDownError())

    def look(self) -> None:
        """Answer those that wait."""
        self._answer(list(self._followers.values()), looks_at_status=True)

    def sweep(self) -> None:
        """Take those that were closed or have ended out of the namespace, and close all where nobody may stay."""
        now = self.clock()
        # A copy: who joins or leaves on other threads meanwhile changes the dictionary.
        for follower in list(self._followers.values()):
            if follower.leaves_at is not None and follower.leaves_at <= now:
                follower.leaves_at = math.inf  # once: what fails here must not come first at every look
                self.leave(follower.sid)
            elif follower.peer.connection.has_ended:
                self.leave(follower.sid)  # it ended while it was let in, which nothing else reports
        try:
            self.check()
        except DetectionSystemError as error:
            for sid in list(self._followers):
                self.close(sid, error)

    def close_signed_out(self) -> None:
        """Close those whose session has ended, which may have to be read."""
        for follower in list(self._followers.values()):
            if follower.peer.session is not None and not self.is_open(follower.peer.session):
                self.close(follower.sid, NotSignedInError())

    def _run(self) -> None:
        looked_at = self.clock()
        while not self._stopping.is_set():
            with self._changed:
                if not self._is_nudged and not self._asking:
                    self._changed.wait(TICK_SECONDS)
                is_due = self._is_nudged or self.clock() - looked_at >= TICK_SECONDS
                asking, self._asking, self._is_nudged = self._asking, [], False
            try:
                if is_due:
                    looked_at = self.clock()
                    self.look()
                else:
                    # Those that have just asked alone: a look at all for each question would cost their square.
                    self._answer(asking)
            except Exception:  # one follower, or one look at the status, must not end the others' answers
                log.exception("followers could not be answered")

    def _answer(self, followers: Sequence[Follower], *, looks_at_status: bool = False) -> None:
        """Answer those that wait and for which there is something to say; a first answer has the current status."""
        pending = [(follower, follower.asked) for follower in followers if follower.asked]
        # The status costs as much as many answers: it is made for those who look, or who have none yet.
        if pending and (looks_at_status or not all(follower.ticket for follower, _ in pending)):
            status = self.status()
            self._status = None if status is None else orjson.dumps(status.to_wire())
        for follower, asked in pending:
            try:
                message = self._message(follower, asked)
            except Exception:  # one follower must not end the others' answers
                log.exception("a follower could not be answered")
                self.close(follower.sid, InternalError())
                continue
            if message is None:
                continue
            with self._changed:
                if follower.asked is None:  # it was closed meanwhile
                    continue
                follower.asked = None
                # Not a number that could be guessed: who returns it has read this answer.
                follower.ticket = message["ticket"] = secrets.token_urlsafe(9)
            self.send(follower.sid, Event.CHANGES if "entries" in message else Event.RELOAD, message)

    def _message(self, follower: Follower, asked: Follow) -> dict[str, Any] | None:
        """Return what there is to say to a follower that waits, if anything."""
        name, newest = self.log.name, self.log.newest
        if asked.log == name and asked.after > newest:
            # It may have read more at another server: the end that is known here is not the log's until it was read.
            try:
                self.log.read(asked.after, follower.scope)
            except StoreUnavailableError:
                return None
            name, newest = self.log.name, self.log.newest
        # Further than the log is long: a restored record, which has not what this one has read.
        is_of_another = asked.log != name or asked.after > newest
        after = 0 if is_of_another else asked.after
        if self.reload_beyond is not None and newest - after > self.reload_beyond:
            return {"log": name}
        run = self._read(0 if is_of_another else follower.scanned, newest, follower)
        if self.log.name != name:  # the record was replaced meanwhile
            return self._message(follower, asked)
        status = orjson.Fragment(self._status) if self._status and self._status != follower.status else None
        # Nothing to see: the place moves on, so that the same entries are not read again for the next look.
        if run.is_empty:
            follower.scanned = run.next_after
            if not is_of_another and status is None and self.clock() < follower.due_at:
                return None
        follower.status = self._status
        return {
            "log": name,
            "after": after,
            "next_after": run.next_after,
            "has_more": run.has_more,
            "entries": run.entries,
            "totals": run.totals,
            "status": status,
        }

    def _read(self, after: int, newest: int, follower: Follower) -> Run:
        """Return what follows a place, from the runs that are encoded already where possible."""
        # Asked before the log is read: an erasure in between must show as another generation afterwards.
        if self._generation != (generation := self.log.generation):
            self._runs.clear()
            self._generation = generation
        if after >= newest and follower.ticket:
            return Run(after, after, has_more=False, entries=NO_ENTRIES)
        read_at, run = self._runs.get((after, follower.scope), (-1, None))
        if run is not None and (run.has_more or read_at == newest):
            return run
        try:
            run = self.log.read(after, follower.scope)
        except StoreUnavailableError:  # it is read again within half a second; that was not the log's end
            return Run(after, after, has_more=True, entries=NO_ENTRIES)
        if len(self._runs) >= MAX_RUNS:  # followers stand at few places; what is cleared is read again
            self._runs.clear()
        if self.log.generation == generation:  # otherwise it may hold what has been erased meanwhile
            self._runs[after, follower.scope] = newest, run
        return run if not (run.has_more and run.is_empty) else self._read(run.next_after, newest, follower)
