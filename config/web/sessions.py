"""Sign-ins that end, by sign-out or at their deadline, and the open connections that end with them."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from config.errors import NotSignedInError


@dataclass(frozen=True)
class Session:
    """One sign-in as its signed cookie tells it; ``ends_at`` is in seconds since 1970."""

    id: str
    ends_at: float


@dataclass(frozen=True)
class _Connection:
    session: Session
    close: Callable[[], object]


class Sessions:
    """Knows which sessions are over, and which connections were opened with each.

    A sign-out is remembered until the session would have ended by itself, or the process ends.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._signed_out: dict[str, Session] = {}
        self._connections: dict[str, _Connection] = {}
        self._lock = threading.Lock()

    def begin(self) -> Session:
        return Session(secrets.token_urlsafe(), self._clock() + self._seconds)

    def is_open(self, session: Session) -> bool:
        return self._clock() < session.ends_at and session.id not in self._signed_out

    def end(self, session: Session) -> None:
        """Sign out: the session is good for nothing more, and its connections are closed."""
        with self._lock:
            now = self._clock()
            known = {**self._signed_out, session.id: session}
            self._signed_out = {name: over for name, over in known.items() if now < over.ends_at}
        self.close_ended()

    def attach(self, sid: str, session: Session, close: Callable[[], object]) -> None:
        """Note a connection, to be closed with ``close`` when its session has ended.

        Raises
        ------
        NotSignedInError
            If it has ended already.
        """
        with self._lock:
            if not self.is_open(session):
                raise NotSignedInError
            self._connections[sid] = _Connection(session, close)

    def detach(self, sid: str) -> None:
        with self._lock:
            self._connections.pop(sid, None)

    def require_open(self, sid: str) -> None:
        """Check the session of a connection.

        Raises
        ------
        NotSignedInError
            If it has ended; the connection is closed then.
        """
        self.close_ended()
        if sid not in self._connections:
            raise NotSignedInError

    def close_ended(self) -> None:
        """Close every connection whose session has ended."""
        with self._lock:
            ended = {sid: one for sid, one in self._connections.items() if not self.is_open(one.session)}
            for sid in ended:
                del self._connections[sid]
        for connection in ended.values():  # without the lock: closing tells the handlers, who detach
            connection.close()
