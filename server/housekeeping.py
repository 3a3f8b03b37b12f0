"""What the server does beside answering: publish what other processes wrote to its record, and erase what is old."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from common.errors import StoreUnavailableError
from server.recorder import Recorder
from server.store import PredictionStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
ERASED_AT_ONCE = 50
STOP_SECONDS = 2.0
RETENTION_EVERY = timedelta(days=1)


class Housekeeping:
    """Looks at the record every ``seconds`` on a thread of its own; old predictions are erased at start and daily.

    What fails is logged and tried again at the next look.
    """

    def __init__(
        self,
        store: PredictionStore,
        recorder: Recorder,
        *,
        retention_days: int | None,
        clock: Callable[[], datetime],
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._retention_days = retention_days
        self._clock = clock
        self._seconds = seconds
        self._retention_at = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, at the latest after the piece of work that is being done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except StoreUnavailableError:
                log.debug("the record cannot be looked at now")  # the store has said why
            except Exception:
                log.exception("housekeeping failed; it is tried again")
            self._stopping.wait(self._seconds)

    def _look(self) -> None:
        while not self._stopping.is_set() and self._recorder.publish_others():
            time.sleep(0)  # between runs everybody else has a turn
        if self._retention_days is not None and (now := self._clock()) >= self._retention_at:
            self._erase_older_than(self._retention_days, now)
            self._retention_at = now + RETENTION_EVERY

    def _erase_older_than(self, days: int, now: datetime) -> None:
        number, made_before = 0, now - timedelta(days=days)
        while not self._stopping.is_set() and (old := self._store.older_than(made_before, limit=ERASED_AT_ONCE)):
            number += self._recorder.erase([one.prediction_id for one in old], now)
            time.sleep(0)
        if number:
            log.info("%d predictions were erased because they were older than %d days", number, days)
