"""Real patients of the data set for the button Load Sample Patient Data."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from common.csv_rows import read_patients
from common.patient import PatientRecord


@dataclass(frozen=True)
class Sample:
    """A real patient, and where the record stands."""

    record: PatientRecord
    source: str


class SampleDeck:
    """Deals every sample once, in random order, before any comes again."""

    def __init__(self, samples: Sequence[Sample], shuffler: random.Random) -> None:
        self._samples = list(samples)
        self._shuffler = shuffler
        self._left: list[Sample] = []
        self._lock = threading.Lock()

    @classmethod
    def of_file(cls, path: Path, shuffler: random.Random) -> Self:
        """Read the patients of a CSV; raises ``InvalidDataError`` if it cannot be used."""
        patients = read_patients(path, needs_label=False)
        return cls([Sample(patient.record, f"{path.name}, line {patient.line}") for patient in patients], shuffler)

    def deal(self) -> Sample:
        with self._lock:
            if not self._left:
                self._left = self._samples.copy()
                self._shuffler.shuffle(self._left)
            return self._left.pop()
