"""Rolling windows over the patients seen lately, kept as bare numbers in memory."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from common.messages import LEVELS
from server.anomaly.dataset import COLUMNS
from server.store import PredictionStore

_PAGE = 50  # predictions read at once, in about 10 ms: so long nobody else has a turn

_values_of = itemgetter(*COLUMNS)


@dataclass(frozen=True, slots=True)
class SeenPatient:
    """One scored patient: the 13 values in column order, the anomaly score, and the model version that gave it.

    There is no score where there is no level: such patients are compared with nobody's scores.
    """

    sequence: int
    seen_at: datetime
    values: tuple[float | None, ...]
    anomaly_score: float | None
    model_version: str


@dataclass(eq=False)
class RollingWindows:
    """The newest patients of each client app: at most so many, and none older than so many days.

    They are read from the record when somebody asks. So a prediction costs nothing, only what was committed counts, a
    restart forgets nothing, and every server of one database sees the same. What was read before stays in memory until
    a prediction is erased from the record or corrected, or the log is another one; then all are read again.
    """

    store: PredictionStore
    client_ids: Sequence[str]
    patients: int
    days: int
    clock: Callable[[], datetime]

    def __post_init__(self) -> None:
        self._windows = {name: deque[SeenPatient](maxlen=self.patients) for name in self.client_ids}
        self._erased_up_to = ("", 0, 0)
        self._reading = threading.Lock()

    def read(self) -> dict[str, list[SeenPatient]]:
        """Return each client's window, oldest patient first.

        Raises
        ------
        StoreUnavailableError
            When the record cannot be read.
        """
        oldest = self.clock() - timedelta(days=self.days)
        with self._reading:
            # Who was erased or corrected, or is not in another log, may still be in memory here, and must not count on.
            counter = self.store.counter()
            erased_up_to = counter.log_id, counter.epoch, counter.erased_up_to
            if erased_up_to != self._erased_up_to:
                self._erased_up_to = erased_up_to
                for window in self._windows.values():
                    window.clear()
            for name, window in self._windows.items():
                # Read newest first, so that no more is read than the window holds; kept oldest first.
                window.extend(reversed(list(self._newer(name, window[-1].sequence if window else 0))))
            return {name: [one for one in window if one.seen_at >= oldest] for name, window in self._windows.items()}

    def _newer(self, client_id: str, after: int) -> Iterator[SeenPatient]:
        """Yield what was not read before, newest first and about as much as a window holds."""
        # What another server commits later has a higher sequence: the counter's row is locked until the commit.
        before = None
        left = self.patients
        while left > 0:
            _, page = self.store.recent(_PAGE, after=after, before=before, client_id=client_id)
            for item in page:
                if item["superseded_by"]:
                    continue
                left -= 1
                made = item["prediction"]
                yield SeenPatient(
                    sequence=item["sequence"],
                    seen_at=datetime.fromisoformat(made["made_at"]),
                    values=_values_of(made["record"]),
                    anomaly_score=made["anomaly_score"] if made["risk_level"] in LEVELS else None,
                    model_version=made["model_version"],
                )
            if len(page) < _PAGE:
                return
            before = page[-1]["sequence"]
            time.sleep(0)  # between pages everybody else has a turn
