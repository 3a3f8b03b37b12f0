"""Work that is done again and again on a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from common.errors import StoreUnavailableError

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 2.0


class PeriodicTask:
    """Does a piece of work every so many seconds, at once if it is woken, and again at once if it returns true.

    What fails is logged, and tried again the next time.
    """

    def __init__(self, name: str, work: Callable[[], bool | None], *, seconds: float) -> None:
        self.stopping = threading.Event()
        self._work = work
        self._seconds = seconds
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; more than once does no harm."""
        if self._thread.ident is None:
            self._thread.start()

    def wake(self) -> None:
        """Have the work done soon; returns at once."""
        self._awake.set()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End after the piece of work that is being done, which is waited for at most so long."""
        self.stopping.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self.stopping.is_set():
            has_more: bool | None = False
            try:
                with suppress(StoreUnavailableError):  # the store has said why
                    has_more = self._work()
            except Exception:
                log.exception("%s failed; it is tried again", self._thread.name)
            if not has_more:
                self._awake.wait(self._seconds)
                # Cleared only now: what woke it during the work would be missed otherwise.
                self._awake.clear()
            time.sleep(0)  # between pieces of work everybody else has a turn
