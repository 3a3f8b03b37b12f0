"""Running a Flask app on a listening socket until it is told to stop."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

from config.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 10_000


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
    """Serve until SIGTERM or SIGINT, then call ``on_stop`` and return; from ``on_start`` on both are heeded."""
    stopping, wake = socket.socketpair()

    def run() -> None:
        try:
            serve_forever(app, listener, async_mode)
        finally:
            wake.send(b".")

    for number in (signal.SIGTERM, signal.SIGINT):
        # A byte through a socket wakes the main (green) thread; an exception raised here could land in any of them.
        signal.signal(number, lambda *_: wake.send(b"."))
    threading.Thread(target=run, name="http", daemon=True).start()
    on_start()
    stopping.recv(1)
    log.info("stopping")
    on_stop()


def serve_forever(app: "WSGIApplication", listener: socket.socket, async_mode: str) -> None:
    """Answer requests until the process ends."""
    if async_mode == "eventlet":
        _run_eventlet(app, listener)
    else:
        _run_threads(app, listener)


def _run_eventlet(app: "WSGIApplication", listener: socket.socket) -> None:
    from eventlet import wsgi  # noqa: PLC0415 - only if it is the mode

    wsgi.server(listener, app, log=log, log_output=False, debug=False, max_size=MAX_CONNECTIONS)


class _RequestHandler(WSGIRequestHandler):
    """Ends the connection with a websocket: the original would read, and log, its last bytes as another request."""

    def run_wsgi(self) -> None:
        super().run_wsgi()
        if "Upgrade" in self.headers:
            self.close_connection = True


def _run_threads(app: "WSGIApplication", listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    server = make_server(host, port, app, threaded=True, request_handler=_RequestHandler, fd=listener.fileno())
    server.serve_forever()
