"""Who the client apps are, which of them are connected, and when they were last heard."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.errors import NotSignedInError
from common.messages import ClientStatus
from common.web.tokens import tokens_equal


@dataclass
class _Client:
    sid: str | None = None
    last_seen: datetime | None = None
    waiting: int = 0


class ConnectedClients:
    """One connection for each known client app; a newer one takes the place of the older."""

    def __init__(self, client_ids: Sequence[str], *, clock: Callable[[], datetime]) -> None:
        self._clients = {client_id: _Client() for client_id in client_ids}
        self._clock = clock
        self._lock = threading.Lock()

    def connected(self, client_id: str, sid: str, waiting: int) -> str | None:
        """Note a connection; return the sid of the one it replaces, if there is one."""
        with self._lock:
            replaced = self._clients[client_id].sid
            self._clients[client_id] = _Client(sid, self._clock(), waiting)
        return replaced

    def heard(self, client_id: str, waiting: int) -> bool:
        """Note that a client app spoke; return whether its queue length is news."""
        with self._lock:
            client = self._clients[client_id]
            changed = client.waiting != waiting
            client.last_seen, client.waiting = self._clock(), waiting
        return changed

    def answered(self, client_id: str, requests: int) -> bool:
        """Note that requests were answered, so that fewer wait; return whether that is news."""
        with self._lock:
            client = self._clients[client_id]
            left = max(0, client.waiting - requests)
            changed, client.waiting = client.waiting != left, left
        return changed

    def disconnected(self, sid: str) -> str | None:
        """Note the end of a connection; return the client app that is gone with it, if it was not replaced."""
        with self._lock:
            for client_id, client in self._clients.items():
                if client.sid == sid:
                    client.sid, client.last_seen = None, self._clock()
                    return client_id
        return None

    def status(self, client_id: str) -> ClientStatus:
        with self._lock:
            client = self._clients[client_id]
            return ClientStatus(
                client_id=client_id,
                connected=client.sid is not None,
                last_seen=client.last_seen,
                waiting=client.waiting,
            )

    def all(self) -> list[ClientStatus]:
        return [self.status(client_id) for client_id in self._clients]


def client_of_token(token: str, tokens: Mapping[str, str]) -> str:
    """Return the client id that a token proves.

    Raises
    ------
    NotSignedInError
        If it is nobody's.
    """
    matches = [client_id for client_id, expected in tokens.items() if tokens_equal(token, expected)]
    if not matches:
        raise NotSignedInError("The client app's token is not known at the server. Check CLIENT_n_TOKEN on both sides.")
    return matches[0]
