"""Health that anybody may ask for, at the price of one check in a while."""

import math
import threading
from collections.abc import Callable
from typing import Final

from common.errors import DetectionSystemError


class RememberedCheck:
    """A check whose outcome, good or bad, stands for ``SECONDS`` before it is made again; one caller at a time."""

    SECONDS: Final = 2.0

    def __init__(self, check: Callable[[], None], *, clock: Callable[[], float]) -> None:
        self._check = check
        self._clock = clock
        self._stands_until = -math.inf
        self._failure: DetectionSystemError | None = None
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Check, or recall; raises the named error of the check."""
        with self._lock:
            if self._clock() >= self._stands_until:
                self._failure = None
                try:
                    self._check()
                except DetectionSystemError as failure:
                    self._failure = failure
                self._stands_until = self._clock() + self.SECONDS
            if self._failure is not None:
                raise self._failure.with_traceback(None)
