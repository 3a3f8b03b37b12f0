"""The server's Socket.IO namespaces: they check who speaks, hand over, and acknowledge."""

import logging
from collections.abc import Callable

from common.errors import NotAllowedError, UnsupportedProtocolError
from common.followers import ALL, RELOAD_BEYOND, Peer
from common.messages import (
    CLIENTS_NAMESPACE,
    OPERATORS_NAMESPACE,
    PROTOCOL_VERSION,
    Event,
    Follow,
    Handshake,
    Message,
    OperatorStatus,
    PredictRequest,
    Withdrawal,
)
from common.web.sockets import FollowedNamespace
from server.clients import ConnectedClients
from server.log import ChangeLog
from server.predictions import PredictionService

log = logging.getLogger(__name__)


class OperatorsNamespace(FollowedNamespace):
    """Where dashboards follow the whole log and the status; they have nothing to say here."""

    def __init__(self, changes: ChangeLog, *, status: Callable[[], OperatorStatus]) -> None:
        super().__init__(OPERATORS_NAMESPACE, changes, status=status, reload_beyond=RELOAD_BEYOND)
        self._changes = changes
        changes.tell(self.followers.nudge)

    def heard(self, sid: str, peer: Peer, follow: Follow) -> None:
        self._changes.heard_of(follow.log, follow.after)

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        if peer.session is None:
            raise NotAllowedError
        return ALL


class ClientsNamespace(FollowedNamespace):
    """Where client apps send patients, and follow their own entries."""

    events = frozenset({Event.PREDICT, Event.WITHDRAW})

    def __init__(self, service: PredictionService, clients: ConnectedClients) -> None:
        super().__init__(CLIENTS_NAMESPACE, service.changes, status=lambda: None)
        self._service = service
        self._clients = clients
        clients.on_replaced(self.followers.close)
        service.changes.tell(self.followers.nudge)

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        if peer.client_id is None:
            raise NotAllowedError
        # Before anything else: what more the handshake of another version holds is not known here.
        spoken = auth.get("protocol") if isinstance(auth, dict) else None
        if isinstance(spoken, int) and spoken != PROTOCOL_VERSION:
            raise UnsupportedProtocolError(
                f"The client app speaks protocol version {spoken}, the server {PROTOCOL_VERSION}. Update the older one."
            )
        return peer.client_id

    def joined(self, sid: str, peer: Peer, auth: object) -> None:
        # Only now: a newer connection could not close one that is no follower yet.
        client_id, handshake = str(peer.client_id), Handshake.check(auth)
        if self._service.cluster is not None:
            self._service.cluster.claim(client_id, handshake)
        replaced = self._clients.connected(client_id, sid, handshake)
        if replaced is not None:
            self.followers.close(*replaced)
        self._service.changes.nudge()
        log.info("%s connected", peer.client_id)

    def on_predict(self, sid: str, peer: Peer, message: object) -> Message:
        return self._service.submit(PredictRequest.check(message), str(peer.client_id))

    def on_withdraw(self, sid: str, peer: Peer, message: object) -> Message:
        return self._service.withdraw(Withdrawal.check(message).request_id, str(peer.client_id))

    def heard(self, sid: str, peer: Peer, follow: Follow) -> None:
        self._service.changes.heard_of(follow.log, follow.after)
        if follow.waiting is not None and self._clients.heard(str(peer.client_id), sid, follow.waiting):
            self._service.changes.nudge()

    def left(self, sid: str, peer: Peer) -> None:
        if self._clients.left(str(peer.client_id), sid):
            self._service.changes.nudge()
            log.info("%s disconnected", peer.client_id)
