"""Who the client apps are, which of them are connected, and when they were last heard."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.access.tokens import tokens_equal
from common.errors import DetectionSystemError, OutdatedAttemptError, ReplacedConnectionError
from common.messages import ClientStatus, Handshake

CONFIRMED_EVERY: Final = timedelta(seconds=5)
"""How exact the times are while nothing else changes: each other time would be news to every dashboard."""


@dataclass
class _Client:
    sid: str | None = None
    instance: str = ""
    attempt: int = 0
    last_seen: datetime | None = None
    waiting: int | None = None
    waiting_at: datetime | None = None


class ConnectedClients:
    """One connection for each known client app; the newer one wins, by instance and attempt."""

    def __init__(self, client_ids: Sequence[str], *, clock: Callable[[], datetime]) -> None:
        self._clients = {client_id: _Client() for client_id in client_ids}
        self._clock = clock
        self._lock = threading.Lock()

    def connected(self, client_id: str, sid: str, handshake: Handshake) -> tuple[str, DetectionSystemError] | None:
        """Note a connection; return the sid of the one that it replaces and why, if there is one.

        Raises
        ------
        OutdatedAttemptError
            If the same process has connected later already: this attempt was on its way for too long.
        """
        with self._lock:
            client = self._clients[client_id]
            is_same = client.instance == handshake.instance
            if is_same and handshake.attempt < client.attempt:
                raise OutdatedAttemptError
            replaced = client.sid
            client.sid, client.instance, client.attempt = sid, handshake.instance, handshake.attempt
            client.last_seen = self._clock()
        if replaced is None:
            return None
        return replaced, OutdatedAttemptError() if is_same else ReplacedConnectionError()

    def heard(self, client_id: str, sid: str, waiting: int | None) -> bool:
        """Note that a client app spoke, and how many requests wait there; return whether that number is another."""
        with self._lock:
            client, now = self._clients[client_id], self._clock()
            if client.sid != sid:
                return False
            changed = waiting is not None and client.waiting != waiting
            if changed or client.last_seen is None or now - client.last_seen >= CONFIRMED_EVERY:
                client.last_seen = now
                if waiting is not None:
                    client.waiting, client.waiting_at = waiting, now
        return changed

    def left(self, client_id: str, sid: str) -> bool:
        """Note the end of a connection; return whether the client app is gone with it, for it was not replaced."""
        with self._lock:
            client = self._clients[client_id]
            if client.sid != sid:
                return False
            client.sid, client.last_seen = None, self._clock()
        return True

    def all(self) -> list[ClientStatus]:
        with self._lock:
            return [
                ClientStatus(
                    client_id=client_id,
                    connected=client.sid is not None,
                    last_seen=client.last_seen,
                    waiting=client.waiting,
                    waiting_at=client.waiting_at,
                )
                for client_id, client in self._clients.items()
            ]


def client_of_token(token: str, tokens: Mapping[str, str]) -> str | None:
    """Return the client id that a token proves; ``None`` if it is nobody's."""
    matches = [client_id for client_id, expected in tokens.items() if tokens_equal(token, expected)]
    return matches[0] if matches else None
