"""Attempts to sign in, slowed down by pauses that grow with every failure."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from common.errors import TooManyAttemptsError


@dataclass(frozen=True)
class Counted:
    """What attempts are counted by: a key of its own, failures that cost nothing, and the longest pause in seconds."""

    key: tuple[str, str]
    free: int
    longest: float


@dataclass(frozen=True)
class _Failures:
    count: int
    last_at: float
    pause_ends_at: float


class Attempts:
    """Counts failures in memory; a key is forgotten an hour after its last one, or when there are too many keys."""

    FORGET_SECONDS: Final = 3600.0
    MOST_KEYS: Final = 10_000

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, counted: Sequence[Counted]) -> None:
        """Count an attempt as a failure until it proves none, so that many at once are no more than one by one.

        Raises
        ------
        TooManyAttemptsError
            If one of the keys has to pause; the attempt then counts for nothing and must not be made.
        """
        with self._lock:
            now = self._clock()
            pauses = [self._known(by.key, now).pause_ends_at - now for by in counted]
            if max(pauses) > 0:
                raise TooManyAttemptsError(math.ceil(max(pauses)))
            for by in counted:
                self._fail(by, now)

    def succeeded(self, counted: Sequence[Counted]) -> None:
        """Forget the failures of these keys."""
        with self._lock:
            for by in counted:
                self._failures.pop(by.key, None)

    def _known(self, key: tuple[str, str], now: float) -> _Failures:
        known = self._failures.get(key)
        return known if known and now - known.last_at < self.FORGET_SECONDS else _Failures(0, now, now)

    def _fail(self, by: Counted, now: float) -> None:
        count = self._known(by.key, now).count + 1
        pause = min(2.0 ** min(count - by.free, 16), by.longest) if count >= by.free else 0.0
        self._failures[by.key] = _Failures(count, now, now + pause)
        self._failures.move_to_end(by.key)
        while len(self._failures) > self.MOST_KEYS:
            self._failures.popitem(last=False)
