"""A peer that speaks Engine.IO by hand, over a websocket that it controls to the byte."""

import base64
import json
import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.support.waiting import WAIT_SECONDS

POLLING: Final = "/socket.io/?EIO=4&transport=polling"
READ_BYTES: Final = 262_144
_CLOSE: Final = 8
_MASK: Final = bytes(4)  # of zeros, which changes nothing


class GoneError(Exception):
    """A connection has ended, or could not be made; ``said`` is the reason that the other side gave."""

    def __init__(self, said: Any = None) -> None:
        super().__init__(str(said))
        self.said = said


class RawSocket:
    """A websocket connection to ``/socket.io/`` whose frames are made here; nothing is read that is not asked for."""

    def __init__(
        self,
        url: str,
        *,
        cookie: str = "",
        token: str = "",
        origin: str | None = "",
        host: str = "",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        buffer: int | None = None,
        source: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect; an empty ``origin`` is the app's own, ``None`` sends none."""
        address = urlsplit(url)
        name = address.hostname or ""
        self._unread = bytearray()
        with ExitStack() as undo:
            self.socket = undo.enter_context(socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET))
            if buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self.socket.bind((source, 0))
            self.socket.settimeout(WAIT_SECONDS)
            self.socket.connect((name, address.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = undo.enter_context(tls.wrap_socket(self.socket, server_hostname=name))
            sent = {
                "Host": host or address.netloc,
                "User-Agent": "a test",
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                "Origin": url if origin == "" else origin,
                "Cookie": cookie,
                "Authorization": f"Bearer {token}" if token else "",
            } | dict(headers or {})
            lines = [f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in sent.items() if value]
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
            while b"\r\n\r\n" not in self._unread:
                self.read()
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            status, *fields = head.decode().split("\r\n")
            self.status = int(status.split()[1])
            self.headers = dict(line.split(": ", 1) for line in fields)
            undo.pop_all()

    @property
    def error(self) -> Any:
        """The error that the handshake was answered with."""
        while len(self._unread) < int(self.headers["Content-Length"]):
            self.read()
        return json.loads(self._unread)["error"]

    def fileno(self) -> int:
        return self.socket.fileno()

    def enter(self, namespace: str, auth: object) -> str:
        """Say CONNECT, and return the answer."""
        self.send(f"40{namespace}{',' * bool(namespace)}{json.dumps(auth)}")
        while True:
            received = (self.receive() or b"").decode()
            if received[:1] != "0":
                return received

    def send(self, payload: str | bytes, *, kind: int | None = None) -> None:
        """Send one frame, of another kind than its payload's if so asked."""
        data = payload.encode() if isinstance(payload, str) else payload
        opcode = (1 if isinstance(payload, str) else 2) if kind is None else kind
        size = len(data)
        if size < 126:
            length = bytes([128 | size])
        else:
            length = bytes([254]) + size.to_bytes(2) if size < 65_536 else bytes([255]) + size.to_bytes(8)
        self.socket.sendall(bytes([128 | opcode]) + length + _MASK + data)

    def read(self, limit: int = READ_BYTES) -> None:
        """Take what has come, at most so many bytes, without looking at it; raises ``GoneError`` at the end."""
        try:
            data = self.socket.recv(limit)
        except ConnectionError as error:
            raise GoneError from error
        if not data:
            raise GoneError
        self._unread += data

    def take(self) -> bytes | None:
        """Return the next frame's content of what was read, if it is there whole."""
        if len(self._unread) < 2:
            return None
        begins, size = 2, self._unread[1]
        if size > 125:
            begins = 4 if size == 126 else 10
            size = int.from_bytes(self._unread[2:begins])
        if len(self._unread) < begins + size:
            return None
        opcode, content = self._unread[0] & 15, bytes(self._unread[begins : begins + size])
        del self._unread[: begins + size]
        if opcode == _CLOSE:
            raise GoneError
        return content

    def receive(self, seconds: float = WAIT_SECONDS) -> bytes | None:
        """Return the next frame's content; nothing when the connection has ended. Raises ``TimeoutError``."""
        self.socket.settimeout(max(0.001, seconds))
        try:
            while (content := self.take()) is None:
                self.read()
        except GoneError:
            return None
        finally:
            self.socket.settimeout(WAIT_SECONDS)
        return content

    def has_ended(self) -> bool:
        """Read on to the end; raises ``TimeoutError`` when it does not come."""
        while self.receive() is not None:
            continue
        return True

    def close(self) -> None:
        """Hang up without a word, as a browser that is closed."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
