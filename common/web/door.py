"""The door before Socket.IO: who may reach it, how many at once, and the end of those who do not keep to the rules."""

import logging
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

import orjson
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from common.access.sessions import Session
from common.access.tokens import UNKNOWN_TOKEN, bearer_token
from common.addresses import is_address
from common.errors import (
    DetectionSystemError,
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    NotSignedInError,
    RateLimitedError,
    ShuttingDownError,
    TooManyConnectionsError,
)
from common.followers import Peer
from common.messages import WireError
from common.web.headers import with_security_headers
from common.web.old_link import answer_old_link, is_old_link
from common.web.origin import FOREIGN_ORIGIN, UNTRUSTED_HOST, is_known_host, is_of_own_page
from common.web.proxy_advice import ProxyAdvisor

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

PATH: Final = "/socket.io/"

PING_INTERVAL: Final = 25
PING_TIMEOUT: Final = 20

JOIN_SECONDS: Final = 10.0
"""A connection that is in no namespace by then is ended: who may come in does so at once."""

PER_IDENTITY: Final = 50
"""Connections of one session or one client app."""

PER_ADDRESS: Final = 1000
"""Connections of one address: a whole clinic may share one."""

POLLING_HANDSHAKES: Final = RateLimitItemPerSecond(5, PING_INTERVAL + PING_TIMEOUT)
"""Of one session: for so long Engine.IO keeps a thread for each."""

WATCH_SECONDS: Final = 0.25

_PEER = "hads.peer"


class Connection:
    """One transport of a peer, for as long as it is open: a websocket, or, without a socket, a polling session."""

    def __init__(self, identity: str, address: str, transport: socket.socket | None) -> None:
        self.identity = identity
        self.address = address
        self.has_ended = False
        self.has_joined = False
        self.ends_at: float | None = time.monotonic() + JOIN_SECONDS
        self.heard_at = time.monotonic()
        self.socket = transport

    def join(self) -> bool:
        """Note that it was let into a namespace; return whether it may: once, and not after it was told to end."""
        if self.has_joined:
            return False
        self.has_joined, self.ends_at = True, None
        return True

    def end_in(self, seconds: float) -> None:
        self.has_joined = True
        self.ends_at = time.monotonic() + seconds

    def end(self) -> None:
        """End the transport at once, whoever reads or writes it."""
        self.has_ended = True
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def is_due(self, now: float) -> bool:
        is_silent = self.socket is None and now - self.heard_at > PING_INTERVAL + PING_TIMEOUT
        return is_silent or (self.ends_at is not None and now >= self.ends_at)


def peer_of(environ: "WSGIEnvironment") -> Peer:
    """Return whom the door let in with the request that opened a connection."""
    peer = environ[_PEER]
    if not isinstance(peer, Peer):
        raise NotSignedInError
    return peer


def has_passed(value: object) -> bool:
    """Tell whether a value is the environ of a request that the door let in, which no message of a peer can be."""
    return isinstance(value, dict) and isinstance(value.get(_PEER), Peer)


