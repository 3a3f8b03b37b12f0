"""Typed access to Flask-SocketIO, which has no types; ``link`` is its outgoing counterpart, no other imports them."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from urllib.parse import parse_qs

from flask import Flask, request
from flask_socketio import Namespace as FlaskNamespace
from flask_socketio import SocketIO as FlaskSocketIO
from flask_socketio import _SocketIOMiddleware as Middleware
from socketio.exceptions import ConnectionRefusedError as HandshakeRefused
from werkzeug.exceptions import BadRequest, SecurityError
from werkzeug.http import parse_cookie
from werkzeug.wsgi import get_host

from common.access.audit.trail import AuditTrail
from common.access.sessions import Sessions
from common.errors import (
    DetectionSystemError,
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    ShuttingDownError,
)
from common.messages import WireError
from common.web.codec import OrjsonCodec
from common.web.cookies import SECURE_PREFIX
from common.web.engine import ConnectionLimits, LimitedServer
from common.web.headers import with_security_headers
from common.web.limits import SocketLimits, address_of
from common.web.origin import FOREIGN_ORIGIN, UNTRUSTED_HOST, is_same_origin
from common.web.outgoing import Bounds
from common.web.proxy_advice import ProxyAdvisor
from config.settings import ClientSettings, ServerSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

Wire = Mapping[str, Any]

SPARE_PACKETS = 200
"""Packets a second of a connection beside five times its events: who is refused may ask again at once."""


class _SocketIO(FlaskSocketIO):
    """Flask-SocketIO on a limited server; the original makes one of its own."""

    def init_app(self, app: Flask, **options: Any) -> None:
        self.manage_session = options.pop("manage_session")
        self.server = LimitedServer(**options)
        self.async_mode = self.server.async_mode
        app.extensions["socketio"] = self
        app.wsgi_app = Middleware(self.server, app)  # type: ignore[method-assign]


class RealTime:
    """The Socket.IO side of one Flask app.

    Of the events ``newest_only``, given as (namespace, event), a slow peer gets only the newest.
    """

    def __init__(
        self, app: Flask, settings: ServerSettings | ClientSettings, newest_only: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._app = app
        self.sessions: Sessions = app.config["SIGN_IN_SESSIONS"]
        self.limits = SocketLimits(app.config["LIMITER"], settings)
        self.is_stopping = False
        self._socketio = _SocketIO(
            app,
            async_mode=settings.socketio_async_mode,
            async_handlers=False,  # ordered, and no task for each event
            manage_session=False,  # identity is kept by sid in python-socketio's own session
            json=OrjsonCodec,
            cors_allowed_origins=partial(_is_own_page, app.config["PROXY_ADVISOR"]),
            max_http_buffer_size=settings.max_message_bytes,
            http_compression=False,
            limits=_connection_limits(settings, self.limits, newest_only),
        )
        self._socketio.server.namespaces = []  # those registered below and no other; "/" would be open by default
        self._socketio.on_error_default(_refuse_connection)
        own_browser = _of_one_browser(app.wsgi_app, self._socketio.server.environ, app.config["SESSION_COOKIE_NAME"])
        app.wsgi_app = with_security_headers(own_browser)  # type: ignore[assignment, method-assign]

    @property
    def connections(self) -> dict[str, Any]:
        """Tell how many connections stand, may stand and were refused, and why others were cut."""
        engine = self._socketio.server.eio
        return {
            "now": len(engine.sockets),
            "at_most": engine.limits.most,
            "refused": engine.refused,
            "cut": dict(engine.cuts),
        }

    @property
    def audit_trail(self) -> AuditTrail:
        trail: AuditTrail = self._app.config["AUDIT_TRAIL"]
        return trail

    def close(self, seconds: float) -> None:
        """End all connections once what waits for them is sent, after so many seconds at the latest."""
        self._socketio.server.eio.close_all(seconds)

    def register(self, namespace: "Namespace") -> None:
        namespace.real_time = self
        self._socketio.on_namespace(namespace)

    def emit(self, event: str, message: Wire, *, namespace: str, to: str) -> None:
        """Send to one sid or room, at most once, to whoever is in it now.

        Never to a whole namespace: a connection is in that before anybody knows who it is.
        """
        self._socketio.emit(event, message, namespace=namespace, to=to)

    def enter_room(self, sid: str, room: str, *, namespace: str) -> None:
        self._socketio.server.enter_room(sid, room, namespace=namespace)

    def disconnect(self, sid: str, *, namespace: str) -> None:
        self._socketio.server.disconnect(sid, namespace=namespace)

    def save_identity(self, sid: str, identity: str, *, namespace: str) -> None:
        self._socketio.server.save_session(sid, {"identity": identity}, namespace=namespace)

    def identity(self, sid: str, *, namespace: str) -> str:
        session: dict[str, str] = self._socketio.server.get_session(sid, namespace=namespace)
        return session["identity"]

    def address(self, sid: str, *, namespace: str) -> str:
        """Return the address a connection was made from, as far as the trusted proxies tell it."""
        return address_of(self._socketio.server.get_environ(sid, namespace=namespace))

    def test_client(self, app: Flask, **options: Any) -> Any:
        """Return Flask-SocketIO's in-process test client."""
        return self._socketio.test_client(app, **options)


