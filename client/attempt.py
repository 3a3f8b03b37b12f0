"""One attempt to reach the server and the connection that comes of it, on a thread of its own; it never reconnects."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import socketio
from websocket import WebSocketBadStatusException

from common.errors import InvalidMessageError
from common.messages import CLIENTS_NAMESPACE, Event, Follow, Handshake, PredictRequest, WireError, Withdrawal
from common.web.codec import OrjsonCodec
from common.web.concurrency import addresses_of

STEP_SECONDS: Final = 3.0
NAMESPACE_SECONDS: Final = 5.0

CONNECTED: Final = "connected"
RECEIPT: Final = "receipt"
"""With the event and the request's id that were sent, and what came as the acknowledgment."""
ENDED: Final = "ended"
"""With the server's reason, if it gave one."""


class Attempt:
    """A connection to ``/clients``; ``hear(event, *data)`` is called on the library's threads with all that happens.

    Nothing here waits: what is sent goes into a queue of the library, and ``end`` hangs up at once.
    """

    def __init__(
        self, url: str, token: str, handshake: Handshake, hear: Callable[..., object], *, async_mode: str
    ) -> None:
        self._hear = hear
        self._async_mode = async_mode
        self._client: Any = None
        self._socket: socket.socket | None = None
        self._is_over = False
        threading.Thread(target=self._run, args=(url, token, handshake), name="attempt", daemon=True).start()

    def follow(self, message: Follow) -> None:
        """Ask for what comes next in the log; if the connection is gone, ``ENDED`` says so."""
        with suppress(socketio.exceptions.SocketIOError):
            self._client.emit(Event.FOLLOW, message.to_wire(), namespace=CLIENTS_NAMESPACE)

    def send(self, event: Event, message: PredictRequest | Withdrawal) -> None:
        """Send a request, whose acknowledgment comes as ``RECEIPT``."""
        receipt = partial(self._hear, RECEIPT, event, message.request_id)
        with suppress(socketio.exceptions.SocketIOError):
            self._client.emit(event, message.to_wire(), namespace=CLIENTS_NAMESPACE, callback=receipt)

    def end(self) -> None:
        """Hang up; the library notices, and its threads end."""
        self._is_over = True
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self, url: str, token: str, handshake: Handshake) -> None:
        try:
            # Our own socket, and first: ``end`` can shut it down at any step of what follows.
            with closing(_open_socket(url, self._async_mode)) as self._socket:
                if self._is_over:
                    return
                self._client = self._make_client(self._socket)
                self._client.connect(
                    url,
                    headers={"Authorization": f"Bearer {token}"},
                    auth=handshake.to_wire(),
                    transports=["websocket"],
                    namespaces=[CLIENTS_NAMESPACE],
                    wait_timeout=NAMESPACE_SECONDS,
                )
                self._hear(CONNECTED)
                self._client.wait()
        except (OSError, socketio.exceptions.ConnectionError, LookupError, TypeError, ValueError) as error:
            self._hear(ENDED, _refusal_over_http(error))  # the last three: what answered does not speak Engine.IO

    def _make_client(self, connection: socket.socket) -> Any:
        client = socketio.Client(
            reconnection=False,
            handle_sigint=False,
            request_timeout=STEP_SECONDS,
            json=OrjsonCodec,
            websocket_extra_options={
                # With a socket of ours the library asks the environment for no proxy, and we can hang up and close it.
                "socket": connection,
                "redirect_limit": 0,
                "suppress_origin": True,  # only pages have one
                "skip_utf8_validation": True,  # in Python it takes 41 ms for 256 KB; the JSON is checked anyway
            },
        )
        for event in (Event.CHANGES, Event.CLOSING):
            client.on(event, partial(self._hear, event), namespace=CLIENTS_NAMESPACE)
        client.on("connect_error", self._hear_refusal, namespace=CLIENTS_NAMESPACE)
        client.on("disconnect", lambda _reason: self._hear(ENDED), namespace=CLIENTS_NAMESPACE)
        return client

    def _hear_refusal(self, said: object = None) -> None:
        if isinstance(said, dict):  # otherwise it is the library, which says more in what ``connect`` raises
            self._hear(ENDED, _wire_error(said.get("data")))


def _refusal_over_http(error: BaseException | None) -> WireError | None:
    """Return the reason of a server that refused before there was a websocket, if it is one of ours."""
    while error is not None and not isinstance(error, WebSocketBadStatusException):
        error = error.__cause__ or error.__context__
    try:
        said = orjson.loads(error.resp_body or b"") if error else None
    except orjson.JSONDecodeError:
        return None  # a proxy's page
    return _wire_error(said.get("error")) if isinstance(said, dict) else None


def _wire_error(received: object) -> WireError | None:
    try:
        return WireError.check(received)
    except InvalidMessageError:
        return None  # not a reason of ours: as if nobody had answered


def _open_socket(url: str, async_mode: str) -> socket.socket:
    """Connect to the host of a URL, with TLS if it says so, and without Nagle's delay of small messages."""
    address = urlsplit(url)
    encrypted = address.scheme == "https"
    host, port = address.hostname or "", address.port or (443 if encrypted else 80)
    connection = _connect(addresses_of(async_mode, host), port)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A handshake that fails closes the connection.
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host) if encrypted else connection


def _connect(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first address that answers; raises ``OSError`` if none does."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return socket.create_connection((address, port), STEP_SECONDS)
    return socket.create_connection((addresses[-1], port), STEP_SECONDS)