class Door:
    """A WSGI app around all others, but behind ``ProxyFix``: hosts, schemes and addresses are those forwarded.

    ``session_of`` finds the open session of a request's cookie, ``client_of_token`` the client app that a token is of.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        session_of: "Callable[[WSGIEnvironment], Session | None]",
        client_of_token: Callable[[str], str | None],
        allowed_hosts: Iterable[str],
        max_connections: int,
        advisor: ProxyAdvisor,
    ) -> None:
        self.sockets: MutableMapping[tuple[str, int], socket.socket] = WeakValueDictionary()
        """Those that eventlet has accepted, by the peer's address and port; werkzeug hands them over itself."""
        self.refused = 0
        self._app = app
        self._session_of = session_of
        self._client_of_token = client_of_token
        self._allowed_hosts = list(allowed_hosts)
        self._max_connections = max_connections
        self._advisor = advisor
        self._is_closed = False
        self._requests = 0
        self._connections: set[Connection] = set()
        self._polling: dict[str, Connection] = {}
        self._handshakes = MovingWindowRateLimiter(MemoryStorage())
        self._changed = threading.Condition()
        self._watch: threading.Thread | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        _require_address(environ)
        start = with_security_headers(environ, start_response)
        if self._is_closed:
            return _refuse(ShuttingDownError(), environ, start)
        try:
            if not environ["PATH_INFO"].startswith(PATH):
                return self._counted(environ, start)
            return self._socket_io(environ, start)
        except DetectionSystemError as error:
            return _refuse(error, environ, start)
        except ConnectionError:  # tells both servers that there is nothing to answer
            raise
        except Exception:  # whatever Flask does not answer itself; both servers would log what the error says
            log.exception("a request failed outside of the app")
            return _refuse(InternalError(), environ, start)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until every request is answered and every connection has ended, but no longer than so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests == 0 and not self._connections, seconds)

    def _counted(self, environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
        self._count(1)
        try:
            body = self._app(environ, start)
        except BaseException:
            self._count(-1)
            raise
        return ClosingIterator(body, lambda: self._count(-1))

    def _count(self, more: int) -> None:
        with self._changed:
            self._requests += more
            self._changed.notify_all()

    def _socket_io(self, environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
        if not is_known_host(environ, self._allowed_hosts):
            raise NotAllowedError(self._advisor.explained(UNTRUSTED_HOST, environ, "Host"))
        is_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if is_websocket and is_old_link(environ) and (accepted := self._socket_of(environ)):
            answer_old_link(accepted, environ["HTTP_SEC_WEBSOCKET_KEY"])
            raise ConnectionError  # ends the connection: what eventlet writes comes after the websocket's end
        client_id, session = self._identify(environ)
        identity = client_id or (session.id if session else "")
        asked = _query_of(environ, is_websocket=is_websocket)
        if is_websocket:
            accepted = self._socket_of(environ)
            if accepted is None:
                raise InvalidMessageError("This is no websocket.")
            connection = self._open(environ, identity, accepted)
            environ[_PEER] = Peer(client_id, session, connection.address, connection)
            return self._websocket(environ, start, connection)
        if session is None:
            raise NotAllowedError("Client apps connect over websockets only.")
        if "sid" in asked:
            return self._poll(environ, start, identity, asked["sid"][0])
        if not self._handshakes.hit(POLLING_HANDSHAKES, identity):
            self.refused += 1
            raise RateLimitedError(PING_INTERVAL)
        connection = self._open(environ, identity, None)
        environ[_PEER] = Peer(None, session, connection.address, connection)
        return self._begin_polling(environ, start, connection)

    def _identify(self, environ: "WSGIEnvironment") -> tuple[str | None, Session | None]:
        """Return the client app or the session of a request.

        Raises
        ------
        NotSignedInError
            If there is neither.
        NotAllowedError
            If it proves itself with a cookie, and no page of this app made it.
        """
        if "HTTP_AUTHORIZATION" in environ:
            token = bearer_token(environ["HTTP_AUTHORIZATION"])
            client_id = self._client_of_token(token) if token else None
            if client_id is None:
                raise NotSignedInError(UNKNOWN_TOKEN)
            return client_id, None
        if "HTTP_COOKIE" not in environ:
            raise NotSignedInError
        if not is_of_own_page(environ):
            raise NotAllowedError(self._advisor.explained(FOREIGN_ORIGIN, environ, "Origin"))
        session = self._session_of(environ)
        if session is None:
            raise NotSignedInError
        return None, session

    def _socket_of(self, environ: "WSGIEnvironment") -> socket.socket | None:
        if "werkzeug.socket" in environ:
            accepted: socket.socket = environ["werkzeug.socket"]
            return accepted
        own = environ.get("werkzeug.proxy_fix.orig", environ)
        return self.sockets.get((own["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0)))

    def _open(self, environ: "WSGIEnvironment", identity: str, accepted: socket.socket | None) -> Connection:
        """Give a connection its place.

        Raises
        ------
        TooManyConnectionsError
            If there is none.
        """
        address = environ["REMOTE_ADDR"]
        connection = Connection(identity, address, accepted)
        with self._changed:
            counts = Counter(key for one in self._connections for key in (("by", one.identity), ("at", one.address)))
            is_full = len(self._connections) >= self._max_connections
            if is_full or counts["by", identity] >= PER_IDENTITY or counts["at", address] >= PER_ADDRESS:
                self.refused += 1
                raise TooManyConnectionsError
            self._connections.add(connection)
            if self._watch is None:
                self._watch = threading.Thread(target=self._keep_watching, name="door", daemon=True)
                self._watch.start()
        return connection

    def _close(self, connection: Connection) -> None:
        connection.has_ended = True
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def _websocket(
        self, environ: "WSGIEnvironment", start: "StartResponse", connection: Connection
    ) -> "Iterable[bytes]":
        try:
            return self._app(environ, start)
        except ConnectionError:
            raise
        except Exception as error:
            log.info("a websocket ended early: %s", type(error).__name__, exc_info=True)
            raise ConnectionError from None
        finally:
            self._close(connection)

    def _begin_polling(
        self, environ: "WSGIEnvironment", start: "StartResponse", connection: Connection
    ) -> "Iterable[bytes]":
        """Open a polling session, whose id stands in the answer."""
        body = b"".join(self._answer(environ, start))
        if opened := re.match(rb'0\{"sid":"([^"]+)"', body):
            self._polling[opened[1].decode()] = connection
        else:
            self._close(connection)
        return [body]

    def _poll(self, environ: "WSGIEnvironment", start: "StartResponse", identity: str, sid: str) -> "Iterable[bytes]":
        """Take a request of a polling session; its id, which stands in addresses, proves nothing."""
        connection = self._polling.get(sid)
        if connection is None or connection.identity != identity or connection.has_ended:
            raise InvalidMessageError("This connection has ended.")
        connection.heard_at = time.monotonic()
        return self._answer(environ, start)

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
        try:
            return self._app(environ, start)
        except Exception as error:
            log.info("a polling request could not be read: %s", type(error).__name__, exc_info=True)
            raise InvalidMessageError("This is no request that Socket.IO knows.") from None

    def _keep_watching(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            now = time.monotonic()
            for connection in [one for one in list(self._connections) if one.has_ended or one.is_due(now)]:
                connection.end()
                if connection.socket is None:
                    self._close(connection)
            for sid in [sid for sid, connection in list(self._polling.items()) if connection.has_ended]:
                del self._polling[sid]


def _query_of(environ: "WSGIEnvironment", *, is_websocket: bool) -> dict[str, list[str]]:
    """Return what a request asks for, if it is of one kind: Engine.IO goes by the query alone.

    Raises
    ------
    InvalidMessageError
        If it is not.
    """
    asked = parse_qs(environ.get("QUERY_STRING", ""))
    if is_websocket != (asked.get("transport") == ["websocket"]) or "j" in asked:
        raise InvalidMessageError("This is no request that Socket.IO knows.")
    if is_websocket and "sid" in asked:
        raise InvalidMessageError("A connection cannot change its transport.")
    return asked


def _require_address(environ: "WSGIEnvironment") -> None:
    """Take the proxy's own address where what it forwarded is none: it goes into limits and the audit trail."""
    if not is_address(environ.get("REMOTE_ADDR", "")) and "werkzeug.proxy_fix.orig" in environ:
        environ["REMOTE_ADDR"] = environ["werkzeug.proxy_fix.orig"]["REMOTE_ADDR"]


def _refuse(error: DetectionSystemError, environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
    body = orjson.dumps({"error": WireError.of(error).to_wire()})
    answer = Response(body, error.status, {"Connection": "close"}, content_type="application/json")
    if error.retryable:
        answer.headers["Retry-After"] = str(getattr(error, "retry_after", 5))
    return answer(environ, start)
