"""Patients as the matrices the detector is trained on and scores."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isnan
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.csv_rows import read_patients
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
    """Labelled patients: ``values`` of shape (n, 13) with NaN where not measured, ``has_disease`` of shape (n,)."""

    name: str
    sha256: str
    values: FloatArray
    has_disease: BoolArray

    @property
    def disease_free(self) -> IndexArray:
        """Row numbers of the patients without disease, ascending."""
        return np.flatnonzero(~self.has_disease)


def rows_of(values: FloatArray) -> list[list[float | None]]:
    """Return the rows of a matrix of shape (n, 13) in Python's own numbers, ``None`` where a value was not measured."""
    return [[None if isnan(value) else value for value in row] for row in values.tolist()]


def matrix_of(records: Iterable[PatientRecord]) -> FloatArray:
    """Return records as a matrix of shape (n, 13), NaN where a value was not measured."""
    return np.array([values_of(record) for record in records], dtype=np.float64).reshape(-1, len(COLUMNS))


def load_dataset(path: Path) -> Dataset:
    """Read a labelled CSV of patients.

    Raises
    ------
    InvalidDataError
        Naming row and column, when the file cannot be used.
    """
    patients = read_patients(path, needs_label=True)
    return Dataset(
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        values=matrix_of(patient.record for patient in patients),
        has_disease=np.array([patient.has_disease for patient in patients], dtype=np.bool_),
    )
