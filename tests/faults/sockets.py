"""A page's own connection: Socket.IO 5 over a websocket, read by the thread that owns it, for bounded times."""

import json
import re
import select
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import websocket

CONNECT_SECONDS: Final = 5.0
FRAME_SECONDS: Final = 10.0

_PACKET = re.compile(r"4(?P<type>\d)(?:(?P<namespace>/[^,]*),)?(?P<id>\d+)?(?P<data>.*)", re.DOTALL)
_CONNECTED, _DISCONNECTED, _EVENT, _ACKNOWLEDGED, _REFUSED = "01234"


class GoneError(Exception):
    """The connection could not be made or has ended; ``said`` is the reason the other side gave, if it did."""

    def __init__(self, said: object = None) -> None:
        super().__init__(str(said))
        self.said = said


@dataclass(frozen=True)
class Packet:
    """An event (``name``), or the acknowledgement of the message sent with ``number`` (``name`` is empty)."""

    name: str
    number: int | None
    data: Any


class Socket:
    """One connection to one namespace."""

    def __init__(self, url: str, namespace: str, cookie: str) -> None:
        """Connect; raises ``GoneError`` when nobody answers in time or the other side refuses."""
        self._prefix = "" if namespace == "/" else f"{namespace},"
        address = urlsplit(url)
        try:
            with ExitStack() as undo:
                own = socket.create_connection((address.hostname or "", address.port or 80), CONNECT_SECONDS)
                undo.callback(own.close)
                self._websocket = websocket.create_connection(
                    f"ws://{address.netloc}/socket.io/?EIO=4&transport=websocket",
                    CONNECT_SECONDS,
                    header={"Cookie": cookie},
                    socket=own,
                )
                undo.pop_all()
        except (OSError, websocket.WebSocketException) as error:
            raise GoneError from error
        try:
            self._greet()
        except GoneError:
            self.close()
            raise

    def send(self, event: str, message: object, number: int) -> None:
        """Send an event; its acknowledgement comes as a packet with that number. Raises ``GoneError``."""
        self._write(f"42{self._prefix}{number}{json.dumps([event, message])}")

    def next(self, seconds: float) -> Packet | None:
        """Return the next event or acknowledgement, ``None`` if none comes in time.

        Raises
        ------
        GoneError
            When the connection has ended.
        """
        text = self._read(seconds)
        if text is None or not text.startswith("4"):
            if text == "2":
                self._write("3")
            return None
        found = _PACKET.fullmatch(text)
        if found is None or found["type"] == _DISCONNECTED:
            raise GoneError(text)
        data = json.loads(found["data"] or "null")
        if found["type"] == _EVENT:
            return Packet(data[0], None, data[1])
        return Packet("", int(found["id"]), data[0]) if found["type"] == _ACKNOWLEDGED else None

    def close(self) -> None:
        """Hang up without a word, as a browser that is closed."""
        with suppress(OSError, websocket.WebSocketException):
            self._websocket.close(timeout=0)
        # What the other side has ended is left open by the other.
        self._websocket.shutdown()  # type: ignore[no-untyped-call]

    def _greet(self) -> None:
        self._write(f"40{self._prefix}")
        while text := self._read(CONNECT_SECONDS):
            found = _PACKET.fullmatch(text)
            if found and found["type"] == _REFUSED:
                raise GoneError(json.loads(found["data"]))
            if found and found["type"] == _CONNECTED:
                return
        raise GoneError

    def _write(self, text: str) -> None:
        try:
            self._websocket.settimeout(FRAME_SECONDS)
            self._websocket.send(text)
        except (OSError, websocket.WebSocketException) as error:
            raise GoneError from error

    def _read(self, seconds: float) -> str | None:
        try:
            if not select.select([self._websocket], [], [], max(0.0, seconds))[0]:
                return None
            self._websocket.settimeout(FRAME_SECONDS)
            text = self._websocket.recv()
        except (OSError, ValueError, websocket.WebSocketException) as error:
            raise GoneError from error
        if not isinstance(text, str) or not text:
            raise GoneError
        return text
