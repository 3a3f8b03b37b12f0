"""Running a Flask app on a listening socket until it is told to stop."""

import io
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wsgi import ClosingIterator

from common.errors import ShuttingDownError
from common.messages import WireError
from common.web.headers import with_security_headers
from common.web.http_peers import IDLE_SECONDS, Discreet, ListenerShutDown, PatientListener, most_connections
from config.secrets import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0

READ_BYTES = 65_536


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, with TCP_NODELAY, which Linux hands down to every accepted connection.

    Without it two small messages in a row to one peer wait about 40 ms for each other.

    Raises
    ------
    ConfigurationError
        When the address cannot be had, naming what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        cause = os.strerror(error.errno or 0)
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({cause}). Stop what uses it, or choose another port."
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(
    app: "WSGIApplication",
    listener: socket.socket,
    async_mode: str,
    *,
    on_start: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then refuse what is new, call ``on_stop`` and return once all is answered.

    From ``on_start`` on both signals are heeded.
    """
    stopping, wake = socket.socketpair()
    gate = Gate(app)

    def run() -> None:
        try:
            serve_forever(gate, listener, async_mode)
        finally:
            wake.send(b".")

    # A byte through a socket wakes the main (green) thread, whichever thread the system interrupted: a handler would
    # only run once the main thread does, and an exception raised in it could land anywhere.
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=run, name="http", daemon=True).start()
    on_start()
    stopping.recv(1)
    log.info("stopping")
    gate.close()
    on_stop()
    gate.wait_until_answered(DRAIN_SECONDS)


class Gate:
    """Lets requests in until it is closed, and knows how many are not answered yet; those of Socket.IO stand aside."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._refuse = with_security_headers(_refuse)
        self._is_closed = False
        self._inside = 0
        self._changed = threading.Condition()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        if self._is_closed:
            return self._refuse(environ, start_response)
        if environ["PATH_INFO"].startswith("/socket.io/"):
            return self._app(environ, start_response)
        return self._counted(environ, start_response)

    def close(self) -> None:
        self._is_closed = True

    def wait_until_answered(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0, seconds)

    def _counted(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        self._count(1)
        try:
            body = self._app(environ, start_response)
        except BaseException:
            self._count(-1)
            raise
        return ClosingIterator(body, lambda: self._count(-1))

    def _count(self, more: int) -> None:
        with self._changed:
            self._inside += more
            self._changed.notify_all()


def _refuse(_: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    start_response("503 SERVICE UNAVAILABLE", [("Content-Type", "application/json"), ("Retry-After", "5")])
    return [orjson.dumps({"error": WireError.of(ShuttingDownError()).to_wire()})]


def serve_forever(app: "WSGIApplication", listener: socket.socket, async_mode: str) -> None:
    """Answer requests until the listener is shut down."""
    if async_mode == "eventlet":
        from common.web import green_serving  # noqa: PLC0415 - only if it is the mode

        green_serving.run(app, listener, most_connections())
    else:
        _run_threads(app, listener)


class _PatientReader(io.BufferedReader):
    """Reads no more at once than a request may hold: werkzeug asks for 10 MB of a body it has refused."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(READ_BYTES if size is None or size < 0 else min(size, READ_BYTES))


class _RequestHandler(Discreet, WSGIRequestHandler):
    """Ends the connection with a websocket: the original would read, and log, its last bytes as another request."""

    timeout = IDLE_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile: io.BufferedReader = _PatientReader(self.rfile.detach())

    def run_wsgi(self) -> None:
        try:
            urlsplit(self.path)
        except ValueError:  # the original reads it once more, and lets this out
            self.close_connection = True
            self.send_error(400)
            return
        super().run_wsgi()
        if "Upgrade" in self.headers:
            self.close_connection = True


class _Server(ThreadedWSGIServer):
    """Accepts nobody while there are as many connections as there may be."""

    def __init__(self, host: str, port: int, app: "WSGIApplication", *, fd: int, most: int) -> None:
        super().__init__(host, port, app, _RequestHandler, fd=fd)
        self._room = threading.BoundedSemaphore(most)

    def get_request(self) -> tuple[socket.socket, Any]:
        return PatientListener(self.socket).accept()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection by place and kind; the original prints what it says."""
        log.error("a connection failed", exc_info=True)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log the failure being handled by place and kind; the original writes out what it says."""
        log.error("a request failed outside of the app", exc_info=True)


def _run_threads(app: "WSGIApplication", listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    with suppress(ListenerShutDown):
        _Server(host, port, app, fd=listener.fileno(), most=most_connections()).serve_forever()
