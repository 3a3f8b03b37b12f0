"""Typed access to python-socketio's client, which has no types: one outgoing connection, and no Flask."""

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import engineio
import socketio

from common.errors import InvalidMessageError
from common.messages import Message, WireError
from common.web.codec import OrjsonCodec


class LinkError(Exception):
    """A connection could not be made or is gone; ``refusal`` is the server's reason if the server itself refused."""

    def __init__(self, refusal: WireError | None) -> None:
        super().__init__(refusal.message if refusal else "no connection")
        self.refusal = refusal


class _OrderedEngine(engineio.Client):  # type: ignore[misc]
    """The Engine.IO client with messages handled in the order they came, where the original takes a thread for each."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.may_deliver = threading.Event()

    def _trigger_event(self, event: str, *arguments: Any, **_: Any) -> Any:
        if event == "message":
            self.may_deliver.wait(Link.CONNECT_SECONDS)
        return super()._trigger_event(event, *arguments, run_async=False)

    def disconnect(self, abort: bool = False, reason: str | None = None) -> None:
        """Hang up; the read loop notices and clears up. The original waits for the peer, which may hang."""
        if self.ws is not None:
            self.ws.abort()


class _OrderedClient(socketio.Client):  # type: ignore[misc]
    def _engineio_client_class(self) -> type[_OrderedEngine]:
        return _OrderedEngine


class Link:
    """One outgoing Socket.IO connection to one namespace, over websocket only; it never reconnects, make a new one.

    ``on_event(event, arguments)`` and ``on_closed()`` are called on the reading thread, in order: they must not block.
    """

    CONNECT_SECONDS: Final = 5.0
    CLOSE_SECONDS: Final = 2.0

    def __init__(
        self,
        namespace: str,
        *,
        on_event: Callable[[str, tuple[Any, ...]], object],
        on_closed: Callable[[], object],
    ) -> None:
        self._namespace = namespace
        self._on_closed = on_closed
        self._answered = threading.Event()
        self._is_up = False
        self._refusal: WireError | None = None
        self._socket_options: dict[str, Any] = {"redirect_limit": 0}
        self._client = _OrderedClient(
            reconnection=False,
            json=OrjsonCodec,
            handle_sigint=False,
            request_timeout=self.CONNECT_SECONDS,
            websocket_extra_options=self._socket_options,
        )
        self._client.on("connect", self._note_connected, namespace=namespace)
        self._client.on("connect_error", self._note_refusal, namespace=namespace)
        self._client.on("*", lambda event, *arguments: on_event(event, arguments), namespace=namespace)
        self._forget = self._client.eio.handlers["disconnect"]
        self._client.eio.on("disconnect", self._note_closed)

    @property
    def is_up(self) -> bool:
        return self._is_up

    def connect(self, url: str, auth: Message) -> None:
        """Connect, waiting at most ``CONNECT_SECONDS`` for each of socket, transport and namespace.

        Raises
        ------
        LinkError
            When nobody answers or the server refuses.
        """
        try:
            self._connect(url, auth)
        except (OSError, socketio.exceptions.ConnectionError, LookupError, TypeError, ValueError) as error:
            self.close()
            raise LinkError(None) from error  # the last three: what answered does not speak Engine.IO
        # Only now: python-socketio ignores a disconnect that comes before its own connect() has returned.
        self._client.eio.may_deliver.set()
        self._answered.wait(self.CONNECT_SECONDS)
        if not self._is_up:
            self.close()
            raise LinkError(self._refusal)

    def send(self, event: str, message: Message, *, acknowledged: Callable[..., object]) -> None:
        """Send one message; ``acknowledged`` is called with the receipt if one comes.

        Raises
        ------
        LinkError
            When the connection is gone.
        """
        try:
            self._client.emit(event, message.to_wire(), namespace=self._namespace, callback=acknowledged)
        except socketio.exceptions.SocketIOError as error:
            raise LinkError(None) from error

    def close(self) -> None:
        """Hang up and wait, at most ``CLOSE_SECONDS``, until nothing more is delivered."""
        self._client.disconnect()
        reader = self._client.eio.read_loop_task
        if reader is not None:
            reader.join(self.CLOSE_SECONDS)
        if connection := self._socket_options.get("socket"):
            connection.close()

    def _connect(self, url: str, auth: Message) -> None:
        # With a socket of ours the library neither asks the environment for a proxy nor leaves one open on failure.
        self._socket_options["socket"] = _open_socket(url, self.CONNECT_SECONDS)
        self._client.connect(
            url, auth=auth.to_wire(), namespaces=[self._namespace], transports=["websocket"], wait=False
        )

    def _note_connected(self) -> None:
        self._is_up = True
        self._answered.set()

    def _note_refusal(self, data: object = None) -> None:
        reason = data.get("data") if isinstance(data, dict) else None
        try:
            self._refusal = WireError.check(reason)
        except InvalidMessageError:
            self._refusal = None  # not a reason of ours: counts as nobody there
        self._answered.set()

    def _note_closed(self, reason: str) -> None:
        self._is_up = False
        self._answered.set()
        self._forget(reason)
        self._on_closed()


def _open_socket(url: str, timeout: float) -> socket.socket:
    """Connect to the host of a URL, with TLS if it says so, and without Nagle's delay of small messages."""
    address = urlsplit(url)
    encrypted = address.scheme == "https"
    host, port = address.hostname or "", address.port or (443 if encrypted else 80)
    connection = socket.create_connection((host, port), timeout)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host) if encrypted else connection
    except OSError:
        connection.close()
        raise
