"""A peer that speaks Engine.IO by hand, over a websocket that it controls to the byte."""

import base64
import json
import os
import socket
import struct
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.support.speaking import WAIT_SECONDS

TEXT: Final = 1
BINARY: Final = 2
_HEADER: Final = 2
_SHORT: Final = 126
_LONG: Final = 127


class RawSocket:
    """A websocket connection to ``/socket.io/`` whose frames are made here."""

    def __init__(
        self,
        url: str,
        *,
        cookie: str = "",
        token: str = "",
        origin: str | None = "",
        host: str = "",
        query: str = "",
        buffer: int | None = None,
    ) -> None:
        """Connect; an empty ``origin`` is the app's own, ``None`` sends none."""
        address = urlsplit(url)
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect((address.hostname, address.port))
        headers = {
            "Host": host or address.netloc,
            "User-Agent": "a test",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        if origin is not None:
            headers["Origin"] = origin or url
        if cookie:
            headers["Cookie"] = cookie
        if token:
            headers["Authorization"] = f"Bearer {token}"
        lines = [f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._read = self.socket.makefile("rb")
        self.status = int(self._read.readline().split()[1])
        self.headers = dict(line.decode().rstrip().split(": ", 1) for line in iter(self._read.readline, b"\r\n"))

    @property
    def error(self) -> Any:
        """The error that the handshake was answered with."""
        return json.loads(self._read.read(int(self.headers["Content-Length"])))["error"]

    def enter(self, namespace: str, auth: object) -> str:
        """Say CONNECT, and return the answer."""
        self.send(f"40{namespace}{',' * bool(namespace)}{json.dumps(auth)}")
        while True:
            received = (self.receive() or b"").decode()
            if received[:1] != "0":
                return received

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
