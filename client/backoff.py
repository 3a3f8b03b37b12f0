"""Pauses between attempts that keep failing."""

import random
from typing import Final

FIRST_PAUSE_SECONDS: Final = 0.5

_jitter = random.SystemRandom()


class Backoff:
    """Pauses that double up to a longest one, each shortened by up to a half at random, so that nobody keeps step."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._failures = 0

    def next_pause(self) -> float:
        """Return the next pause in seconds."""
        pause = min(self._longest, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return pause * _jitter.uniform(0.5, 1)

    def reset(self) -> None:
        self._failures = 0
