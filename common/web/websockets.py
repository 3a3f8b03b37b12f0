"""The websockets of both kinds of concurrency, with limits on what is read before anybody looks at it."""

import threading
from contextlib import suppress
from typing import Any, Final

import simple_websocket
from engineio.async_drivers import threading as threads
from simple_websocket import ws as simple_ws

from common.web.concurrency import EVENTLET

SimpleWebSocketWSGI: Any = threads.SimpleWebSocketWSGI


def websocket_class(async_mode: str) -> Any:
    """Return the websocket of python-engineio's driver for this concurrency, limited."""
    if async_mode != EVENTLET:
        return _ThreadedWebSocket
    from common.web.green_websockets import GreenWebSocket  # noqa: PLC0415 - only if it is the mode

    return GreenWebSocket


class _PacedWebSocket(simple_websocket.Server):  # type: ignore[misc]
    """Stops reading from a peer that sends faster than it is answered; the original keeps all that comes."""

    MOST_UNREAD: Final = 64

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._has_room = threading.Event()
        super().__init__(*arguments, **options)

    def receive(self, timeout: float | None = None) -> Any:
        received = super().receive(timeout)
        self._has_room.set()
        return received

    def _handle_events(self) -> bool:
        goes_on = self._handle_what_came()
        while goes_on and self.connected and len(self.input_buffer) >= self.MOST_UNREAD:
            self._has_room.wait()
            self._has_room.clear()
        return goes_on

    def _handle_what_came(self) -> bool:
        try:
            return bool(super()._handle_events())
        except (ValueError, simple_ws.LocalProtocolError) as error:  # what is no text, or compressed wrongly
            raise OSError("broken websocket") from error

    def give_up(self) -> None:
        """Let both threads end."""
        self.connected = False
        self._has_room.set()
        self.event.set()


class _ThreadedWebSocket(SimpleWebSocketWSGI):  # type: ignore[misc]
    """python-engineio's websocket for threads, with the cap on a message's size that it does not set."""

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._most_bytes = server.max_http_buffer_size

    def __call__(self, environ: Any, start_response: Any) -> Any:
        raw = environ["werkzeug.socket"]
        raw.settimeout(None)  # a timeout would make the library send parts of frames; stalled peers are cut elsewhere
        try:
            self.ws = _PacedWebSocket(environ, max_message_size=self._most_bytes)
        except (simple_ws.LocalProtocolError, simple_websocket.ConnectionError, ValueError) as error:
            raise ConnectionError from error  # no websocket handshake: the connection is dropped
        self.raw = raw
        try:
            self.app(self)
        finally:
            self.ws.give_up()
        raise ConnectionError  # tells werkzeug that there is nothing to answer

    def close(self) -> None:
        with suppress(OSError, simple_websocket.ConnectionClosed):  # the peer may be gone in any way
            super().close()
