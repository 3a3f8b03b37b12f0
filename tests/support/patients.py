"""Real patients for tests."""

from functools import cache

import numpy as np

from common.patient import FIELDS, PatientRecord
from config.secrets import PROJECT_ROOT
from config.settings import TrainingSettings
from server.anomaly.dataset import COLUMNS, Dataset, rows_of
from server.anomaly.recognition import load_dataset

DATA = PROJECT_ROOT / "data" / "heart_disease.csv"


@cache
def real_patients() -> Dataset:
    return load_dataset(DATA)


@cache
def real_records() -> list[PatientRecord]:
    return [
        PatientRecord.model_validate(dict(zip(COLUMNS, row, strict=True)), strict=False)
        for row in rows_of(real_patients().values)
    ]


def some_patients(*, disease_free: int, diseased: int) -> Dataset:
    """The first real patients with either label."""
    whole = real_patients()
    rows = np.concatenate([whole.disease_free[:disease_free], np.flatnonzero(whole.has_disease)[:diseased]])
    return Dataset("clinic.csv", whole.sha256, whole.values[rows], whole.has_disease[rows])


def small_training() -> TrainingSettings:
    """Settings of a training that takes about a second, whatever the environment says."""
    return TrainingSettings(
        n_estimators=50,
        max_samples=16,
        random_state=0,
        calibration_folds=4,
        evaluation_folds=2,
        medium_threshold=0.8,
        high_threshold=0.95,
        workers=1,
        calibration_by_age=False,
        signing_key=None,
    )


def typical_patient(typical: dict[str, float], **changes: float | None) -> PatientRecord:
    """A patient with every median of the disease-free, but for what is changed."""
    whole = {name: int(value) if FIELDS[name].codes or name == "age" else value for name, value in typical.items()}
    return PatientRecord.check(whole | changes)
