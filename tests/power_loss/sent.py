"""What a process told others: the messages of its Socket.IO server, and the lines it printed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

PRINTED: Final = "printed"
ACKNOWLEDGED: Final = "acknowledged"

_UPGRADED = b"HTTP/1.1 101"
_HEAD_END = b"\r\n\r\n"
_PACKET = re.compile(r"4(?P<type>[23])(?:/[^,]*,)?\d*(?P<data>\[.*)", re.DOTALL)
_EVENT = "2"
_TEXT = 1
_LONG, _VERY_LONG = 126, 127


@dataclass(frozen=True)
class Said:
    """A Socket.IO event by its name, an acknowledgement, or a printed line."""

    what: str
    data: Any


class SentText:
    """Puts together what was sent piece by piece."""

    def __init__(self) -> None:
        self._sockets: dict[str, bytes] = {}

    def take(self, to: str, data: bytes) -> list[Said]:
        """Return what the receiver has whole with this piece; ``to`` names the socket, or the pipe of the output."""
        if to.startswith("pipe:"):
            return [Said(PRINTED, line) for line in data.decode().splitlines()]
        if to not in self._sockets:
            if not data.startswith(_UPGRADED):
                return []
            data = data.partition(_HEAD_END)[2]
        frames, self._sockets[to] = _frames(self._sockets.get(to, b"") + data)
        return [said for frame in frames for said in _said(frame)]


def _frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut off the whole text frames of a server, which are not masked; return them and what is left."""
    found = []
    while len(data) >= 2:
        start, length = 2, data[1]
        if length in {_LONG, _VERY_LONG}:
            start = 4 if length == _LONG else 10
            length = int.from_bytes(data[2:start])
        if len(data) < start + length:
            break
        if data[0] & 15 == _TEXT:
            found.append(data[start : start + length])
        data = data[start + length :]
    return found, data


def _said(frame: bytes) -> Iterator[Said]:
    packet = _PACKET.fullmatch(frame.decode())
    if packet is None:
        return
    data = json.loads(packet["data"])
    if packet["type"] == _EVENT:
        yield Said(data[0], data[1])
    elif data:
        yield Said(ACKNOWLEDGED, data[0])
