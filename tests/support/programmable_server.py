"""A real Socket.IO server on a real socket that speaks the protocol and misbehaves on request."""

import queue
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import eventlet
import eventlet.patcher
import eventlet.wsgi
import socketio
from socketio.exceptions import ConnectionRefusedError as HandshakeRefused
from werkzeug.serving import make_server

from common.messages import (
    CLIENTS_NAMESPACE,
    Change,
    Changes,
    Event,
    Handshake,
    Message,
    Prediction,
    PredictRequest,
    Receipt,
    WireError,
)
from common.web.codec import OrjsonCodec
from tests.support.made_requests import prediction
from tests.support.serving import ASYNC_MODE

TOKEN = "a-token-of-this-test"
WAIT_SECONDS = 20
PAGE_ENTRIES = 3

Answer = Callable[[str, PredictRequest], Receipt]


class ProgrammableServer:
    """Answers like the server unless told otherwise; can be cut off, stopped and started again on the same port."""

    def __init__(self) -> None:
        self.received: queue.Queue[PredictRequest] = queue.Queue()
        self.handshakes: queue.Queue[Handshake] = queue.Queue()
        self.farewells: queue.Queue[str] = queue.Queue()
        self.refusal: WireError | None = None
        self.answer: Answer = self.predict
        self.answers: dict[str, Prediction] = {}
        self.change_log: list[Change] = []
        self.change_log_status = "200 OK"
        self.pages: dict[str, tuple[str, bytes]] = {}
        """Status and body of the answers at other addresses than the change log's."""
        self.asked: list[dict[str, str]] = []
        self._questions: queue.Queue[None] = queue.Queue()
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            self.port: int = reserved.getsockname()[1]
        self._connections = _Connections()
        self._end: Callable[[], object] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as ever."""
        self._socketio = self._make_socketio()
        self._connections = _Connections()
        application = socketio.WSGIApp(self._socketio, self._http_app)
        self._end = _serve(self.port, self._connections.of(application))

    def stop(self) -> None:
        """Stop listening and cut every connection, as when the process is killed."""
        if self._end:
            self._end()
            self._end = None
        self._connections.accept_no_more()
        self.cut()

    def cut(self) -> None:
        """Cut every connection without a word."""
        self._connections.cut()

    def send(self, event: str, message: Message | object, *, to: str | None = None) -> None:
        wire = message.to_wire() if isinstance(message, Message) else message
        self._socketio.emit(event, wire, namespace=CLIENTS_NAMESPACE, to=to)

    def disconnect_everyone(self) -> None:
        for sid, _ in list(self._socketio.manager.get_participants(CLIENTS_NAMESPACE, None)):
            self._socketio.disconnect(sid, namespace=CLIENTS_NAMESPACE)

    def predict(self, sid: str, request: PredictRequest) -> Receipt:
        """Answer as the server does: the same request gets the same stored answer."""
        self.send(Event.PREDICTION_RESULT, self.answers.setdefault(request.request_id, prediction(request)), to=sid)
        return Receipt(status="accepted")

    @staticmethod
    def keep_silent(_sid: str, _request: PredictRequest) -> Receipt:
        """Take a request and never answer it."""
        return Receipt(status="accepted")

    def next_numbers(self, count: int) -> list[int]:
        """Wait for so many requests and return their outbox numbers in the order they came."""
        return [self.received.get(timeout=WAIT_SECONDS).outbox_number for _ in range(count)]

    def wait_for_questions(self, count: int) -> None:
        """Wait until the change log was asked so many times more."""
        for _ in range(count):
            self._questions.get(timeout=WAIT_SECONDS)

    def _make_socketio(self) -> Any:
        server = socketio.Server(async_mode=ASYNC_MODE, async_handlers=False, json=OrjsonCodec, monitor_clients=False)
        server.on("connect", self._on_connect, namespace=CLIENTS_NAMESPACE)
        server.on("disconnect", self._on_disconnect, namespace=CLIENTS_NAMESPACE)
        server.on(Event.PREDICT, self._on_predict, namespace=CLIENTS_NAMESPACE)
        return server

    def _on_connect(self, _sid: str, _environ: object, auth: object) -> None:
        handshake = Handshake.check(auth)
        self.handshakes.put(handshake)
        if self.refusal:
            raise HandshakeRefused(self.refusal.message, self.refusal.to_wire())

    def _on_disconnect(self, sid: str, _reason: str) -> None:
        self.farewells.put(sid)

    def _on_predict(self, sid: str, message: object) -> dict[str, Any]:
        request = PredictRequest.check(message)
        self.received.put(request)
        return self.answer(sid, request).to_wire()

    def _http_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        self.asked.append(asked | {"path": environ["PATH_INFO"], "authorization": environ["HTTP_AUTHORIZATION"]})
        if environ["PATH_INFO"] in self.pages:
            status, body = self.pages[environ["PATH_INFO"]]
            start_response(status, [("Content-Type", "application/json")])
            return [body]
        after = int(asked["after"])
        later = [entry for entry in self.change_log if entry.sequence > after]
        page = later[:PAGE_ENTRIES]
        run = Changes(
            after=after,
            next_after=page[-1].sequence if page else after,
            has_more=len(later) > len(page),
            entries=page,
        )
        self._questions.put(None)
        start_response(self.change_log_status, [("Content-Type", "application/json")])
        return [OrjsonCodec.dumps(run.to_wire()).encode()]


class _Connections:
    """The sockets of one life of the server, so that none outlives it."""

    def __init__(self) -> None:
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        self._accepts = True

    def of(self, application: Any) -> Any:
        """Return the WSGI application with its connections noted."""

        def noting(environ: dict[str, Any], start_response: Any) -> Any:
            green = environ.get("eventlet.input")
            with self._lock:
                self._sockets.append(green.get_socket() if green else environ["werkzeug.socket"])
                accepts = self._accepts
            if not accepts:
                self.cut()
            return application(environ, start_response)

        return noting

    def accept_no_more(self) -> None:
        with self._lock:
            self._accepts = False

    def cut(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # gone already


def _serve(port: int, application: Any) -> Callable[[], object]:
    """Serve in the background; return what ends it."""
    if ASYNC_MODE == "eventlet":
        return _serve_green(port, application)
    server = make_server("127.0.0.1", port, application, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end


def _serve_green(port: int, application: Any) -> Callable[[], object]:
    listener = socket.create_server(("127.0.0.1", port))
    serving = eventlet.spawn(eventlet.wsgi.server, listener, application, log_output=False)

    def end() -> None:
        serving.kill()
        listener.close()

    return end
