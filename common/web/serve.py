"""Running an app: read the settings, listen, print the way in, serve on eventlet or threads, and stop when told."""

import errno
import gc
import io
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from common.access.accounts import built_in_tokens
from common.access.roles import sign_in_link
from common.errors import NAMED_ERRORS
from common.settings_errors import SETTINGS_ERRORS, settings_sentence
from common.web.concurrency import EVENTLET
from common.web.logs import configure_logging, keep_libraries_quiet, may_log
from common.web.sockets import RealTime
from config.secrets import ConfigurationError
from config.settings import ClientSettings, ServerSettings, unknown_names

if sys.platform != "win32":
    import resource

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", ServerSettings, ClientSettings)

USAGE_ERROR: Final = 2

LOOK_SECONDS: Final = 0.1
DRAIN_SECONDS: Final = 1.0

IDLE_SECONDS: Final = 30
"""How long a peer may take for its next bytes; websockets have pings instead."""

DEAF_SECONDS: Final = 30
"""How long what was sent may go unconfirmed until the system ends the connection."""

READ_BYTES: Final = 65_536

MAX_SOCKETS: Final = 25_000
"""At once, plain HTTP's included."""

SPARE_FILES: Final = 256
"""What a process opens beside its peers' sockets: databases, the trail, a language model."""


@dataclass(frozen=True)
class RunningApp:
    """A started app and what has to be done when it ends."""

    app: Flask
    real_time: RealTime
    stop: Callable[[], None]


def run_app(read_settings: Callable[[], SettingsT], start: Callable[[SettingsT], RunningApp]) -> None:
    """Run one app until SIGTERM or SIGINT; anything that keeps it from starting is one sentence and an exit code."""
    try:
        settings = read_settings()
    except SETTINGS_ERRORS as error:
        print(settings_sentence(error), file=sys.stderr)
        sys.exit(USAGE_ERROR)
    configure_logging(settings.log_level, settings.log_format)
    if unknown := unknown_names():
        log.warning("unknown settings in .env, which have no effect: %s", ", ".join(unknown))
    try:
        listen(settings.host, settings.port).close()  # one that is in use is told at once
        running = start(settings)
        # Only now: until it is ready a server refuses connections, and a proxy goes to another one instead of waiting.
        listener = listen(settings.host, settings.port)
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)
    reasons: list[str] = []
    # A handler may interrupt any code, on eventlet any green thread: it leaves a note, and this thread looks for it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reasons.append("a signal"))
    on_end = partial(reasons.append, "the end of serving")
    stop_accepting = accept(running.app, listener, settings.socketio_async_mode, on_end=on_end)
    keep_libraries_quiet()
    # What was imported and built stays until the end: a collection that goes through it stops everything for 0.1 s.
    gc.collect()
    gc.freeze()
    _print_links(settings)
    while not reasons:
        time.sleep(LOOK_SECONDS)
    log.info("stopping because of %s", reasons[0])
    # Nothing new comes in, then what was accepted is answered over connections that are still open.
    running.real_time.door.close()
    running.stop()
    running.real_time.stop()
    running.real_time.door.wait_until_empty(DRAIN_SECONDS)
    stop_accepting()  # the last: with its listener eventlet ends every websocket, read or not


def _print_links(settings: ServerSettings | ClientSettings) -> None:
    """Print the one-click links, except those whose token was given in the environment and is known there."""
    made = [built_in for built_in in built_in_tokens(settings) if not os.environ.get(built_in.setting)]
    if not made:
        print(f"Open {settings.url}", flush=True)
    for built_in in made:
        print(f"Open as {built_in.role} {sign_in_link(settings.url, built_in.token)}", flush=True)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, whose options Linux hands down to every accepted connection.

    Without TCP_NODELAY two small messages in a row to one peer wait about 40 ms for each other; without
    TCP_USER_TIMEOUT a peer that takes nothing is kept, with its thread, for as long as it likes.

    Raises
    ------
    ConfigurationError
        When the address cannot be used, saying what to do.
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
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAF_SECONDS * 1000)
    return listener


