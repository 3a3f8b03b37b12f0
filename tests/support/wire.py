"""Socket.IO connections that do as little as they can, read by the thread that owns them, for bounded times."""

import json
import re
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from common.messages import PROTOCOL_VERSION, Event

CONNECT_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 10.0
PACE_SECONDS: Final = 0.05
FIRST_ANSWER_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 25.0
READ_BYTES: Final = 262_144

_TEXT: Final = 1
_MASK: Final = bytes(4)  # of zeros, which changes nothing
_PACKET: Final = re.compile(r"4(?P<type>\d)(?:(?P<namespace>/[^,]*),)?(?P<id>\d+)?(?P<data>.*)", re.DOTALL)
_CONNECTED, _DISCONNECTED, _EVENT, _ACKNOWLEDGED, _REFUSED = "01234"


class GoneError(Exception):
    """The connection could not be made or has ended; ``said`` is the HTTP status or reason that the other side gave."""

    def __init__(self, said: object = None) -> None:
        super().__init__(str(said))
        self.said = said


@dataclass(frozen=True)
class Packet:
    """An event (``name``), or the acknowledgement of the message sent with ``number`` (``name`` is empty)."""

    name: str
    number: int | None
    data: Any


class Wire:
    """One websocket in one namespace. Everything raises ``GoneError`` once it has ended."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        cookie: str | None = None,
        token: str | None = None,
        auth: object = None,
        source: str = "127.0.0.1",
        read_buffer: int | None = None,
    ) -> None:
        """Connect as a page by its cookie, or as a client app by its token."""
        self.answer_due: float | None = None
        self.asked_at = 0.0
        self._ticket: str | None = None
        self._answer_seconds = FIRST_ANSWER_SECONDS
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self._buffer = bytearray()
        self._socket = socket.socket()
        try:
            self._socket.bind((source, 0))
            if read_buffer:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
            proof = {"Origin": url, "Cookie": cookie} if cookie else {"Authorization": f"Bearer {token}"}
            self._upgrade(urlsplit(url).netloc, proof)
            self._join(auth or {"protocol": PROTOCOL_VERSION})
        except OSError as error:
            self.close()
            raise GoneError from error
        except GoneError:
            self.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, event: str, message: str, number: int | None = None) -> None:
        """Send an event with a message in JSON; its acknowledgement comes as a packet with that number."""
        self._write(f'42{self._prefix}{"" if number is None else number}["{event}",{message}]')

    def follow(self, log: str | None, after: int, ticket: str | None) -> None:
        """Ask for what comes after a place in the log."""
        self.asked_at = time.monotonic()
        self.answer_due = self.asked_at + self._answer_seconds
        self._answer_seconds = ANSWER_SECONDS
        self.send(Event.FOLLOW, json.dumps({"log": log, "after": after, "ticket": ticket}))

    def next_following(self, log: str, after: int, seconds: float) -> Packet | None:
        """Follow as a page does, at most 20 times a second, and return what comes next, ``None`` if nothing does."""
        if self.answer_due is None and time.monotonic() >= self.asked_at + PACE_SECONDS:
            self.follow(log, after, self._ticket)
        packet = self.next(min(seconds, PACE_SECONDS))
        if packet is not None and packet.name == Event.CLOSING:
            raise GoneError(packet.data)
        if packet is not None and packet.name in {Event.CHANGES, Event.RELOAD}:
            self._ticket, self.answer_due = packet.data["ticket"], None
        if self.answer_due is not None and time.monotonic() > self.answer_due:
            raise GoneError("no answer")
        return packet

    def next(self, seconds: float) -> Packet | None:
        """Return the next event or acknowledgement, ``None`` if none comes in time."""
        text = self.next_text(seconds)
        found = _PACKET.fullmatch(text) if text else None
        if found is None:
            return None
        if found["type"] in {_DISCONNECTED, _REFUSED}:
            raise GoneError(json.loads(found["data"] or "null"))
        data = json.loads(found["data"] or "null")
        if found["type"] == _EVENT:
            return Packet(data[0], None, data[1])
        return Packet("", int(found["id"]), data[0]) if found["type"] == _ACKNOWLEDGED else None

    def next_text(self, seconds: float) -> str | None:
        """Return the next packet as it came, ``None`` if none comes in time."""
        deadline = time.monotonic() + seconds
        while (text := self.take()) is None:
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            self.read()
        return text

    def take(self) -> str | None:
        """Return the next packet of what was read; pings are answered."""
        while (text := self._frame()) == "2":
            self._write("3")
        return text

    def read(self, limit: int = READ_BYTES) -> None:
        """Take what has come, at most so many bytes, without looking at it."""
        try:
            data = self._socket.recv(limit)
        except OSError as error:
            raise GoneError from error
        if not data:
            raise GoneError
        self._buffer += data

    def close(self) -> None:
        """Hang up without a word, as a browser that is closed."""
        self._socket.close()

    def _upgrade(self, host: str, headers: dict[str, str]) -> None:
        self._socket.settimeout(CONNECT_SECONDS)
        name, port = host.split(":")
        self._socket.connect((name, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        } | headers
        lines = ["GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", *(f"{name}: {asked[name]}" for name in asked)]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            self.read()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if (status := int(head.split(b" ", 2)[1])) != 101:
            raise GoneError(status)

    def _join(self, auth: object) -> None:
        self._write(f"40{self._prefix}{json.dumps(auth)}")
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline:
            text = self.next_text(CONNECT_SECONDS)
            if text is not None and (found := _PACKET.fullmatch(text)):
                if found["type"] == _CONNECTED:
                    self._socket.settimeout(STUCK_SECONDS)
                    return
                raise GoneError(json.loads(found["data"] or "null"))
        raise GoneError("no greeting")

    def _write(self, text: str) -> None:
        payload = text.encode()
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        with_mask = bytes([0x80 | _TEXT]) + length + _MASK + payload
        try:
            self._socket.sendall(with_mask)
        except OSError as error:
            raise GoneError from error

    def _frame(self) -> str | None:
        """Return the text of a frame that has come whole; the servers here send no fragments."""
        if len(self._buffer) < 2:
            return None
        begins, size = 2, self._buffer[1] & 0x7F
        if size > 125:
            begins = 4 if size == 126 else 10
            size = int.from_bytes(self._buffer[2:begins], "big")
        if len(self._buffer) < max(begins, begins + size):
            return None
        opcode, payload = self._buffer[0] & 0x0F, self._buffer[begins : begins + size]
        del self._buffer[: begins + size]
        if opcode != _TEXT:
            raise GoneError(opcode)
        return payload.decode()
