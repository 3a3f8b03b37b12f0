"""A circuit breaker: an endpoint that keeps failing is paused for a while, and then tried with one call."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from common.messages import CircuitStatus
from server.explanation.endpoint import EndpointError, UnfinishedAnswerError

MAX_FAILURES: Final = 5
PAUSE_SECONDS: Final = 30.0
LASTING_PAUSE_SECONDS: Final = 300.0
CLOSED: Final = CircuitStatus(state="closed", until=None, reason=None)


class CircuitOpenError(EndpointError):
    """Calls to the endpoint are paused."""


class CircuitBreaker:
    """Opens for 5 minutes at a lasting error, and for 30 seconds at five failures in a row.

    While it is open, calls fail at once. Afterwards one call goes through; the others wait for how that one ends.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._status = CLOSED

    @property
    def status(self) -> CircuitStatus:
        """The state for people, with the end of the pause and why it is not closed."""
        status = self._status
        if status.until is None or self._clock() < status.until.timestamp():
            return status
        return status.model_copy(update={"state": "half_open", "until": None})

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note how the call within ends; raises ``CircuitOpenError`` instead of beginning it."""
        with self._lock:
            status = self.status
            if status.state == "open":
                raise CircuitOpenError(f"calls to it are paused, because {status.reason}")
            if status.state == "half_open":
                self._open(PAUSE_SECONDS, status.reason)  # for the others, also if this call never ends
        try:
            yield
        except UnfinishedAnswerError:
            self._note(None)
            raise
        except EndpointError as error:
            self._note(error)
            raise
        self._note(None)

    def _note(self, failure: EndpointError | None) -> None:
        with self._lock:
            self._failures = self._failures + 1 if failure else 0
            if failure is None:
                self._status = CLOSED
            elif failure.lasting or self._failures >= MAX_FAILURES:
                self._open(LASTING_PAUSE_SECONDS if failure.lasting else PAUSE_SECONDS, str(failure))

    def _open(self, seconds: float, reason: str | None) -> None:
        until = datetime.fromtimestamp(self._clock() + seconds, UTC)
        self._status = CircuitStatus(state="open", until=until, reason=reason)
