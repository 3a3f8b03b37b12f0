"""Retention: predictions that are older than they are to be kept are erased, at the start and every hour."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from common.errors import StoreUnavailableError
from server.log import ChangeLog
from server.store import PredictionStore

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 3600.0
ERASED_AT_ONCE: Final = 50
STOP_SECONDS: Final = 2.0


class Housekeeping:
    """Erases what is too old, on a thread of its own; what fails is logged and tried again after ``seconds``."""

    def __init__(
        self,
        store: PredictionStore,
        changes: ChangeLog,
        *,
        retention_days: int | None,
        clock: Callable[[], datetime],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._changes = changes
        self._retention_days = retention_days
        self._clock = clock
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        if self._retention_days is not None:
            self._thread.start()

    def stop(self) -> None:
        """End, at the latest after the piece of work that is being done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._erase_old()
            except StoreUnavailableError:
                log.debug("nothing can be erased now")  # the store has said why
            except Exception:
                log.exception("housekeeping failed; it is tried again")
            self._stopping.wait(self._seconds)

    def _erase_old(self) -> None:
        now, number = self._clock(), 0
        made_before = now - timedelta(days=self._retention_days or 0)
        while not self._stopping.is_set() and (old := self._store.older_than(made_before, limit=ERASED_AT_ONCE)):
            self._changes.appended(self._store.erase(list(old), now))
            number += len(old)
            time.sleep(0)  # between batches everybody else has a turn
        if number:
            log.info("%d predictions were erased because they were older than %d days", number, self._retention_days)
