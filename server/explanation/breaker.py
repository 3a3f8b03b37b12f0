"""A circuit breaker: an endpoint that keeps failing is paused for a while, and then tried with one call."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from common.messages import CircuitStatus
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError

MAX_FAILURES: Final = 5
FIRST_PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 300.0
CLOSED: Final = CircuitStatus(state="closed", until=None, reason=None)


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
        self._ends: float | None = None  # the end of the pause by the clock; ``None`` while closed
        self._pausing = CLOSED  # the same for people
        self._probing = False

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call within ends; raises ``CircuitOpenError`` instead of beginning it."""
        with self._lock:
            if self._ends is not None:
                if self._probing or self._clock() < self._ends:
                    raise CircuitOpenError(f"calls to it are paused, because {self._pausing.reason}")
                self._probing = True
        failure: EndpointError | None = EndpointError("it failed unexpectedly")
        try:
            yield
            failure = None
        except EndpointError as error:
            failure = None if isinstance(error, UnfinishedAnswerError) else error
            raise
        finally:
            with self._lock:
                self._note(failure)

    @property
    def status(self) -> CircuitStatus:
        """The state for people, with the end of the pause and why it is not closed."""
        with self._lock:
            if self._ends is None:
                return CLOSED
            if self._probing or self._clock() >= self._ends:
                return self._pausing.model_copy(update={"state": "half_open", "until": None})
            return self._pausing

    def _note(self, failure: EndpointError | None) -> None:
        was_probe, self._probing = self._probing, False
        if failure is None:
            self._failures, self._pause, self._ends = 0, 0.0, None
            return
        self._failures += 1
        if failure.lasting:
            self._pause = LONGEST_PAUSE_SECONDS
        elif was_probe or (self._failures >= MAX_FAILURES and self._ends is None):
            self._pause = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LONGEST_PAUSE_SECONDS)
        else:
            return
        self._ends = self._clock() + self._pause
        until = datetime.now(UTC) + timedelta(seconds=self._pause)
        self._pausing = CircuitStatus(state="open", until=until, reason=str(failure))
