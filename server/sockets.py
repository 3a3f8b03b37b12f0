"""The server's Socket.IO namespaces: they check who speaks, hand over, and acknowledge."""

import logging
from collections import Counter
from collections.abc import Mapping

from common.errors import ReplacedConnectionError, UnsupportedProtocolError
from common.messages import (
    CLIENTS_NAMESPACE,
    OPERATORS_NAMESPACE,
    PROTOCOL_VERSION,
    Change,
    ChangeKind,
    Changes,
    Event,
    ExplanationFinished,
    ExplanationSentence,
    ExplanationStatus,
    Handshake,
    ModelStatus,
    Prediction,
    PredictionErased,
    PredictionRefused,
    PredictRequest,
    Receipt,
    WireError,
)
from common.web.realtime import Namespace, RealTime, Wire, current_sid, only_message
from common.web.signed_in_room import SignedInRoom
from server.clients import ConnectedClients, client_of_token
from server.predictions import PredictionService

log = logging.getLogger(__name__)

OPERATORS_ROOM = "operators"


class SocketPublisher:
    """Publishes to the rooms of client apps and operators that are connected now."""

    def __init__(self, real_time: RealTime, clients: ConnectedClients) -> None:
        self._real_time = real_time
        self._clients = clients
        self.operators = SignedInRoom(real_time, OPERATORS_NAMESPACE, OPERATORS_ROOM)

    def changes(self, changes: Changes) -> None:
        wire = changes.to_wire()
        for entry, entry_wire in zip(changes.entries, wire["entries"], strict=True):
            self._tell_client(entry, entry_wire)
        self.operators.emit(Event.CHANGES, wire)
        answered = Counter(entry.client_id for entry in changes.entries if entry.prediction is not None)
        for client_id, requests in answered.items():
            self._note_answered(client_id, requests)

    def repeat(self, prediction: Prediction) -> None:
        self._to_client(prediction.client_id, Event.PREDICTION_RESULT, prediction.to_wire())
        self._note_answered(prediction.client_id, 1)

    def refused(self, client_id: str, refusal: PredictionRefused) -> None:
        self._to_client(client_id, Event.PREDICTION_REFUSED, refusal.to_wire())
        if not refusal.error.retryable:
            self._note_answered(client_id, 1)

    def sentence(self, client_id: str, sentence: ExplanationSentence) -> None:
        self._to_client(client_id, Event.EXPLANATION_SENTENCE, sentence.to_wire())

    def explanation_status(self, status: ExplanationStatus) -> None:
        self.operators.emit(Event.EXPLANATION_STATUS, status.to_wire())

    def model_status(self, status: ModelStatus) -> None:
        self.operators.emit(Event.MODEL_STATUS, status.to_wire())

    def client_status(self, client_id: str) -> None:
        """Tell operators how a client app is doing now."""
        self.operators.emit(Event.CLIENT_STATUS, self._clients.status(client_id).to_wire())

    def _note_answered(self, client_id: str, requests: int) -> None:
        if self._clients.answered(client_id, requests):
            self.client_status(client_id)

    def _tell_client(self, entry: Change, wire: Wire) -> None:
        if entry.prediction is not None:
            self._to_client(entry.client_id, Event.PREDICTION_RESULT, wire["prediction"])
        if entry.explanation is not None:
            finished = ExplanationFinished(prediction_id=entry.prediction_id, explanation=entry.explanation)
            self._to_client(entry.client_id, Event.EXPLANATION_FINISHED, finished.to_wire())
        if entry.kind is ChangeKind.PREDICTION_ERASED:
            erased = PredictionErased(prediction_id=entry.prediction_id)
            self._to_client(entry.client_id, Event.PREDICTION_ERASED, erased.to_wire())

    def _to_client(self, client_id: str, event: Event, wire: Wire) -> None:
        self._real_time.emit(event, wire, namespace=CLIENTS_NAMESPACE, to=client_id)


class ClientsNamespace(Namespace):
    """Where client apps send patients; each one's answers go to the room of its identity."""

    events = frozenset({Event.PREDICT})

    def __init__(
        self,
        service: PredictionService,
        clients: ConnectedClients,
        publisher: SocketPublisher,
        tokens: Mapping[str, str],
    ) -> None:
        super().__init__(CLIENTS_NAMESPACE)
        self._service = service
        self._clients = clients
        self._publisher = publisher
        self._tokens = tokens

    def on_connect(self, auth: object = None) -> None:
        _require_known_protocol(auth)
        handshake = Handshake.check(auth)
        sid, client_id = current_sid(), client_of_token(handshake.token, self._tokens)
        self.real_time.save_identity(sid, client_id, namespace=self.name)
        replaced = self._clients.connected(client_id, sid, handshake.waiting)
        if replaced is not None:
            self._close_replaced(replaced)
        self.real_time.enter_room(sid, client_id, namespace=self.name)
        self._publisher.client_status(client_id)
        log.info("%s connected", client_id)

    def on_predict(self, sid: str, *arguments: object) -> Wire:
        client_id = self.real_time.identity(sid, namespace=self.name)
        request = PredictRequest.check(only_message(arguments))
        if self._clients.heard(client_id, request.waiting):
            self._publisher.client_status(client_id)
        self._service.submit(request, client_id)
        return Receipt(status="accepted").to_wire()

    def forget(self, sid: str) -> None:
        client_id = self._clients.disconnected(sid)
        if client_id is not None:
            self._publisher.client_status(client_id)
            log.info("%s disconnected", client_id)

    def _close_replaced(self, sid: str) -> None:
        reason = WireError.of(ReplacedConnectionError()).to_wire()
        self.real_time.emit(Event.CONNECTION_REPLACED, reason, namespace=self.name, to=sid)
        self.real_time.disconnect(sid, namespace=self.name)


def _require_known_protocol(auth: object) -> None:
    """Check the version before anything else: what else another version's handshake holds is not known here."""
    spoken = auth.get("protocol") if isinstance(auth, dict) else None
    if isinstance(spoken, int) and spoken != PROTOCOL_VERSION:
        raise UnsupportedProtocolError(
            f"The client app speaks protocol version {spoken}, the server {PROTOCOL_VERSION}. Update the older one."
        )


class OperatorsNamespace(Namespace):
    """Where dashboards listen; they have nothing to say here."""

    def __init__(self, operators: SignedInRoom) -> None:
        super().__init__(OPERATORS_NAMESPACE)
        self._operators = operators

    def on_connect(self, _auth: object = None) -> None:
        self._operators.enter()

    def forget(self, sid: str) -> None:
        """Keep nothing for a dashboard: it asks for what it missed."""
        self._operators.leave(sid)
