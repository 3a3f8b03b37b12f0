"""Rolling windows over the patients seen lately, kept as bare numbers in memory."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import numpy as np

from server.anomaly.dataset import COLUMNS, FloatArray
from server.store import ExplainedPrediction, PredictionStore

_PAGE = 50
"""Predictions read at once, in about 10 ms."""

_values_of = itemgetter(*COLUMNS)


@dataclass(frozen=True, slots=True)
class SeenPatient:
    """One scored patient: the 13 values in column order, the anomaly score, and the model version that gave it."""

    seen_at: datetime
    values: tuple[float | None, ...]
    anomaly_score: float
    model_version: str

    @classmethod
    def of(cls, prediction: Mapping[str, Any]) -> "SeenPatient":
        """Take what counts of a message ``Prediction``, as it is stored."""
        made_at, values = datetime.fromisoformat(prediction["made_at"]), _values_of(prediction["record"])
        return cls(made_at, values, prediction["anomaly_score"], prediction["model_version"])


class RollingWindows:
    """The newest patients of each client app: at most so many, and none older than so many days.

    They are read from the record when somebody asks. So a prediction costs nothing, only what was committed counts, a
    restart forgets nothing, and every server of one database sees the same. What was read before stays in memory until
    a prediction is erased from the record: then all are read anew.
    """

    def __init__(
        self,
        store: PredictionStore,
        client_ids: Sequence[str],
        *,
        patients: int,
        days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self.patients = patients
        self.days = days
        self._store = store
        self._clock = clock
        self._windows: dict[str, deque[SeenPatient]] = {client_id: deque(maxlen=patients) for client_id in client_ids}
        self._read_to = dict.fromkeys(client_ids, 0)
        self._erased_up_to = 0
        self._reading = threading.Lock()

    def read(self) -> dict[str, list[SeenPatient]]:
        """Return each client's window, oldest patient first.

        Raises
        ------
        StoreUnavailableError
            When the record cannot be read.
        """
        oldest = self._clock() - timedelta(days=self.days)
        with self._reading:
            self._forget_if_erased()
            for client_id in self._windows:
                self._catch_up(client_id)
            return {
                client_id: [patient for patient in window if patient.seen_at >= oldest]
                for client_id, window in self._windows.items()
            }

    def _forget_if_erased(self) -> None:
        erased_up_to = self._store.erased_up_to()
        if erased_up_to != self._erased_up_to:
            for client_id, window in self._windows.items():
                window.clear()
                self._read_to[client_id] = 0
        self._erased_up_to = erased_up_to

    def _catch_up(self, client_id: str) -> None:
        new = list(self._newer(client_id))
        self._windows[client_id].extend(SeenPatient.of(item.body) for item in reversed(new))
        if new:
            self._read_to[client_id] = new[0].sequence

    def _newer(self, client_id: str) -> Iterator[ExplainedPrediction]:
        """Yield what was not read before, newest first and about as much as a window holds."""
        # What another server commits later has a higher sequence: the counter's row is locked until the commit.
        after, before = self._read_to[client_id], None
        for _ in range(0, self.patients, _PAGE):
            _, page = self._store.recent(_PAGE, after=after, before=before, client_id=client_id)
            yield from page
            if len(page) < _PAGE:
                return
            before = page[-1].sequence
            time.sleep(0)  # between pages everybody else has a turn


def values_of(patients: Sequence[SeenPatient]) -> FloatArray:
    """Return the values of patients as a matrix of shape (n, 13), NaN where not measured."""
    return np.array([patient.values for patient in patients], dtype=np.float64).reshape(-1, len(COLUMNS))


def scores_of(patients: Sequence[SeenPatient], model_version: str) -> FloatArray:
    """Return the anomaly scores that one model version gave."""
    scores = [patient.anomaly_score for patient in patients if patient.model_version == model_version]
    return np.array(scores, dtype=np.float64)
