"""python-socketio's server and python-engineio's connections, made to hold under floods, stalls and broken peers."""

import logging
import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import engineio
import orjson
import socketio
from engineio import exceptions, packet
from engineio.socket import Socket

from common.errors import DetectionSystemError, InvalidMessageError, RateLimitedError, TooManyConnectionsError
from common.messages import WireError
from common.web.limits import SocketLimits, address_of
from common.web.outgoing import Bounds, Outgoing
from common.web.packets import BrokenProtocolError, CheckedPacket
from common.web.websockets import websocket_class

log = logging.getLogger(__name__)

PING_INTERVAL: Final = 25
PING_TIMEOUT: Final = 20
JOIN_SECONDS: Final = 20.0
"""A connection that has not been let in by then is closed: whoever may come in does so at once."""
WATCH_SECONDS: Final = 0.25

STALLED: Final = "it took nothing of what waited for it"
FULL: Final = "too much waited for it"
SILENT: Final = "it did not answer pings"
BROKEN: Final = "it broke the protocol"
FLOODING: Final = "it sent far more than it may"
NOT_LET_IN: Final = "it was not let in"
CROWDED: Final = "it was not let in, and others wanted its place"
_SEVERITIES = {STALLED: logging.WARNING, FULL: logging.WARNING, CROWDED: logging.DEBUG}  # a flood fills no log


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be, and what each may do."""

    most: int
    packets_per_second: int
    outgoing: Bounds
    stalled_seconds: float
    rates: SocketLimits


class _Connection(Socket):  # type: ignore[misc]
    """One peer. It is read, written and watched by three threads; only ``LimitedEngine.cut`` ends it early."""

    last_ping: float | None

    def __init__(self, server: "LimitedEngine", sid: str, limits: ConnectionLimits, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.queue = Outgoing(limits.outgoing)
        self.is_let_in = False
        self._limits = limits
        self._began = time.monotonic()
        self._ping_due = time.time() + PING_INTERVAL
        self._is_polled = threading.Lock()
        self._closes_once = threading.Lock()
        self._raw: Any = None
        self._second, self._packets = 0, 0

    def send(self, pkt: Any) -> None:
        """Let a packet wait; what became of the connection meanwhile is the watch's business, not the sender's."""
        if not self.closed:
            self.queue.put(pkt)

    def poll(self) -> list[Any]:
        if not self._is_polled.acquire(blocking=False):
            raise exceptions.QueueEmpty  # a second poll at once: a peer that does so has lost track
        try:
            return self.queue.take(PING_INTERVAL + PING_TIMEOUT)
        except queue.Empty:
            raise exceptions.QueueEmpty from None
        finally:
            self._is_polled.release()

    def receive(self, pkt: Any) -> None:
        if self.closed or self.closing:
            raise exceptions.SocketIsClosedError
        if self._is_flooding():
            self.server.cut(self, FLOODING)
            return
        try:
            super().receive(pkt)
        except exceptions.UnknownPacketError:
            self.server.cut(self, BROKEN)

    def schedule_ping(self) -> None:
        """Note when the next ping is due; the original has a thread sleep for each."""
        if self.last_ping:
            self.last_ping = None
            self._ping_due = time.time() + PING_INTERVAL

    def ping_if_due(self) -> None:
        if self.last_ping is None and time.time() >= self._ping_due:
            self.last_ping = time.time()
            self.send(packet.Packet(packet.PING))

    def fault(self) -> str | None:
        """Say why the connection has to be cut, if it has to."""
        if self.queue.is_full:
            return FULL
        if self.queue.stalled_for() > self._limits.stalled_seconds:
            return STALLED
        if self.last_ping and time.time() - self.last_ping > PING_TIMEOUT and self.connected:
            return SILENT
        return NOT_LET_IN if not self.is_let_in and time.monotonic() - self._began > JOIN_SECONDS else None

    def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        if self._closes_once.acquire(blocking=False):
            super().close(wait=wait, abort=abort, reason=reason)

    def hang_up(self) -> None:
        """Close the socket itself, whoever is reading or writing: they return then."""
        if self._raw is not None:
            with suppress(OSError):
                self._raw.shutdown(socket.SHUT_RDWR)

    def handle_post_request(self, environ: Any) -> None:
        if not environ.get("CONTENT_LENGTH", "0").isdigit():
            raise exceptions.ContentTooLongError
        try:
            super().handle_post_request(environ)
        except (ValueError, LookupError, TypeError, OSError) as error:
            raise exceptions.EngineIOError from error

    def _websocket_handler(self, ws: Any) -> Any:
        self._raw = ws.raw
        try:
            return super()._websocket_handler(ws)
        except (ValueError, LookupError, TypeError, OSError):
            self.server.cut(self, BROKEN)
            return []
        finally:
            if self.upgraded or self.closed:
                self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
            self.hang_up()

    def _is_flooding(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._packets = second, 0
        self._packets += 1
        return self._packets > self._limits.packets_per_second


class LimitedEngine(engineio.Server):  # type: ignore[misc]
    """Engine.IO with a ceiling on connections, and a watch that pings and cuts them."""

    def __init__(self, *, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(monitor_clients=False, ping_interval=PING_INTERVAL, ping_timeout=PING_TIMEOUT, **options)
        self._async: dict[str, Any] = {**self._async, "websocket": websocket_class(self.async_mode)}
        self.limits = limits
        self.refused = 0
        self.cuts: Counter[str] = Counter()
        self._watching = threading.Lock()

    def handle_request(self, environ: Any, start_response: Any) -> Any:
        try:
            return super().handle_request(environ, start_response)
        except KeyError:  # the session ended between two looks at it
            answer = self._bad_request()
            start_response(answer["status"], answer["headers"])
            return [answer["response"]]

    def cut(self, connection: _Connection, reason: str) -> None:
        """End a connection at once, with what waits for it."""
        if connection.closed or connection.closing:
            connection.hang_up()
            return
        log.log(_SEVERITIES.get(reason, logging.INFO), "cut a connection: %s", reason)
        self.cuts[reason] += 1
        connection.close(wait=False, abort=True, reason=self.reason.SERVER_DISCONNECT)
        connection.hang_up()
        self.sockets.pop(connection.sid, None)

    def close_all(self, seconds: float) -> None:
        """End every connection after what waits for it was sent, waiting for all of them together at most so long."""
        ending = list(self.sockets.values())
        for connection in ending:
            connection.close(wait=False, abort=True, reason=self.reason.SERVER_DISCONNECT)
        deadline = time.monotonic() + seconds
        for connection in ending:
            connection.queue.has_ended.wait(max(0.0, deadline - time.monotonic()))
            connection.hang_up()

    def _handle_connect(self, environ: Any, start_response: Any, transport: str, jsonp_index: Any = None) -> Any:
        try:
            self._require_room(environ)
        except DetectionSystemError as error:
            return _refusal(error)
        self._start_watch()
        connection = _Connection(self, self.generate_id(), self.limits, address_of(environ))
        self.sockets[connection.sid] = connection
        connection.send(self._opening(connection.sid, transport))
        self._trigger_event("connect", connection.sid, environ)
        connection.schedule_ping()
        if transport != "websocket":
            connection.connected = True
            return self._ok(connection.poll(), jsonp_index=jsonp_index)
        try:
            return connection.handle_get_request(environ, start_response)
        finally:
            connection.close(wait=False, abort=True, reason=self.reason.TRANSPORT_CLOSE)
            self.sockets.pop(connection.sid, None)

    def _opening(self, sid: str, transport: str) -> Any:
        return packet.Packet(
            packet.OPEN,
            {
                "sid": sid,
                "upgrades": self._upgrades(sid, transport),
                "pingTimeout": PING_TIMEOUT * 1000,
                "pingInterval": PING_INTERVAL * 1000,
                "maxPayload": self.max_http_buffer_size,
            },
        )

    def _require_room(self, environ: Any) -> None:
        self.limits.rates.require_request(environ)
        if len(self.sockets) >= self.limits.most and not self._makes_room():
            self.refused += 1
            raise TooManyConnectionsError

    def _makes_room(self) -> bool:
        """End the oldest connection that was not let in, of the address with most of them; tell whether there was one.

        Who has no right to be here keeps nobody out who has: those are let in at once.
        """
        outside = [one for one in list(self.sockets.values()) if not (one.is_let_in or one.closed or one.closing)]
        if not outside:
            return False
        ((crowded, _),) = Counter(one.address for one in outside).most_common(1)
        self.cut(next(one for one in outside if one.address == crowded), CROWDED)
        return True

    def _start_watch(self) -> None:
        if self._watching.acquire(blocking=False):
            self.start_background_task(self._watch)

    def _watch(self) -> None:
        """Look at every connection again and again, until the process ends."""
        while True:
            self.sleep(WATCH_SECONDS)
            for connection in list(self.sockets.values()):
                if connection.closed:
                    self.sockets.pop(connection.sid, None)
                elif reason := connection.fault():
                    self.cut(connection, reason)
                else:
                    connection.ping_if_due()

    def _bad_request(self, message: str | None = None) -> dict[str, Any]:
        return _refusal(InvalidMessageError("This is no request that Socket.IO knows."), status="400 BAD REQUEST")

    def _log_error_once(self, message: str, message_key: str) -> None:
        """Log what kind of request was refused, and nothing that came with it."""
        log.debug("refused a request: %s", message_key)


def _refusal(error: DetectionSystemError, status: str | None = None) -> dict[str, Any]:
    known = {
        RateLimitedError.status: "429 TOO MANY REQUESTS",
        TooManyConnectionsError.status: "503 SERVICE UNAVAILABLE",
    }
    return {
        "status": status or known[error.status],
        "headers": [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Retry-After", "5")],
        "response": orjson.dumps({"error": WireError.of(error).to_wire()}),
    }


class LockedManager(socketio.Manager):  # type: ignore[misc]
    """The rooms, one change at a time: the original counts on nobody coming or going meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def get_participants(self, namespace: str, room: Any) -> Iterator[Any]:
        with self._lock:
            return iter(list(super().get_participants(namespace, room)))

    def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        with self._lock:
            return super().pre_connect(eio_sid, namespace)

    def connect(self, sid: str, namespace: str) -> Any:
        with self._lock:
            return super().connect(sid, namespace)

    def pre_disconnect(self, sid: str, namespace: str) -> Any:
        with self._lock:
            return super().pre_disconnect(sid, namespace)

    def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> Any:
        with self._lock:
            return super().basic_disconnect(sid, namespace, **options)

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> Any:
        with self._lock:
            return super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)


