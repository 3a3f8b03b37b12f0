"""Socket.IO for both apps; no other module imports Flask-SocketIO."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

import flask_socketio
from flask import Flask
from flask_socketio import SocketIO
from werkzeug.middleware.proxy_fix import ProxyFix

from common.access.audit import Action
from common.errors import (
    InvalidMessageError,
    NotAllowedError,
    NotSignedInError,
    ShuttingDownError,
    UnsupportedProtocolError,
)
from common.followers import END_SECONDS, Followers, Log, Peer
from common.messages import PROTOCOL_VERSION, Event, Follow, Message, WireError
from common.web.codec import OrjsonCodec
from common.web.door import PING_INTERVAL, PING_TIMEOUT, Door, peer_of
from common.web.logs import named
from common.web.sign_in import access_of, actor_of
from config.settings import ClientSettings, ServerSettings

NEEDS_SIGN_IN: Final = 3
OLD_PAGE: Final = "This page is from another version. Reload it."


class RealTime:
    """The Socket.IO side of one Flask app, behind its door.

    ``client_of_token`` tells which client app a token is of; an app that has none needs none. ``check`` raises the
    named error that keeps new connections out and closes those there are: a proxy leads them to another server.
    """

    def __init__(
        self,
        app: Flask,
        settings: ServerSettings | ClientSettings,
        *,
        client_of_token: Callable[[str], str | None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.access = access_of(app)
        self.sessions = self.access.sessions
        self.check = check
        self._app = app
        self._settings = settings
        self.namespaces: list[FollowedNamespace] = []
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
        self.door = Door(app, settings, check)
        app.extensions["client_of_token"] = client_of_token
        app.extensions["door"] = app.wsgi_app = self.door  # type: ignore[method-assign]
        if count := settings.trusted_proxies:  # around the door, which then sees what they forward
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]

    @property
    def connections(self) -> dict[str, int]:
        """Tell how many connections are open, may be, and were refused."""
        now = len(self.door.connections)
        return {"now": now, "at_most": self._settings.max_connections, "refused": self.door.refused}

    def register(self, namespace: "FollowedNamespace") -> None:
        namespace.real_time = self
        namespace.followers.events_per_second = self._settings.events_per_second
        self.namespaces.append(namespace)
        self._socketio.on_namespace(namespace)

    def stop(self) -> None:
        """Answer the followers that wait, and tell all of them that the app stops."""
        for namespace in self.namespaces:
            namespace.followers.stop()

    def leave(self, sid: str, namespace: str) -> None:
        with self._app.app_context():  # Flask-SocketIO finds its app there outside of a request
            flask_socketio.disconnect(sid=sid, namespace=namespace)


class FollowedNamespace(flask_socketio.Namespace):
    """A namespace whose members follow a log; only what ``admit`` has let in is a member."""

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
            send=lambda sid, event, message: self.emit(event, message, room=sid),
            leave=lambda sid: self.real_time.leave(sid, name),
            is_open=lambda session: self.real_time.sessions.is_open(session),  # noqa: PLW0108 - it comes later
            check=lambda: self.real_time.check(),  # noqa: PLW0108 - as above
        )

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        """Return the scope in which a peer reads the log; raise the named error that refuses it."""
        raise NotImplementedError

    def joined(self, sid: str, peer: Peer, auth: object) -> None:
        """Hear of a connection that can be closed from now on; raise the named error that refuses it after all."""

    def heard(self, sid: str, peer: Peer, follow: Follow) -> None:
        """Hear of every follow."""

    def left(self, sid: str, peer: Peer) -> None:
        """Hear, once, that a member has left."""

    def note(self, peer: Peer, action: Action, target: str = "") -> None:
        """Put what a person does into the audit trail."""
        if peer.session is not None:
            self.real_time.access.trail.record(actor_of(peer.session.account, peer.address), action, target)

    def trigger_event(self, event: object, *args: Any) -> Any:
        """Handle an event without a request context of Flask's for each, which costs more than the event does."""
        sid, *given = args
        if event == "connect" and given and (peer := peer_of(given[0])):  # a peer may send an event of that name, too
            return self._connect(sid, peer, *given[1:])
        if event == "disconnect":
            return self._disconnect(sid)
        try:
            return self._handle(event, sid, given)
        except Exception as error:  # noqa: BLE001 - it is logged, and the refusal is the acknowledgment
            return {"status": "refused", "error": self._refusal(error, "an event handler failed").to_wire()}

    def _handle(self, event: object, sid: str, given: list[Any]) -> dict[str, Any] | None:
        # First: what is accepted from here on would not be answered any more.
        if self.real_time.door.is_closed:
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
            raise InvalidMessageError("This event is unknown here.")
        if peer.session is not None:
            self.real_time.sessions.touch(peer.session)
        handled: Message = getattr(self, f"on_{event}")(sid, peer, given[0])
        return handled.to_wire()

    def _connect(self, sid: str, peer: Peer, auth: object = None) -> None:
        try:
            self._admit(sid, peer, auth)
        except Exception as error:  # noqa: BLE001 - Socket.IO takes any outcome but its own error for a success
            self._disconnect(sid)
            peer.connection.end_in(END_SECONDS)
            wire = self._refusal(error, "a connection failed")
            raise flask_socketio.ConnectionRefusedError(wire.message, wire.to_wire()) from None

    def _refusal(self, error: Exception, what: str) -> WireError:
        refusal = WireError.of(named(error, what))
        self.real_time.door.count_refusal(refusal.code)
        return refusal

    def _admit(self, sid: str, peer: Peer, auth: object) -> None:
        if self.real_time.door.is_closed:
            raise ShuttingDownError
        if peer.session is not None:
            _require_version(auth)
            if not self.real_time.sessions.is_open(peer.session):
                raise NotSignedInError
        # Once for each transport: the door ends what is in no namespace, and could not tell of several.
        if not peer.connection.join():
            raise NotAllowedError("This connection has already joined once. Open a new one.")
        self.followers.join(sid, peer, self.admit(peer, auth, sid))
        self.joined(sid, peer, auth)
        self.note(peer, Action.WATCHED_LIVE)

    def _disconnect(self, sid: str) -> None:
        """Forget a member that has left or says so; the transport, which Socket.IO would keep, is ended as well."""
        peer = self.followers.gone(sid)
        if peer is not None:
            self.left(sid, peer)
            peer.connection.end_in(END_SECONDS)


def _require_version(auth: object) -> None:
    """Refuse a page of another version, which then reloads; those up to version 3 do so by way of the sign-in."""
    spoken = auth.get("protocol") if isinstance(auth, dict) else None
    if not isinstance(spoken, int) or spoken <= NEEDS_SIGN_IN:
        raise NotSignedInError(OLD_PAGE)
    if spoken != PROTOCOL_VERSION:
        raise UnsupportedProtocolError(OLD_PAGE)


class _Closed(flask_socketio.Namespace):
    """A namespace that nobody may enter."""

    def trigger_event(self, event: object, *args: Any) -> Any:
        raise flask_socketio.ConnectionRefusedError("There is nothing here.")
