"""Who follows a log, and when each is answered: one ``changes`` for each ``follow``, without Flask and Socket.IO."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from common.access.sessions import Session
from common.errors import (
    DetectionSystemError,
    InternalError,
    NotSignedInError,
    RateLimitedError,
    ServerUnreachableError,
    ShuttingDownError,
    StoreUnavailableError,
    UnreadAnswerError,
)
from common.messages import Closing, Event, Follow, Message, WireError

log = logging.getLogger(__name__)

ALL: Final = ""
"""The scope that sees every entry of a log; any other is a client app's id."""

ANSWER_SECONDS: Final = 20.0
"""A follow is answered by then, though there is nothing new."""

TICK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 0.5
LEAVE_SECONDS: Final = 0.5
STOP_SECONDS: Final = 1.0
END_SECONDS: Final = 1.0
"""How long after ``closing`` a namespace is left and the transport ended: what was sent has arrived by then."""

MAX_RUNS: Final = 64


class Transport(Protocol):
    """What carries a connection: it outlives its place in the namespace, and is ended apart."""

    has_ended: bool

    def join(self) -> bool:
        """Note that it was let into a namespace; return whether it may be."""

    def end_in(self, seconds: float) -> None:
        """End it after so many seconds."""


@dataclass(frozen=True)
class Peer:
    """Who stands behind a connection: a client app by its token, or a person by the session's cookie."""

    client_id: str | None
    session: Session | None
    address: str
    connection: Transport | None = None


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
    log: str | None = None
    after: int = 0
    scanned: int = 0
    """Up to here it is known to have nothing to see."""
    is_pending: bool = False
    is_closing: bool = False
    has_been_answered: bool = False
    due_at: float = 0.0
    ticket: str | None = None
    status: bytes | None = None
    second: int = 0
    events: int = 0