class Namespace(FlaskNamespace):
    """A namespace whose unknown events are answered with an error rather than with silence.

    A connection is made in a request of Flask's. What comes over it afterwards is no request, and is handed to
    ``on_<event>`` with the connection's id before the message: a request made up for each event costs more than
    reading and checking the event does.
    """

    events: ClassVar[frozenset[str]] = frozenset()
    """The events it has handlers for, beside connect and disconnect."""

    real_time: RealTime

    @property
    def name(self) -> str:
        return str(self.namespace)

    def trigger_event(self, event: object, *args: Any) -> Any:
        if not isinstance(event, str) or not (event in self.events or self._is_reported(event, args)):
            return refusal(InvalidMessageError("This event is not known here."))
        if event == "connect":
            return self._connect(*args)
        sid, *messages = args
        try:
            if event == "disconnect":
                return self.forget(sid)
            self._require_room_for(sid)
            return getattr(self, f"on_{event}")(sid, *messages)
        except Exception as error:  # noqa: BLE001 - whatever fails is logged, and is the event's answer
            return refusal(_named(error))

    def forget(self, sid: str) -> None:
        """Drop what is kept of a connection that ended, or was not let in after all: it may be anything or nothing."""

    def _connect(self, sid: str, environ: "WSGIEnvironment", *auth: object) -> Any:
        """Let a connection in; of one that is refused the library reports no disconnect."""
        _require_trusted_host(environ)
        with ExitStack() as undone:
            undone.callback(self.forget, sid)
            answer = super().trigger_event("connect", sid, environ, *auth)
            undone.pop_all()
        return answer

    def _require_room_for(self, sid: str) -> None:
        """Check that a peer's event may be handled now."""
        if self.real_time.is_stopping:
            raise ShuttingDownError
        self.real_time.limits.require_event(sid, self.real_time.address(sid, namespace=self.name))

    def _is_reported(self, event: str, args: tuple[Any, ...]) -> bool:
        """Tell whether the library reports a connect or disconnect: a peer can send events of these names as well."""
        sid, *rest = args
        if event == "connect":
            return bool(rest) and rest[0] is self.server.get_environ(sid, namespace=self.name)
        return event == "disconnect" and not self.server.manager.is_connected(sid, self.name)


def _of_one_browser(
    app: "WSGIApplication", handshakes: Mapping[str, Mapping[str, Any]], cookie: str
) -> "WSGIApplication":
    """Wrap a WSGI app so that a polling connection is its own browser's: its id, which is in addresses, is no proof."""

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        sid = parse_qs(environ.get("QUERY_STRING", "")).get("sid", [""])[0]
        handshake = handshakes.get(sid)
        if handshake is not None and _session_cookie(handshake, cookie) != _session_cookie(environ, cookie):
            return BadRequest()(environ, start_response)
        return app(environ, start_response)

    return guarded


def _session_cookie(environ: Mapping[str, Any], name: str) -> str | None:
    sent = parse_cookie(environ.get("HTTP_COOKIE", ""))
    return sent.get(f"{SECURE_PREFIX}{name}", sent.get(name))


def _connection_limits(
    settings: ServerSettings | ClientSettings, rates: SocketLimits, newest_only: Sequence[tuple[str, str]]
) -> ConnectionLimits:
    return ConnectionLimits(
        most=settings.max_connections,
        packets_per_second=SPARE_PACKETS + 5 * settings.events_per_second,
        outgoing=Bounds(
            settings.outgoing_buffer_bytes, tuple(f'2{namespace},["{event}"' for namespace, event in newest_only)
        ),
        stalled_seconds=settings.stalled_seconds,
        rates=rates,
    )


def _is_own_page(advisor: ProxyAdvisor, origin: str, environ: "WSGIEnvironment") -> bool:
    """Tell whether ``Origin`` is this app's; that a proxy is why it is not goes to the log alone."""
    is_own = is_same_origin(origin, environ)
    if not is_own:
        advisor.explained(FOREIGN_ORIGIN, environ, "Origin")
    return is_own


def _require_trusted_host(environ: "WSGIEnvironment") -> None:
    """Refuse a handshake sent to a host name that is not ours; Flask checks its own requests only."""
    app: Flask = environ["flask.app"]
    try:
        get_host(environ, app.config["TRUSTED_HOSTS"])
    except SecurityError:
        sentence = app.config["PROXY_ADVISOR"].explained(UNTRUSTED_HOST, environ, "Host")
        error = WireError.of(NotAllowedError(sentence))
        raise HandshakeRefused(error.message, error.to_wire()) from None


def current_sid() -> str:
    """Return the id of the connection that is being made."""
    return str(request.sid)  # type: ignore[attr-defined]


def only_message(arguments: tuple[object, ...]) -> object:
    """Return the one message that came with an event.

    Raises
    ------
    InvalidMessageError
        If there is none or more than one.
    """
    if len(arguments) != 1:
        raise InvalidMessageError(fields={"message": ["must be exactly one object"]})
    return arguments[0]


def refusal(error: DetectionSystemError) -> dict[str, Any]:
    """Return the acknowledgement of an event that was refused."""
    return {"status": "refused", "error": WireError.of(error).to_wire()}


def _refuse_connection(error: Exception) -> NoReturn:
    """Refuse the connection that is being made: whatever is returned here would count as letting it in."""
    named = _named(error)
    raise HandshakeRefused(named.message, WireError.of(named).to_wire()) from error


def _named(error: Exception) -> DetectionSystemError:
    """Return an error that may be told; any other is logged, and told as an internal one."""
    if isinstance(error, DetectionSystemError):
        return error
    log.error("an event handler failed: %s", type(error).__name__, exc_info=error)
    return InternalError()
