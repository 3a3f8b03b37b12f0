"""Patients as the matrices the detector is trained on and scores."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from common.patient import FIELDS, PatientRecord
from config.secrets import PROJECT_ROOT

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

# Fixed here and not a setting: figures and targets of the recipe are those on this file.
SHIPPED_DATA = PROJECT_ROOT / "data" / "heart_disease.csv"

COLUMNS = list(FIELDS)
"""Wire names of the 13 fields, in the column order of every matrix."""

values_of: Callable[[PatientRecord], tuple[float | None, ...]] = attrgetter(*COLUMNS)
"""Returns the 13 fields of a record in order, ``None`` where a value was not measured."""


@dataclass(frozen=True)
class Dataset:
    """Labeled patients: ``values`` of shape (n, 13) with NaN where not measured, ``has_disease`` of shape (n,).

    ``recognized`` says in lines how their file was read.
    """

    name: str
    sha256: str
    values: FloatArray
    has_disease: BoolArray
    recognized: Sequence[str] = ()

    @property
    def disease_free(self) -> IndexArray:
        """Row numbers of the patients without disease, ascending."""
        return np.flatnonzero(~self.has_disease)

    @property
    def diseased(self) -> IndexArray:
        """Row numbers of the patients with disease, ascending."""
        return np.flatnonzero(self.has_disease)


def rows_of(values: FloatArray) -> list[list[float | None]]:
    """Return the rows of a matrix of shape (n, 13) in Python's own numbers, ``None`` where a value was not measured."""
    return [[None if isnan(value) else value for value in row] for row in values.tolist()]


def matrix_of(records: Iterable[PatientRecord]) -> FloatArray:
    """Return records as a matrix of shape (n, 13), NaN where a value was not measured."""
    return np.array([values_of(record) for record in records], dtype=np.float64).reshape(-1, len(COLUMNS))