class LimitedServer(socketio.Server):  # type: ignore[misc]
    """Socket.IO on a limited Engine.IO; a peer that breaks the protocol is cut, and nothing of it is left."""

    def __init__(self, **options: Any) -> None:
        super().__init__(serializer=CheckedPacket, client_manager=LockedManager(), **options)

    def _engineio_server_class(self) -> type[LimitedEngine]:
        return LimitedEngine

    def _handle_eio_message(self, eio_sid: str, data: object) -> None:
        try:
            self._require_expected(eio_sid, data)
            super()._handle_eio_message(eio_sid, data)
        except (BrokenProtocolError, ValueError):
            self._binary_packet.pop(eio_sid, None)
            if connection := self.eio.sockets.get(eio_sid):
                self.eio.cut(connection, BROKEN)

    def _require_expected(self, eio_sid: str, data: object) -> None:
        is_expected = isinstance(data, bytes) if eio_sid in self._binary_packet else isinstance(data, str)
        if not is_expected or not data:
            raise BrokenProtocolError

    def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        super()._handle_connect(eio_sid, namespace, data)
        connection = self.eio.sockets.get(eio_sid)
        if connection is None or not self.manager.sid_from_eio_sid(eio_sid, namespace or "/"):
            return
        connection.is_let_in = True
        if connection.closed:  # it ended while it was let in, when nobody could tell that it had to be put out
            self._handle_disconnect(eio_sid, namespace)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        super()._handle_eio_disconnect(eio_sid, reason)
        self._binary_packet.pop(eio_sid, None)
