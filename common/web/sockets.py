"""Socket.IO for both apps; no other module imports Flask-SocketIO."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import flask_socketio
from flask import Flask
from flask_socketio import SocketIO

from common.access.audit import Action
from common.access.sessions import Session
from common.errors import (
    DetectionSystemError,
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    NotSignedInError,
    ShuttingDownError,
    UnsupportedProtocolError,
)
from common.followers import END_SECONDS, Followers, Log, Peer
from common.messages import PROTOCOL_VERSION, Event, Follow, Message, WireError
from common.web.codec import OrjsonCodec
from common.web.door import PING_INTERVAL, PING_TIMEOUT, Door, has_passed, peer_of
from common.web.old_link import OLD_VERSION
from common.web.sign_in import access_of, actor_of, current_session
from config.settings import ClientSettings, ServerSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)

OLD_PAGE = "This page is of another version. Reload it."


class RealTime:
    """The Socket.IO side of one Flask app, behind its door.

    ``client_of_token`` tells which client app a token is of; an app that has none needs none.
    """

    def __init__(
        self,
        app: Flask,
        settings: ServerSettings | ClientSettings,
        *,
        client_of_token: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self.access = access_of(app)
        self.sessions = self.access.sessions
        self.is_stopping = False
        self._app = app
        self._max_connections = settings.max_connections
        self._events_per_second = settings.events_per_second
        self._namespaces: list[FollowedNamespace] = []
        self._socketio = SocketIO(
            app,
            async_mode=settings.socketio_async_mode,
            async_handlers=False,  # ordered, and no thread for each event
            manage_session=False,
            json=OrjsonCodec,
            cors_allowed_origins=[],  # the door looks at every origin
            allow_upgrades=False,
            max_http_buffer_size=settings.max_message_bytes,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            http_compression=False,
        )
        self._socketio.on_namespace(_Closed("/"))  # which Socket.IO would open to everybody; replaced if registered
        self.door = Door(
            app.wsgi_app,
            session_of=self._session_of,
            client_of_token=client_of_token,
            allowed_hosts=settings.allowed_hosts,
            max_connections=settings.max_connections,
            advisor=app.config["PROXY_ADVISOR"],
        )
        app.extensions["client_of_token"] = client_of_token
        app.wsgi_app = self.door  # type: ignore[method-assign]
        app.extensions["door"] = self.door

    @property
    def connections(self) -> dict[str, int]:
        """Tell how many connections are open, may be, and were refused."""
        return {"now": self.door.open, "at_most": self._max_connections, "refused": self.door.refused}

    def register(self, namespace: "FollowedNamespace") -> None:
        namespace.real_time = self
        namespace.followers.events_per_second = self._events_per_second
        self._namespaces.append(namespace)
        self._socketio.on_namespace(namespace)

    def stop(self) -> None:
        """Answer who waits, and tell everybody that the app stops."""
        for namespace in self._namespaces:
            namespace.followers.stop()

    def send(self, sid: str, event: str, message: Mapping[str, Any], namespace: str) -> None:
        self._socketio.emit(event, message, namespace=namespace, to=sid)

    def leave(self, sid: str, namespace: str) -> None:
        with self._app.app_context():
            flask_socketio.disconnect(sid=sid, namespace=namespace)

    def _session_of(self, environ: "WSGIEnvironment") -> Session | None:
        with self._app.request_context(environ):
            return current_session()


class FollowedNamespace(flask_socketio.Namespace):
    """A namespace whose members follow a log; in it is only whom ``admit`` has let in."""

    events: ClassVar[frozenset[str]] = frozenset()
    """The events it has handlers for, beside connect, disconnect and follow."""

    real_time: RealTime

    def __init__(
        self, name: str, log: Log, *, status: Callable[[], Message | None], reload_beyond: int | None = None
    ) -> None:
        super().__init__(name)
        self.name = name
        self.followers = Followers(
            log,
            status=status,
            reload_beyond=reload_beyond,
            send=lambda sid, event, message: self.real_time.send(sid, event, message, name),
            leave=lambda sid: self.real_time.leave(sid, name),
            is_open=lambda session: self.real_time.sessions.is_open(session),  # noqa: PLW0108 - it comes later
        )

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        """Return the scope in which a peer reads the log; raise the named error that refuses it."""
        raise NotImplementedError

    def joined(self, sid: str, peer: Peer, auth: object) -> None:
        """Hear of a connection that can be closed from now on; raise the named error that refuses it after all."""

    def heard(self, sid: str, peer: Peer, follow: Follow) -> None:
        """Hear of every follow."""

    def left(self, sid: str, peer: Peer) -> None:
        """Hear, once, that a connection has left that was let in."""

    def note(self, peer: Peer, action: Action, target: str = "") -> None:
        """Put what a person does into the audit trail."""
        if peer.session is not None:
            self.real_time.access.trail.record(actor_of(peer.session.account, peer.address), action, target)

    def trigger_event(self, event: object, *args: Any) -> Any:
        """Hand an event over without a request of Flask's for each, which costs more than the event does."""
        sid, *given = args
        if event == "connect" and given and has_passed(given[0]):  # a peer may send an event of that name as well
            return self._connect(sid, peer_of(given[0]), *given[1:])
        if event == "disconnect":
            return self._disconnect(sid)
        try:
            return self._handle(event, sid, given)
        except Exception as error:  # noqa: BLE001 - whatever fails is logged, and is the event's answer
            return {"status": "refused", "error": WireError.of(_named(error)).to_wire()}

    def _handle(self, event: object, sid: str, given: list[Any]) -> dict[str, Any] | None:
        if self.real_time.is_stopping:
            raise ShuttingDownError
        peer = self.followers.require(sid)
        if len(given) != 1:
            raise InvalidMessageError(fields={"message": ["must be exactly one object"]})
        if event == Event.FOLLOW:
            follow = Follow.check(given[0])
            self.heard(sid, peer, follow)
            self.followers.follow(sid, follow)
            return None
        if event not in self.events:
            raise InvalidMessageError("This event is not known here.")
        if peer.session is not None:
            self.real_time.sessions.touch(peer.session)
        handled: Message = getattr(self, f"on_{event}")(sid, peer, given[0])
        return handled.to_wire()

    def _connect(self, sid: str, peer: Peer, auth: object = None) -> None:
        """Let a connection in, or refuse it: any other outcome would leave it in the namespace."""
        try:
            self._admit(sid, peer, auth)
        except Exception as error:  # noqa: BLE001 - whatever fails is logged, and refuses
            self._disconnect(sid)
            if peer.connection is not None:
                peer.connection.end_in(END_SECONDS)
            wire = WireError.of(_named(error))
            raise flask_socketio.ConnectionRefusedError(wire.message, wire.to_wire()) from None

    def _admit(self, sid: str, peer: Peer, auth: object) -> None:
        if self.real_time.is_stopping:
            raise ShuttingDownError
        if peer.session is not None:
            _require_this_version(auth)
        if peer.session is not None and not self.real_time.sessions.is_open(peer.session):
            raise NotSignedInError
        if peer.connection is not None and not peer.connection.join():
            raise NotAllowedError("This connection was let in before. Make a new one.")
        self.followers.join(sid, peer, self.admit(peer, auth, sid))
        self.joined(sid, peer, auth)
        self.note(peer, Action.WATCHED_LIVE)

    def _disconnect(self, sid: str) -> None:
        """Forget who has left, or says so; the transport, which Socket.IO would keep, is ended as well."""
        peer = self.followers.gone(sid)
        if peer is not None:
            self.left(sid, peer)
            if peer.connection is not None:
                peer.connection.end_in(END_SECONDS)


def _require_this_version(auth: object) -> None:
    """Refuse a page of another version so that it loads itself again: up to version 3 by way of the sign-in."""
    spoken = auth.get("protocol") if isinstance(auth, dict) else None
    if not isinstance(spoken, int) or spoken <= OLD_VERSION:
        raise NotSignedInError(OLD_PAGE)
    if spoken != PROTOCOL_VERSION:
        raise UnsupportedProtocolError(OLD_PAGE)


class _Closed(flask_socketio.Namespace):
    """A namespace that nobody may enter."""

    def trigger_event(self, event: object, *args: Any) -> Any:
        raise flask_socketio.ConnectionRefusedError("There is nothing here.")


def _named(error: Exception) -> DetectionSystemError:
    """Return an error that may be told; any other is logged, and told as an internal one."""
    if isinstance(error, DetectionSystemError):
        return error
    log.error("an event handler failed: %s", type(error).__name__, exc_info=error)
    return InternalError()
