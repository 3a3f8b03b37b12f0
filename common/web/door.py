"""The door before Socket.IO: who may reach it, how many at once, and the end of connections that break the rules."""

import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs
from weakref import WeakValueDictionary
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
from flask import Flask
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from common.access.sessions import Session
from common.addresses import is_address
from common.errors import (
    DetectionSystemError,
    InvalidMessageError,
    NotAllowedError,
    RateLimitedError,
    ShuttingDownError,
    TooManyConnectionsError,
)
from common.followers import Peer
from common.messages import WireError
from common.periodic import PeriodicTask
from common.web.headers import with_security_headers
from common.web.logs import named
from common.web.origin import FOREIGN_ORIGIN, UNTRUSTED_HOST, is_known_host, is_of_own_page
from common.web.sign_in import caller, identity_of
from config.settings import ClientSettings, ServerSettings

log = logging.getLogger(__name__)

PATH: Final = "/socket.io/"

PING_INTERVAL: Final = 25
PING_TIMEOUT: Final = 20

JOIN_SECONDS: Final = 10.0
"""A connection that is in no namespace by then is ended; clients join at once."""

PER_IDENTITY: Final = 50
"""Connections of one session or one client app."""

PER_ADDRESS: Final = 1000
"""Connections of one address, which a whole clinic may share."""

POLLING_HANDSHAKES: Final = RateLimitItemPerSecond(5, PING_INTERVAL + PING_TIMEOUT)
"""Of one session: Engine.IO keeps a thread for each that long."""

WATCH_SECONDS: Final = 0.25

UNKNOWN_REQUEST: Final = "This is not a valid Socket.IO request."

_PEER = "hads.peer"


@dataclass(eq=False)
class Connection:
    """One transport of a peer while it is open: a websocket or, without a socket, a polling session."""

    identity: str
    address: str
    transport: socket.socket | None
    has_ended: bool = False
    has_joined: bool = False
    ends_at: float | None = field(default_factory=lambda: time.monotonic() + JOIN_SECONDS)
    heard_at: float = field(default_factory=time.monotonic)

    def join(self) -> bool:
        """Note that it was let into a namespace; return whether it may: once, and not after it was told to end."""
        if self.has_joined:
            return False
        self.has_joined, self.ends_at = True, None
        return True

    def end_in(self, seconds: float) -> None:
        self.has_joined = True  # what is about to end is let into no namespace
        self.ends_at = time.monotonic() + seconds

    def end(self) -> None:
        """End the transport at once, even while another thread reads or writes it."""
        self.has_ended = True
        # Not closed: another thread may read it, and the number of a closed one would be given to the next socket.
        if self.transport is not None:
            with suppress(OSError):
                self.transport.shutdown(socket.SHUT_RDWR)

    def is_due(self, now: float) -> bool:
        # Nothing tells of the end of a polling session, but that it asks no longer.
        is_silent = self.transport is None and now - self.heard_at > PING_INTERVAL + PING_TIMEOUT
        return self.has_ended or is_silent or (self.ends_at is not None and now >= self.ends_at)


def peer_of(environ: object) -> Peer | None:
    """Return the peer that the door let in with a request; ``None`` for anything that came in a message."""
    peer = environ.get(_PEER) if isinstance(environ, dict) else None
    return peer if isinstance(peer, Peer) else None


