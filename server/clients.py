"""Who the client apps are, which of them are connected, and when they were last heard."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from common.access.tokens import tokens_equal
from common.errors import DetectionSystemError, OutdatedAttemptError, ReplacedConnectionError
from common.messages import ClientStatus, Handshake

CONFIRMED_EVERY: Final = timedelta(seconds=5)
"""How exact the times are while nothing else changes: each other time would be news to every dashboard."""


@dataclass
class Connected:
    """A client app and its latest connection; ``sid`` is ``None`` when that has ended, or is at another server."""

    status: ClientStatus
    sid: str | None = None
    instance: str = ""
    attempt: int = 0

    def change(self, **status: Any) -> None:
        self.status = self.status.model_copy(update=status)


class ConnectedClients:
    """One connection for each known client app; the newer one wins, by instance and attempt."""

    def __init__(self, client_ids: Sequence[str], *, clock: Callable[[], datetime]) -> None:
        never = {"connected": False, "last_seen": None, "waiting": None, "waiting_at": None}
        self._clients = {
            name: Connected(ClientStatus.model_validate({"client_id": name} | never)) for name in client_ids
        }
        self._clock = clock
        self._lock = threading.Lock()
        self._close: Callable[[str, DetectionSystemError], None] = lambda *_: None
        self._elsewhere: dict[str, ClientStatus] = {}

    def on_replaced(self, close: Callable[[str, DetectionSystemError], None]) -> None:
        """Have a connection closed, by its sid and with the reason, that another server has replaced."""
        self._close = close

    def connected(self, client_id: str, sid: str, handshake: Handshake) -> tuple[str, DetectionSystemError] | None:
        """Note a connection; return the sid of the one that it replaces and why, if there is one.

        Raises
        ------
        OutdatedAttemptError
            If the same process has connected later already: this attempt was on its way for too long.
        """
        with self._lock:
            client = self._clients[client_id]
            # One process counts its attempts: an older one that was delayed must not throw out the live connection.
            is_same = client.instance == handshake.instance
            if is_same and handshake.attempt < client.attempt:
                raise OutdatedAttemptError
            replaced = client.sid
            client.sid, client.instance, client.attempt = sid, handshake.instance, handshake.attempt
            client.change(connected=True, last_seen=self._clock())
        if replaced is None:
            return None
        return replaced, OutdatedAttemptError() if is_same else ReplacedConnectionError()

    def heard(self, client_id: str, sid: str, waiting: int) -> bool:
        """Note that a client app spoke, and how many requests wait there; return whether that number is another."""
        with self._lock:
            client, now = self._clients[client_id], self._clock()
            if client.sid != sid:
                return False
            told = client.status
            is_news = told.waiting != waiting
            # By the age of the number, not of the connection: after a reconnect it is older than ``last_seen``.
            if is_news or told.waiting_at is None or now - told.waiting_at >= CONFIRMED_EVERY:
                client.change(last_seen=now, waiting=waiting, waiting_at=now)
        return is_news

    def left(self, client_id: str, sid: str) -> bool:
        """Note the end of a connection; return whether the client app is gone with it, for it was not replaced."""
        with self._lock:
            client = self._clients[client_id]
            if client.sid != sid:
                return False
            client.sid = None
            client.change(connected=False, last_seen=self._clock())
        return True

    def all(self) -> list[ClientStatus]:
        """Return every client app, as it is here or, if it was last at another server, there."""
        with self._lock:
            return [
                client.status if client.sid else self._elsewhere.get(name, client.status)
                for name, client in self._clients.items()
            ]

    def here(self) -> dict[str, Connected]:
        """Return those that have connected here, in whatever state they are."""
        with self._lock:
            return {name: replace(client) for name, client in self._clients.items() if client.instance}

    def take(self, elsewhere: Mapping[str, Connected], asked: Mapping[str, Connected]) -> bool:
        """Take what is known of those that were last at other servers; return whether that is news.

        ``asked`` are those that were here before that was read: a connection made since then is newer.
        """
        replaced: list[tuple[str, DetectionSystemError]] = []
        with self._lock:
            for name in elsewhere.keys() & asked.keys():
                client = self._clients[name]
                if client.sid and client.sid == asked[name].sid:
                    is_same = client.instance == elsewhere[name].instance
                    replaced.append((client.sid, OutdatedAttemptError() if is_same else ReplacedConnectionError()))
            statuses = {name: other.status for name, other in elsewhere.items()}
            is_news, self._elsewhere = statuses != self._elsewhere, statuses
        for sid, reason in replaced:
            self._close(sid, reason)
        return is_news


def client_of_token(token: str, tokens: Mapping[str, str]) -> str | None:
    """Return the client id that a token proves; ``None`` if it is nobody's."""
    # All of them are compared, so that the time it takes does not tell which one matched.
    matches = [client_id for client_id, expected in tokens.items() if tokens_equal(token, expected)]
    return matches[0] if matches else None
