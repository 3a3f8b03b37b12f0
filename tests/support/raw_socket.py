"""A peer that speaks Engine.IO by hand, over a websocket that it controls to the byte."""

import base64
import os
import socket
import struct
from typing import Final, Self
from urllib.parse import urlsplit

from tests.support.speaking import WAIT_SECONDS

TEXT: Final = 1
BINARY: Final = 2
_HEADER: Final = 2
_SHORT: Final = 126
_LONG: Final = 127


class RawSocket:
    """A websocket connection to ``/socket.io/`` whose frames are made here."""

    def __init__(self, url: str, *, cookie: str = "", buffer: int | None = None) -> None:
        address = urlsplit(url)
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect((address.hostname, address.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
            f"Host: {address.netloc}",
            f"Origin: {url}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *([f"Cookie: {cookie}"] if cookie else []),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._read = self.socket.makefile("rb")
        self.status = int(self._read.readline().split()[1])
        self.headers = dict(line.decode().rstrip().split(": ", 1) for line in iter(self._read.readline, b"\r\n"))

    def send(self, payload: str | bytes, *, kind: int | None = None, final: bool = True) -> None:
        """Send one frame, masked as a client's has to be."""
        data = payload.encode() if isinstance(payload, str) else payload
        opcode = (TEXT if isinstance(payload, str) else BINARY) if kind is None else kind
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        self.socket.sendall(bytes([opcode | (128 if final else 0)]) + _length(len(data)) + mask + masked)

    def receive(self) -> bytes | None:
        """Return the next frame's content; nothing when the connection has ended."""
        try:
            head = self._read.read(_HEADER)
            if len(head) < _HEADER or head[0] & 15 == 8:
                return None
            size = head[1]
            if size == _SHORT:
                size = struct.unpack("!H", self._read.read(2))[0]
            elif size == _LONG:
                size = struct.unpack("!Q", self._read.read(8))[0]
            return self._read.read(size)
        except ConnectionError:
            return None

    def has_ended(self) -> bool:
        """Read on to the end; raises ``TimeoutError`` when it does not come."""
        while self.receive() is not None:
            continue
        return True

    def close(self) -> None:
        self._read.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _length(size: int) -> bytes:
    if size < _SHORT:
        return bytes([128 | size])
    return struct.pack("!BH", 128 | _SHORT, size) if size < 65536 else struct.pack("!BQ", 128 | _LONG, size)
