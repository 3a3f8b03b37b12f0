"""A circuit breaker: an endpoint that keeps failing is left alone for a while, and then tried with one call."""

import threading
import time
from collections.abc import Callable, Generator
from typing import Final, Literal

from common.messages import CircuitStatus
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError

MOST_FAILURES: Final = 5
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

    def watch(self, call: Generator[str]) -> Generator[str]:
        """Pass on the pieces of a call, and note how it ended; whoever stops listening to them had no complaint.

        Raises
        ------
        CircuitOpenError
            Instead of beginning the call.
        EndpointError
            As the call does.
        """
        self._enter()
        succeeded = True
        try:
            yield from call
        except UnfinishedAnswerError:
            raise
        except EndpointError as error:
            succeeded = False
            self._failed(error)
            raise
        finally:
            if succeeded:
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

    def _enter(self) -> None:
        with self._lock:
            if self._open_until is None:
                return
            if self._probing or self._clock() < self._open_until:
                raise CircuitOpenError(f"it is left alone for a while, because {self._clause}")
            self._probing = True

    def _succeeded(self) -> None:
        with self._lock:
            self._failures, self._pause, self._open_until, self._probing = 0, 0.0, None, False

    def _failed(self, error: EndpointError) -> None:
        with self._lock:
            self._failures += 1
            was_probe, self._probing = self._probing, False
            if error.lasting:
                self._open(LONGEST_PAUSE_SECONDS, error)
            elif was_probe or (self._failures >= MOST_FAILURES and self._open_until is None):
                self._open(min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LONGEST_PAUSE_SECONDS), error)

    def _open(self, seconds: float, error: EndpointError) -> None:
        self._pause, self._open_until, self._clause = seconds, self._clock() + seconds, str(error)
