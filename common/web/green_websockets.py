"""Eventlet's websocket with limits; imported only where eventlet is on."""

from typing import Any

from engineio.async_drivers.eventlet import WebSocketWSGI
from eventlet.websocket import FailedConnectionError, RFC6455WebSocket

MESSAGE_TOO_BIG = 1009


class _CappedMessage(RFC6455WebSocket.Message):  # type: ignore[misc]
    """A message whose fragments together are no longer than a frame may be; the original counts each alone."""

    def push(self, data: bytes, final: bool = False) -> None:
        super().push(data, final)
        if sum(map(len, self.data)) > self.max_frame_length:
            raise FailedConnectionError(MESSAGE_TOO_BIG, "Message is too big")


class GreenWebSocket(WebSocketWSGI):  # type: ignore[misc]
    """python-engineio's websocket for eventlet, without the protocols of before RFC 6455, which have no limits."""

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self.support_legacy_versions = False

    def _handle_hybi_request(self, environ: Any) -> Any:
        websocket = super()._handle_hybi_request(environ)
        websocket.Message = _CappedMessage
        websocket._apply_mask = _unmask
        websocket.raw = websocket.socket
        return websocket


def _unmask(data: bytes, mask: tuple[int, ...], length: int, offset: int) -> bytes:
    """Undo a client's masking as one large exclusive-or; byte by byte, a message of 64 KB holds everybody up."""
    turned = bytes(mask[offset % 4 :] + mask[: offset % 4])
    key = (turned * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
