"""Engine.IO by hand, over either transport: packets as text, so that a test can say what no library would."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import websocket

from tests.support.speaking import WAIT_SECONDS, Browser

POLLING = "/socket.io/?EIO=4&transport=polling"
SEPARATOR = "\x1e"


class RefusedHandshakeError(Exception):
    """The app did not open an Engine.IO connection."""


class RawWebSocket:
    """An Engine.IO connection over websocket; ``origin`` is sent as it is, ``None`` leaves it out."""

    def __init__(self, url: str, *, origin: str | None, headers: Mapping[str, str]) -> None:
        address = url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        options: dict[str, Any] = {"suppress_origin": True} if origin is None else {"origin": origin}
        if "Host" in headers:
            options["host"] = headers["Host"]
        sent = {name: value for name, value in headers.items() if name != "Host"}
        try:
            self._socket = websocket.create_connection(address, timeout=WAIT_SECONDS, header=sent, **options)
        except websocket.WebSocketBadStatusException as refused:
            raise RefusedHandshakeError from refused
        assert self.next().startswith("0")

    def send(self, *packets: str) -> None:
        for packet in packets:
            self._socket.send(packet)

    def next(self) -> str:
        """Return the next packet; empty at the end of the connection."""
        with suppress(ConnectionError, websocket.WebSocketConnectionClosedException):
            return str(self._socket.recv())
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown()  # type: ignore[no-untyped-call]


class RawPolling:
    """An Engine.IO connection over long polling."""

    def __init__(self, url: str, *, origin: str | None, headers: Mapping[str, str]) -> None:
        self._browser, self._headers = Browser(url), {**headers, "Origin": origin}
        answer = self._browser.request("GET", POLLING, headers=self._headers)
        if answer.status != 200:
            raise RefusedHandshakeError(answer.body)
        self.path = f"{POLLING}&sid={json.loads(answer.body[1:])['sid']}"
        self._packets: list[str] = []

    def send(self, *packets: str) -> None:
        body = SEPARATOR.join(packets).encode()
        headers = {**self._headers, "Content-Type": "text/plain;charset=UTF-8"}
        assert self._browser.request("POST", self.path, headers=headers, body=body).status == 200

    def next(self) -> str:
        """Return the next packet; empty at the end of the connection."""
        if not self._packets:
            answer = self._browser.request("GET", self.path, headers=self._headers)
            self._packets = answer.body.decode().split(SEPARATOR) if answer.status == 200 else [""]
        return self._packets.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.send("1")
