"""A circuit breaker: an endpoint that keeps failing is left alone for a while, and then tried with one call."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from common.messages import CircuitStatus
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError

MAX_FAILURES: Final = 5
FIRST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 300.0


class CircuitOpenError(EndpointError):
    """The endpoint is left alone at the moment."""


class CircuitBreaker:
    """Opens for 5 minutes at a lasting error, and for 30 seconds, doubling to 5 minutes, at five failures in a row.

    While it is open, calls fail at once. Afterwards one call goes through; the others wait for how that one ends.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = 0.0
        self._open_until: float | None = None
        self._probing = False
        self._clause = ""

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call within ends; raises ``CircuitOpenError`` instead of beginning it."""
        with self._lock:
            if self._open_until is not None:
                if self._probing or self._clock() < self._open_until:
                    raise CircuitOpenError(f"it is left alone for a while, because {self._clause}")
                self._probing = True
        try:
            yield
        except EndpointError as error:
            if not isinstance(error, UnfinishedAnswerError):
                self._failed(error)
                raise
            self._succeeded()
            raise
        self._succeeded()

    @property
    def status(self) -> CircuitStatus:
        """The state for people, with the seconds that are left and why it is not closed."""
        with self._lock:
            if self._open_until is None:
                return CircuitStatus(state="closed", seconds_left=0, reason=None)
            left = max(0.0, self._open_until - self._clock())
            state: Literal["open", "half_open"] = "half_open" if self._probing or not left else "open"
            return CircuitStatus(state=state, seconds_left=round(left), reason=self._clause)

    def _succeeded(self) -> None:
        with self._lock:
            self._failures, self._pause, self._open_until, self._probing = 0, 0.0, None, False

    def _failed(self, error: EndpointError) -> None:
        with self._lock:
            self._failures += 1
            was_probe, self._probing = self._probing, False
            is_last_straw = was_probe or (self._failures >= MAX_FAILURES and self._open_until is None)
            if error.lasting or is_last_straw:
                doubled = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LONGEST_PAUSE_SECONDS)
                self._pause = LONGEST_PAUSE_SECONDS if error.lasting else doubled
                self._open_until, self._clause = self._clock() + self._pause, str(error)
