"""What a client app of protocol 3 is told, in the form that it understands: it knows of no refusal before CONNECT."""

import base64
import hashlib
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import orjson

from common.errors import UnsupportedProtocolError
from common.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION, WireError
from common.web.origin import is_same_origin

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

OLD_VERSION: Final = 3
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_TEXT, _CLOSE, _LONGER, _NORMAL = 0x81, 0x88, 126, 1000


def is_old_link(environ: "WSGIEnvironment") -> bool:
    """Tell whether a websocket's handshake is made as that client app makes it, and as no browser does."""
    asked = parse_qs(environ.get("QUERY_STRING", ""))
    from_others = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_USER_AGENT", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE")
    return (
        asked.get("transport") == ["websocket"]
        and asked.get("EIO") == ["4"]
        and "sid" not in asked
        and "HTTP_SEC_WEBSOCKET_KEY" in environ
        and not any(name in environ for name in from_others)
        and is_same_origin(environ)
    )


def answer_old_link(accepted: socket.socket, key: str) -> None:
    """Refuse the connection as Socket.IO would, with nothing read from the peer."""
    error = WireError.of(
        UnsupportedProtocolError(
            f"The client app speaks protocol version {OLD_VERSION}, the server {PROTOCOL_VERSION}. "
            "Update the older one."
        )
    )
    proof = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    opening = {"sid": "refused", "upgrades": [], "pingTimeout": 20_000, "pingInterval": 25_000, "maxPayload": 65_536}
    refusal = {"message": error.message, "data": error.to_wire()}
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    opened = _frame(b"0" + orjson.dumps(opening))
    refused = _frame(f"44{CLIENTS_NAMESPACE},".encode() + orjson.dumps(refusal))
    with suppress(OSError):
        accepted.sendall(head + proof + b"\r\n\r\n" + opened + refused + struct.pack("!BBH", _CLOSE, 2, _NORMAL))


def _frame(text: bytes) -> bytes:
    return (bytes([_TEXT, len(text)]) if len(text) < _LONGER else struct.pack("!BBH", _TEXT, _LONGER, len(text))) + text
