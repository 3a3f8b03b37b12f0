"""Where work waits for whoever does it: a bounded queue that nobody waits in for longer than makes sense."""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

Work = TypeVar("Work")


class WaitingRoom(Generic[Work]):
    """Hands out work first come, first served; what found it full or waited too long is turned away instead."""

    def __init__(self, most: int, longest_seconds: float) -> None:
        self._most = most
        self._longest = longest_seconds
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, Work]] = deque()
        self._refused: deque[Work] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, work: Work) -> None:
        """Let work wait, or have it turned away if there is no room; returns at once."""
        with self._changed:
            if len(self._waiting) < self._most:
                self._waiting.append((time.monotonic() + self._longest, work))
            else:
                self._refused.append(work)
            self._changed.notify_all()

    def take(self) -> Work:
        """Wait for work, and take it on."""
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            return self._waiting.popleft()[1]

    def turn_away(self) -> Work:
        """Wait for work that found no room or waited too long, and return it."""
        with self._changed:
            while not self._refused and (left := self._seconds_left()) != 0:
                self._changed.wait(left)
            return self._refused.popleft() if self._refused else self._waiting.popleft()[1]

    def _seconds_left(self) -> float | None:
        """Return for how long the first in the queue may still wait, ``None`` if nobody is there."""
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
