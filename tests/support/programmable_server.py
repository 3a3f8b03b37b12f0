"""A real Socket.IO server on a real socket that speaks the protocol and misbehaves on request."""

import queue
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import eventlet.wsgi
import socketio
from socketio.exceptions import ConnectionRefusedError as HandshakeRefused
from werkzeug import Response
from werkzeug.serving import make_server

from common.messages import (
    CLIENTS_NAMESPACE,
    Change,
    Changes,
    Closing,
    Event,
    Follow,
    Handshake,
    Message,
    PredictRequest,
    Receipt,
    WireError,
    Withdrawal,
)
from common.web.codec import OrjsonCodec
from tests.faults.proxy import FaultyLink
from tests.support.made_requests import made, prediction, withdrawn
from tests.support.serving import ASYNC_MODE
from tests.support.waiting import WAIT_SECONDS

TOKEN = "a-token-of-this-test"
LOG = "a-log.0"
PAGE_ENTRIES = 3

Answer = Callable[[PredictRequest], Receipt | object]


class ProgrammableServer:
    """Answers like the server unless told otherwise; can be cut off, stopped and started again on the same port."""

    def __init__(self) -> None:
        self.received: queue.Queue[PredictRequest] = queue.Queue()
        self.handshakes: queue.Queue[Handshake] = queue.Queue()
        self.follows: queue.Queue[Follow] = queue.Queue()
        self.farewells: queue.Queue[str] = queue.Queue()
        self.authorizations: set[str | None] = set()
        self.refusal: WireError | None = None
        """Refuses connections to the namespace with this."""
        self.door: tuple[str, bytes] | None = None
        """Refuses with this status and body before there is a websocket."""
        self.location = ""
        """Where it redirects to then."""
        self.answer: Answer = self.predict
        self.answer_withdrawal: Callable[[str], Receipt] = self.withdraw
        self.withdrawn: queue.Queue[str] = queue.Queue()
        self.is_mute = False
        """Whether it takes everything and answers nothing."""
        self.let_in = threading.Event()
        """New connections wait for it, at most 1.5 s."""
        self.let_in.set()
        self.log: list[Change] = []
        self.pages: dict[str, tuple[str, bytes]] = {}
        """Status and body of its answers over HTTP."""
        self.asked: list[dict[str, str]] = []
        self._pending: dict[str, Follow | None] = {}
        """By connection, with the question that is not answered yet."""
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._link = FaultyLink(self._listener.getsockname()[1])
        self._link.begin("reset")
        self._end: Callable[[], object] | None = None

    @property
    def url(self) -> str:
        return self._link.url

    def start(self) -> None:
        if self._end is None:
            self._socketio = self._make_socketio()
            self._engine = socketio.WSGIApp(self._socketio)
            self._end = _serve(self._listener, self._answer_http)
        self._link.heal()

    def stop(self) -> None:
        """Cut every connection and refuse new ones, as when the process is killed."""
        self._link.begin("reset")

    def close(self) -> None:
        """End for good."""
        self._link.close()
        if self._end is not None:
            self._end()
        self._listener.close()

    def send(self, event: str, message: Message | object) -> None:
        wire = message.to_wire() if isinstance(message, Message) else message
        self._socketio.emit(event, wire, namespace=CLIENTS_NAMESPACE)

    def close_all(self, reason: WireError) -> None:
        """Say why, and leave the namespace with everybody."""
        self.send(Event.CLOSING, Closing(reason=reason))
        for sid in list(self._pending):
            self._socketio.disconnect(sid, namespace=CLIENTS_NAMESPACE)

    def append(self, *entries: Change) -> None:
        """Add entries to the log, and answer those who wait for some."""
        with self._lock:
            self.log.extend(entries)
            for sid, follow in list(self._pending.items()):
                self._answer(sid, follow)

    def predict(self, request: PredictRequest) -> Receipt:
        """Answer as the server does: each request once, with an entry of the log."""
        with self._lock:
            if any(entry.request_id == request.request_id for entry in self.log):
                return Receipt(status="stored")
            self.append(made(len(self.log) + 1, prediction(request)))
        return Receipt(status="accepted")

    def withdraw(self, request_id: str) -> Receipt:
        """Take a request back as the server does: unless the log has it."""
        with self._lock:
            if not any(entry.request_id == request_id for entry in self.log):
                self.append(withdrawn(len(self.log) + 1, request_id))
        return Receipt(status="stored")

    @staticmethod
    def keep_silent(_request: PredictRequest) -> Receipt:
        """Take a request and never answer it."""
        return Receipt(status="accepted")

    def next_ids(self, count: int) -> list[str]:
        """Wait for so many requests and return their ids in the order they came."""
        return [self.received.get(timeout=WAIT_SECONDS).request_id for _ in range(count)]

    def next_follow(self, fits: Callable[[Follow], bool] = lambda _: True) -> Follow:
        """Wait for a question that fits."""
        while True:
            if fits(follow := self.follows.get(timeout=WAIT_SECONDS)):
                return follow

    def _make_socketio(self) -> Any:
        server = socketio.Server(
            async_mode=ASYNC_MODE,
            async_handlers=False,
            json=OrjsonCodec,
            monitor_clients=False,
        )
        server.on("connect", self._on_connect, namespace=CLIENTS_NAMESPACE)
        server.on("disconnect", self._on_disconnect, namespace=CLIENTS_NAMESPACE)
        server.on(Event.PREDICT, self._on_predict, namespace=CLIENTS_NAMESPACE)
        server.on(Event.WITHDRAW, self._on_withdraw, namespace=CLIENTS_NAMESPACE)
        server.on(Event.FOLLOW, self._on_follow, namespace=CLIENTS_NAMESPACE)
        return server

    def _on_connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        self.authorizations.add(environ.get("HTTP_AUTHORIZATION"))
        self.handshakes.put(Handshake.check(auth))
        self.let_in.wait(1.5)
        if self.refusal:
            raise HandshakeRefused(self.refusal.message, self.refusal.to_wire())
        self._pending[sid] = None

    def _on_disconnect(self, sid: str, _reason: str) -> None:
        self._pending.pop(sid, None)
        self.farewells.put(sid)

    def _on_predict(self, _sid: str, message: object) -> object:
        request = PredictRequest.check(message)
        self.received.put(request)
        receipt = self.answer(request)
        return receipt.to_wire() if isinstance(receipt, Message) else receipt

    def _on_withdraw(self, _sid: str, message: object) -> object:
        request_id = Withdrawal.check(message).request_id
        self.withdrawn.put(request_id)
        return self.answer_withdrawal(request_id).to_wire()

    def _on_follow(self, sid: str, message: object) -> None:
        follow = Follow.check(message)
        self.follows.put(follow)
        with self._lock:
            self._pending[sid] = follow
            self._answer(sid, follow)

    def _answer(self, sid: str, follow: Follow | None) -> None:
        if follow is None or self.is_mute:
            return
        newest = self.log[-1].sequence if self.log else 0
        after = follow.after if follow.log == LOG and follow.after <= newest else 0
        if newest <= after and follow.ticket:
            return  # nothing new; the first question is answered at once
        later = [entry for entry in self.log if entry.sequence > after]
        page = later[:PAGE_ENTRIES]
        run = Changes(
            log=LOG,
            after=after,
            next_after=page[-1].sequence if page else after,
            has_more=len(later) > len(page),
            entries=page,
            ticket="the last one",
        )
        self._pending[sid] = None
        self._socketio.emit(Event.CHANGES, run.to_wire(), namespace=CLIENTS_NAMESPACE, to=sid)

    def _answer_http(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/socket.io/"):
            if self.door is None:
                return self._engine(environ, start_response)  # type: ignore[no-any-return]
            status, body = self.door
        else:
            self.asked.append({"path": path, "authorization": environ["HTTP_AUTHORIZATION"]})
            status, body = self.pages[path]
        response = Response(body, status, {"Location": self.location}, content_type="application/json")
        return response(environ, start_response)


def _serve(listener: socket.socket, application: Any) -> Callable[[], object]:
    """Serve in the background; return what ends it."""
    if ASYNC_MODE == "eventlet":
        return eventlet.spawn(eventlet.wsgi.server, listener, application, log_output=False).kill  # type: ignore[no-any-return]
    server = make_server("127.0.0.1", 0, application, threaded=True, fd=listener.fileno())
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end
