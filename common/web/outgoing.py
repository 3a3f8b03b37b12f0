"""What waits to be sent on one connection: bounded, and never waited for by whoever sends."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Bounds:
    """How much may wait on a connection, and which packets a newer one of their kind makes superfluous.

    ``newest_only`` are the beginnings of their texts; of those only the newest is kept once a quarter of ``most_bytes``
    waits. Their reader notices from the newest what it missed, and asks for it.
    """

    most_bytes: int
    newest_only: tuple[str, ...] = ()


class Outgoing:
    """A queue of Engine.IO packets in the form that python-engineio uses; closed with ``put(None)``."""

    MOST_AT_ONCE: Final = 16
    BYTES_AT_ONCE: Final = 65_536
    PACKET_BYTES: Final = 512
    """What a packet takes beside its text, roughly: many small ones are no way around the bound."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._bytes = 0
        self._busy_since: float | None = None
        self._is_closed = False
        self.has_ended = threading.Event()
        """Set when everything was taken after the end."""
        self.is_full = False
        """Whether something found no room: from then on nothing is kept, for the peer has missed something."""

    def put(self, packet: Any) -> None:
        """Let a packet wait, or close with ``None``; returns at once."""
        with self._changed:
            if packet is None:
                self._is_closed = True
            elif not self._is_closed and not self.is_full:
                self._add(packet)
            self._changed.notify_all()

    def take(self, timeout: float) -> list[Any]:
        """Wait for packets and take some, oldest first; none at the end.

        Raises
        ------
        queue.Empty
            When none came within ``timeout`` seconds.
        """
        with self._changed:
            if not self._waiting:
                self._busy_since = None
            if not self._changed.wait_for(lambda: self._waiting or self._is_closed, timeout):
                raise queue.Empty
            taken = self._some()
            self._busy_since = self._clock() if taken else None
        if not taken:
            self.has_ended.set()
        return taken

    def stalled_for(self) -> float:
        """Return for how many seconds the peer has taken nothing although something was to be sent."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    def join(self) -> None:
        """Wait for nothing: python-engineio would wait here for a peer that may never read."""

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def _add(self, packet: Any) -> None:
        text = packet.data if isinstance(packet.data, str) else ""
        if self._bytes > self._bounds.most_bytes // 4 and text.startswith(self._bounds.newest_only or ("\0",)):
            self._drop_superseded()
        size = self._size(packet)
        if self._bytes + size > self._bounds.most_bytes:
            self.is_full = True
            self._waiting.clear()
            self._bytes = 0
            return
        self._waiting.append(packet)
        self._bytes += size
        if self._busy_since is None:
            self._busy_since = self._clock()

    def _drop_superseded(self) -> None:
        kept = [one for one in self._waiting if not str(one.data).startswith(self._bounds.newest_only)]
        self._waiting = deque(kept)
        self._bytes = sum(map(self._size, kept))

    def _some(self) -> list[Any]:
        taken: list[Any] = []
        size = 0
        while self._waiting and len(taken) < self.MOST_AT_ONCE and size < self.BYTES_AT_ONCE:
            taken.append(self._waiting.popleft())
            size += self._size(taken[-1])
        self._bytes -= size
        return taken

    def _size(self, packet: Any) -> int:
        return len(packet.encode()) + self.PACKET_BYTES