class Door:
    """A WSGI layer around a Flask app, but behind ``ProxyFix``: hosts, schemes and addresses are those forwarded.

    ``check`` raises the named error that keeps new connections out, with the status for which a proxy leads them to
    another server.
    """

    def __init__(
        self,
        app: Flask,
        settings: ServerSettings | ClientSettings,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.sockets: MutableMapping[tuple[str, int], socket.socket] = WeakValueDictionary()
        """Those that eventlet has accepted, by the peer's address and port; werkzeug passes them in the environ."""
        self.connections: set[Connection] = set()
        self.refused = 0
        self.refusals: Counter[str] = Counter()
        """Connections and events that were refused, by the error's code."""
        self._flask = app
        self._app = app.wsgi_app
        self._check = check
        self._settings = settings
        self.is_closed = False
        self._requests: set[object] = set()
        self._polling: dict[str, Connection] = {}
        self._handshakes = MovingWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()
        self._watch = PeriodicTask("door", self._end_due, seconds=WATCH_SECONDS)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # First of all: limits, logs and the audit trail of everything behind use this address.
        _require_address(environ)
        start = with_security_headers(environ, start_response)
        if self.is_closed:
            return _refuse(ShuttingDownError(), environ, start)
        try:
            if not environ["PATH_INFO"].startswith(PATH):
                return self._counted(environ, start)
            return self._socket_io(environ, start)
        except ConnectionError:  # tells both servers that there is nothing to answer
            raise
        except Exception as error:  # noqa: BLE001 - both servers would log what an unexpected error says
            refusal = named(error, "a request failed outside of the app")
            self.count_refusal(refusal.code)
            return _refuse(refusal, environ, start)

    def close(self) -> None:
        """Refuse every request and every event from now on."""
        self.is_closed = True

    def count_refusal(self, code: str) -> None:
        with self._lock:
            self.refusals[code] += 1

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until every request is answered and every connection has ended, but no longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        while (self._requests or self.connections) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _counted(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request to Flask, which counts as under way until its last byte was taken."""
        with ExitStack() as request:
            self._requests.add(request)
            request.callback(self._requests.discard, request)
            body = self._app(environ, start)
            return ClosingIterator(body, request.pop_all().close)

    def _socket_io(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if not is_known_host(environ, self._settings.allowed_hosts):
            raise NotAllowedError(UNTRUSTED_HOST)
        is_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        # Who asks is found out before anything is opened or counted: a stranger costs no more than a 401.
        sid = _polling_id(environ, is_websocket=is_websocket)
        if sid is None:
            self._check()  # before that: who is not known here may be known to another server
        who = self._identify(environ)
        if is_websocket:
            connection = self._open(environ, who, self._socket_of(environ))
            try:
                return self._hand_on(environ, start, ConnectionError())
            finally:
                self._close(connection)
        if not isinstance(who, Session):
            raise NotAllowedError("Client apps connect over websockets only.")
        if sid is not None:
            return self._poll(environ, start, who.id, sid)
        if not self._handshakes.hit(POLLING_HANDSHAKES, who.id):
            self.refused += 1
            raise RateLimitedError(PING_INTERVAL)
        connection = self._open(environ, who, None)
        # Engine.IO makes the id of a polling session, and tells it in the answer alone.
        body = b"".join(self._hand_on(environ, start, InvalidMessageError(UNKNOWN_REQUEST)))
        if opened := re.match(rb'0\{"sid":"([^"]+)"', body):
            self._polling[opened[1].decode()] = connection
        else:
            self._close(connection)
        return [body]

    def _identify(self, environ: WSGIEnvironment) -> str | Session:
        """Return the client app or the session of a request.

        Raises
        ------
        NotSignedInError
            If there is neither.
        NotAllowedError
            If it proves itself with a cookie, and no page of this app made it.
        """
        with self._flask.request_context(environ):
            who = caller()
        if isinstance(who, Session) and not is_of_own_page(environ):  # no page of another origin can add a token
            raise NotAllowedError(FOREIGN_ORIGIN)
        return who

    def _socket_of(self, environ: WSGIEnvironment) -> socket.socket:
        # eventlet shows no socket: it is found by the peer's own address and port, from before ProxyFix.
        own = environ.get("werkzeug.proxy_fix.orig", environ)
        key = own["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0)
        accepted: socket.socket | None = environ.get("werkzeug.socket") or self.sockets.get(key)
        if accepted is None:
            raise InvalidMessageError("This is not a websocket.")
        return accepted

    def _open(self, environ: WSGIEnvironment, who: str | Session, accepted: socket.socket | None) -> Connection:
        """Count a connection, and put its peer into the environ.

        Raises
        ------
        TooManyConnectionsError
            If there are as many as may be, in all, of one identity or of one address.
        """
        identity, address = identity_of(who), environ["REMOTE_ADDR"]
        connection = Connection(identity, address, accepted)
        with self._lock:  # counted and added in one step, or many at once would get past the limit
            is_full = len(self.connections) >= self._settings.max_connections
            # Counted anew each time, a few thousand at most: kept counts would have to follow every way to end.
            of_identity = sum(one.identity == identity for one in self.connections)
            of_address = sum(one.address == address for one in self.connections)
            if is_full or of_identity >= PER_IDENTITY or of_address >= PER_ADDRESS:
                self.refused += 1
                raise TooManyConnectionsError
            self.connections.add(connection)
            self._watch.start()
        client_id, session = (None, who) if isinstance(who, Session) else (who, None)
        environ[_PEER] = Peer(client_id, session, address, connection)
        return connection

    def _close(self, connection: Connection) -> None:
        connection.has_ended = True
        with self._lock:
            self.connections.discard(connection)

    def _hand_on(self, environ: WSGIEnvironment, start: StartResponse, if_failed: Exception) -> Iterable[bytes]:
        """Let Socket.IO answer; ``if_failed`` is raised in place of an error, which may say what a peer sent."""
        try:
            return self._app(environ, start)
        except ConnectionError:  # how both servers notice a peer that has gone
            raise
        except Exception as error:
            log.info("a request to Socket.IO failed: %s", type(error).__name__, exc_info=True)
            raise if_failed from None

    def _poll(self, environ: WSGIEnvironment, start: StartResponse, identity: str, sid: str) -> Iterable[bytes]:
        """Take a request of a polling session; its id, which is part of addresses, proves nothing."""
        connection = self._polling.get(sid)
        if connection is None or connection.identity != identity or connection.has_ended:
            raise InvalidMessageError("This connection has ended.")
        connection.heard_at = time.monotonic()
        return self._hand_on(environ, start, InvalidMessageError(UNKNOWN_REQUEST))

    def _end_due(self) -> None:
        now = time.monotonic()
        for connection in [one for one in list(self.connections) if one.is_due(now)]:
            connection.end()
            if connection.transport is None:  # a websocket's own thread closes it
                self._close(connection)
        for sid in [sid for sid, connection in list(self._polling.items()) if connection.has_ended]:
            del self._polling[sid]


def _polling_id(environ: WSGIEnvironment, *, is_websocket: bool) -> str | None:
    """Return the polling session that a request names; Engine.IO goes by the query alone, so both must agree.

    Raises
    ------
    InvalidMessageError
        If the query asks for another transport than the headers, for JSONP, or to change the transport.
    """
    asked = parse_qs(environ.get("QUERY_STRING", ""))
    if is_websocket != (asked.get("transport") == ["websocket"]) or "j" in asked:
        raise InvalidMessageError(UNKNOWN_REQUEST)
    if is_websocket and "sid" in asked:
        raise InvalidMessageError("A connection cannot change its transport.")
    return asked["sid"][0] if "sid" in asked else None


def _require_address(environ: WSGIEnvironment) -> None:
    """Take the proxy's own address where what it forwarded is none: it goes into limits and the audit trail."""
    if not is_address(environ.get("REMOTE_ADDR", "")) and "werkzeug.proxy_fix.orig" in environ:
        environ["REMOTE_ADDR"] = environ["werkzeug.proxy_fix.orig"]["REMOTE_ADDR"]


def _refuse(error: DetectionSystemError, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    body = orjson.dumps({"error": WireError.of(error).to_wire()})
    answer = Response(body, error.status, {"Connection": "close"}, content_type="application/json")
    if error.retryable:
        answer.headers["Retry-After"] = str(getattr(error, "retry_after", 5))
    return answer(environ, start)
