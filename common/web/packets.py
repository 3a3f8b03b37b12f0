"""Socket.IO packets as they may be; whatever else comes has broken the protocol."""

from typing import Any, Final

from socketio import packet
from socketio.packet import Packet


class BrokenProtocolError(Exception):
    """What came is no packet of Socket.IO that a peer may send now."""


class CheckedPacket(Packet):  # type: ignore[misc]
    """python-socketio's packet, which takes only what has the protocol's form and raises one error for all else."""

    MOST_ATTACHMENTS: Final = 4
    uses_binary_events = False
    """Nothing binary is ever sent from here; the original goes through every message to see whether it is."""

    def decode(self, encoded_packet: str) -> int:
        try:
            attachments = int(super().decode(encoded_packet) or 0)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise BrokenProtocolError from error
        if not self._has_form(attachments):
            raise BrokenProtocolError
        return attachments

    def add_attachment(self, attachment: object) -> bool:
        if not isinstance(attachment, bytes):
            raise BrokenProtocolError
        try:
            return bool(super().add_attachment(attachment))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise BrokenProtocolError from error

    def _has_form(self, attachments: int) -> bool:
        kind, data = self.packet_type, self.data
        if kind in {packet.BINARY_EVENT, packet.BINARY_ACK}:
            return 1 <= attachments <= self.MOST_ATTACHMENTS and _is_full_list(data)
        if attachments or kind not in {packet.CONNECT, packet.DISCONNECT, packet.EVENT, packet.ACK}:
            return False
        return (
            kind in {packet.CONNECT, packet.DISCONNECT}
            or (kind == packet.ACK and isinstance(data, list))
            or _is_full_list(data)
        )


def _is_full_list(data: Any) -> bool:
    return isinstance(data, list) and bool(data)