def accept(
    app: Flask, listener: socket.socket, async_mode: str, *, on_end: Callable[[], object] = lambda: None
) -> Callable[[], None]:
    """Answer requests on threads of their own; return what stops that."""
    serving: Callable[[], object]
    end: Callable[[], object] | None = None  # on eventlet the listener's shutdown is all it takes
    if async_mode == EVENTLET:
        from eventlet import wsgi  # noqa: PLC0415 - only if it is the mode

        accepting = _Accepting(listener, app.extensions["door"].sockets)
        limits = {"max_size": max_sockets(), "keepalive": IDLE_SECONDS, "socket_timeout": IDLE_SECONDS}
        serving = partial(wsgi.server, accepting, app, log_output=False, debug=False, **limits)
    else:
        host, port = listener.getsockname()[:2]
        handler = type("Handler", (_RequestHandler,), {"room": threading.BoundedSemaphore(max_sockets())})
        server = make_server(host, port, app, threaded=True, request_handler=handler, fd=listener.fileno())
        serving, end = server.serve_forever, server.shutdown

    def run() -> None:
        try:
            serving()
        except OSError as error:  # eventlet's way to tell that the listener was shut down
            log.debug("serving ended: %s", error.strerror)
        finally:
            listener.close()  # here alone: on eventlet a close elsewhere would leave this one waiting for it for ever
            on_end()

    def stop() -> None:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        if end:
            end()

    threading.Thread(target=run, name="http", daemon=True).start()
    return stop


def max_sockets() -> int:
    """Return how many sockets may be open at once, having raised the limit of open files as far as the system allows.

    The rest is kept for the process's own files: a peer that opens connections again and again must not use them up.
    """
    if sys.platform == "win32":
        return MAX_SOCKETS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_SOCKETS + SPARE_FILES
    with suppress(ValueError, OSError):  # macOS reports no limit, and has one
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_SOCKETS if limit == resource.RLIM_INFINITY else min(MAX_SOCKETS, limit - min(SPARE_FILES, limit // 2))


class _Accepting:
    """The listening socket for eventlet, which would end at a connection that fails: notes whom it has let in."""

    def __init__(self, listener: socket.socket, accepted: MutableMapping[tuple[str, int], socket.socket]) -> None:
        self._listener = listener
        self._accepted = accepted

    def accept(self) -> tuple[socket.socket, Any]:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if error.errno in {errno.EINVAL, errno.EBADF}:  # the listener was shut down
                    raise
                log.warning("a connection could not be taken: %s", error.strerror)
                time.sleep(0.1)
            else:
                self._accepted[address[:2]] = connection
                return connection, address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


class _BoundedReader(io.BufferedReader):
    """Reads no more at once than a request may hold: werkzeug asks for 10 MB of a body that it has refused."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(READ_BYTES if size is None or size < 0 else min(size, READ_BYTES))


class _RequestHandler(WSGIRequestHandler):
    """Takes one request; what it cannot read may be the rest of a patient, and is neither repeated nor logged."""

    timeout = IDLE_SECONDS
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"
    room: threading.BoundedSemaphore

    def setup(self) -> None:
        super().setup()
        self.rfile: io.BufferedReader = _BoundedReader(self.rfile.detach())

    def handle(self) -> None:
        if not self.room.acquire(blocking=False):
            return
        try:
            super().handle()
        except ValueError:  # an address that is none
            self.log_error("")
        except Exception:
            log.exception("a connection failed")
        finally:
            self.room.release()

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if "Upgrade" in getattr(self, "headers", {}):  # a websocket's last bytes would be read as another request
            self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        super().send_error(code)

    def log_error(self, format: str, *args: Any) -> None:
        if may_log("unreadable request"):
            log.warning("an unreadable request came from %s", self.client_address[0])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no request: an address may be made to hold anything."""
