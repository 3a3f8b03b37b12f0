"""Socket.IO connections that do as little as they can, so that what is measured is the server."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import orjson
import websocket

HANDSHAKE_SECONDS = 30

# Engine.IO 4 and Socket.IO 5: the packet types used here.
_PING, _PONG = "2", "3"
_CONNECT, _EVENT = "40", "42"


class Wire:
    """One websocket in one namespace; ``heard(event_text, moment)`` is called on its own thread for every event.

    ``moment`` is that of ``time.perf_counter``; the text is the JSON of the event, not parsed.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        heard: Callable[[str, float], object],
        *,
        auth: object = None,
        cookie: str | None = None,
    ) -> None:
        self._namespace = namespace
        self._heard = heard
        self._socket = websocket.create_connection(
            f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket",
            timeout=HANDSHAKE_SECONDS,
            cookie=cookie,
            origin=url,
            http_no_proxy=["*"],
            skip_utf8_validation=True,
        )
        self._next()
        self._socket.send(f"{_CONNECT}{namespace},{orjson.dumps(auth).decode() if auth else ''}")
        self._await_connect()
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def frame(self, event: str, message: str) -> str:
        """Return what ``send`` takes, an event as it goes over the wire, of a message in JSON."""
        return f'{_EVENT}{self._namespace},["{event}",{message}]'

    def send(self, frame: str) -> None:
        self._socket.send(frame)

    def close(self) -> None:
        self._socket.abort()  # type: ignore[no-untyped-call]
        self._reader.join(HANDSHAKE_SECONDS)
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def _next(self) -> str:
        said = self._socket.recv()
        return said if isinstance(said, str) else said.decode()

    def _await_connect(self) -> None:
        while not (said := self._next()).startswith(_CONNECT):
            if said != _PING:
                raise ConnectionError(f"the server refused the connection: {said}")
            self._socket.send(_PONG)

    def _read(self) -> None:
        prefix = f"{_EVENT}{self._namespace},"
        with suppress(websocket.WebSocketConnectionClosedException, OSError):
            while said := self._next():
                moment = time.perf_counter()
                if said == _PING:
                    self._socket.send(_PONG)
                elif said.startswith(prefix):
                    self._heard(said, moment)