class Followers:
    """The followers of one namespace; a thread of its own answers those who wait, and sweeps out ended sessions.

    ``send(sid, event, message)`` and ``leave(sid)`` reach a connection, ``is_open`` tells whether a session is.
    """

    def __init__(
        self,
        followed: Log,
        *,
        status: Callable[[], Message | None],
        reload_beyond: int | None,
        send: Callable[[str, Event, Mapping[str, Any]], object],
        leave: Callable[[str], object],
        is_open: Callable[[Session], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.events_per_second = 300
        self._log = followed
        self._read_status = status
        self._reload_beyond = reload_beyond
        self._send = send
        self._leave = leave
        self._is_open = is_open
        self._clock = clock
        self._followers: dict[str, Follower] = {}
        self._leaving: list[tuple[float, str]] = []
        self._runs: dict[tuple[int, str], tuple[int, Run]] = {}
        self._generation = -1
        self._status: bytes | None = None
        self._changed = threading.Condition(threading.RLock())
        self._swept_at = clock()
        self._asking: list[Follower] = []
        self._is_nudged = False
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._followers)

    def join(self, sid: str, peer: Peer, scope: str) -> None:
        self.start()
        with self._changed:
            self._followers[sid] = Follower(sid, peer, scope)

    def gone(self, sid: str) -> Peer | None:
        """Forget a connection that has left; return who it was, the first time."""
        with self._changed:
            follower = self._followers.pop(sid, None)
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
            If it is closed already. Whatever the reason was, it is none to refuse a patient for good.
        """
        follower = self._followers.get(sid)
        if follower is None or follower.is_closing:
            raise ServerUnreachableError("This connection is closed.")
        session = follower.peer.session
        if session is not None and not self._is_open(session):
            self.close(sid, NotSignedInError())
            raise NotSignedInError
        second = int(self._clock())
        with self._changed:
            if follower.second != second:
                follower.second, follower.events = second, 0
            follower.events += 1
        if follower.events > self.events_per_second:
            self.close(sid, RateLimitedError())
            raise RateLimitedError
        return follower.peer

    def follow(self, sid: str, asked: Follow) -> None:
        """Take a follower's question; it is answered on the thread, now or as soon as there is something to say."""
        with self._changed:
            follower = self._followers.get(sid)
            if follower is None or follower.is_closing:
                return
            is_read = not follower.is_pending and asked.ticket == follower.ticket
            if is_read:
                follower.log, follower.after, follower.scanned = asked.log, asked.after, asked.after
                follower.is_pending = True
                follower.due_at = self._clock() + (ANSWER_SECONDS if follower.has_been_answered else 0)
                self._asking.append(follower)
                self._changed.notify_all()
        if not is_read:
            self.close(sid, UnreadAnswerError())

    def nudge(self) -> None:
        """Let those be answered who wait: there is more in the log, or the status has changed."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify_all()

    def close(self, sid: str, error: DetectionSystemError) -> None:
        """Say why, leave the namespace after half a second, and end the transport after a second."""
        with self._changed:
            follower = self._followers.get(sid)
            if follower is None or follower.is_closing:
                return
            follower.is_closing = True
            follower.is_pending = False
            self._leaving.append((self._clock() + LEAVE_SECONDS, sid))
        self._send(sid, Event.CLOSING, Closing(reason=WireError.of(error)).to_wire())
        if follower.peer.connection is not None:
            follower.peer.connection.end_in(END_SECONDS)

    def start(self) -> None:
        """Begin to answer; more than once does no harm."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="followers", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Bring what is in the log to those who wait, and tell all that the app stops."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        self._answer(list(self._followers.values()))
        for sid in list(self._followers):
            self.close(sid, ShuttingDownError())

    def look(self) -> None:
        """Answer who waits, let leave who was told so, and every half second sweep."""
        self._answer(list(self._followers.values()), looks_at_status=True)
        self._let_leave()
        if self._clock() - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = self._clock()
            self._sweep()

    def _run(self) -> None:
        looked_at = self._clock()
        while not self._is_stopping:
            with self._changed:
                if not self._is_nudged and not self._asking:
                    self._changed.wait(TICK_SECONDS)
                is_due = self._is_nudged or self._clock() - looked_at >= TICK_SECONDS
                asking, self._asking, self._is_nudged = self._asking, [], False
            try:
                if is_due:
                    looked_at = self._clock()
                    self.look()
                else:
                    self._answer(asking)
            except Exception:  # one follower, or one look at the status, must not end the others' answers
                log.exception("followers could not be answered")

    def _let_leave(self) -> None:
        """Take out of the namespace whom was told that it is closed, and has had the time to hear it."""
        now = self._clock()
        with self._changed:
            leaving = [sid for at, sid in self._leaving if at <= now]
            self._leaving = [one for one in self._leaving if one[0] > now]
        for sid in leaving:
            self._leave(sid)

    def _sweep(self) -> None:
        for follower in list(self._followers.values()):
            session, connection = follower.peer.session, follower.peer.connection
            if connection is not None and connection.has_ended:
                self._leave(follower.sid)  # it ended while it was let in: nobody else would tell
            elif session is not None and not self._is_open(session):
                self.close(follower.sid, NotSignedInError())

    def _answer(self, followers: Sequence[Follower], *, looks_at_status: bool = False) -> None:
        """Answer those who wait, and for whom there is something to say; a first answer has the status of now."""
        pending = [follower for follower in followers if follower.is_pending]
        if pending and (looks_at_status or not all(follower.has_been_answered for follower in pending)):
            self._refresh_status()
        for follower in pending:
            try:
                message = self._message(follower)
            except Exception:  # one follower must not end the others' answers
                log.exception("a follower could not be answered")
                self.close(follower.sid, InternalError())
                continue
            if message is None:
                continue
            event = Event.CHANGES if "entries" in message else Event.RELOAD
            with self._changed:
                if not follower.is_pending:  # it was closed meanwhile
                    continue
                follower.is_pending = False
                follower.has_been_answered = True
                follower.ticket = message["ticket"] = secrets.token_urlsafe(9)
            if status := message.get("status"):
                follower.status = status
                message["status"] = orjson.Fragment(status)
            self._send(follower.sid, event, message)

    def _message(self, follower: Follower) -> dict[str, Any] | None:
        """Return what is to be said to a follower that waits, if it is anything."""
        name, newest = self._log.name, self._log.newest
        is_of_another = follower.log != name or follower.after > newest
        after = 0 if is_of_another else follower.after
        if self._reload_beyond is not None and newest - after > self._reload_beyond:
            return {"log": name}
        run = self._read(0 if is_of_another else follower.scanned, newest, follower)
        if self._log.name != name:  # the record was replaced meanwhile
            return self._message(follower)
        status = self._status
        is_news = status is not None and status != follower.status
        if run.is_empty:
            follower.scanned = run.next_after
            if not is_of_another and not is_news and self._clock() < follower.due_at:
                return None
        return {
            "log": name,
            "after": after,
            "next_after": run.next_after,
            "has_more": run.has_more,
            "entries": run.entries,
            "totals": run.totals,
            "status": status if is_news else None,
        }

    def _read(self, after: int, newest: int, follower: Follower) -> Run:
        """Return what follows a place, from the runs that are encoded already where possible."""
        if self._generation != (generation := self._log.generation):
            self._runs.clear()
            self._generation = generation
        if after >= newest and follower.has_been_answered:
            return Run(after, after, has_more=False, entries=orjson.Fragment(b"[]"))
        read_at, run = self._runs.get((after, follower.scope), (-1, None))
        if run is not None and (run.has_more or read_at == newest):
            return run
        try:
            run = self._log.read(after, follower.scope)
        except StoreUnavailableError:  # it is read again within half a second
            return Run(after, after, has_more=False, entries=orjson.Fragment(b"[]"))
        if len(self._runs) >= MAX_RUNS:
            self._runs.clear()
        if self._log.generation == generation:  # otherwise it may hold what has been erased meanwhile
            self._runs[after, follower.scope] = newest, run
        return run if not (run.has_more and run.is_empty) else self._read(run.next_after, newest, follower)

    def _refresh_status(self) -> None:
        status = self._read_status()
        self._status = None if status is None else orjson.dumps(status.to_wire())
