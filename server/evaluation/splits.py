"""Who is held out of which fit: the folds of calibration and evaluation, and how many patients they need."""

from dataclasses import dataclass, field
from math import ceil

from sklearn.model_selection import KFold, StratifiedKFold

from common.errors import InvalidDataError
from common.patient import LABEL_COLUMN
from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset, IndexArray

# Disease-free patients below which no forest is grown: recalibrating an earlier one needs fewer.
FEWEST_TO_TRAIN = 40

SEEDS = 2**32


@dataclass(frozen=True)
class Fit:
    """A forest to fit on the patients of some rows, and the rows it then scores."""

    fitted_on: IndexArray
    scored: IndexArray


@dataclass(frozen=True)
class Fold:
    """One fold of a repeat of the cross-validation; the settings have the seed of the repeat."""

    repeat: int
    number: int
    settings: TrainingSettings
    # Not in the repr: joblib prints the arguments when a kept result is damaged, and no patient's value may be in it.
    fit: Fit = field(repr=False)
    dataset: Dataset = field(repr=False)


def reseeded(settings: TrainingSettings, by: int) -> TrainingSettings:
    """Return the settings with another seed, kept within the 32 bits that numpy takes."""
    return settings.model_copy(update={"random_state": (settings.random_state + by) % SEEDS})


def folds_of_repeat(dataset: Dataset, settings: TrainingSettings, repeat: int) -> list[Fold]:
    """Return the folds of one repeat of the cross-validation, counted from 0."""
    seeded = reseeded(settings, repeat)
    fits = evaluation_folds(dataset, seeded)
    return [Fold(repeat, number, seeded, fit, dataset) for number, fit in enumerate(fits)]


def evaluation_folds(dataset: Dataset, settings: TrainingSettings) -> list[Fit]:
    """Hold out every patient once, fitting on the disease-free of the other folds.

    The folds are stratified by label where each can have patients with disease.
    """
    kind = StratifiedKFold if can_be_stratified(dataset, settings.evaluation_folds) else KFold
    splitter = kind(settings.evaluation_folds, shuffle=True, random_state=settings.random_state)
    # Patients with disease are held out as well, though none is fitted on: each is scored by a forest of the fold.
    splits = splitter.split(dataset.values, dataset.has_disease)
    return [Fit(others[~dataset.has_disease[others]], held_out) for others, held_out in splits]


def can_be_stratified(dataset: Dataset, folds: int) -> bool:
    """Return whether each of some folds can have patients with disease."""
    return int(dataset.has_disease.sum()) >= folds


def calibration_folds(rows: IndexArray, settings: TrainingSettings) -> list[Fit]:
    """Hold out every one of some disease-free patients once, fitting on the others."""
    splitter = KFold(settings.calibration_folds, shuffle=True, random_state=settings.random_state)
    return [Fit(rows[others], rows[held_out]) for others, held_out in splitter.split(rows)]


def refuse_too_few(dataset: Dataset, settings: TrainingSettings) -> None:
    """Raise InvalidDataError when there are too few disease-free patients to train on, or to hold folds of them out."""
    disease_free = dataset.disease_free.size
    if not disease_free:
        raise InvalidDataError(
            f"{dataset.name} holds no disease-free patients (column {LABEL_COLUMN}: Absence), "
            "and the detector learns from them alone."
        )
    if disease_free < FEWEST_TO_TRAIN:
        raise InvalidDataError(
            f"{dataset.name} holds {disease_free} disease-free patients; training needs at least "
            f"{FEWEST_TO_TRAIN}. With fewer, keep the forest of another clinic: train_model.py --recalibrate."
        )
    # The smallest forest is that of a calibration fold within an evaluation fold: both are taken off.
    fewest = _without_a_fold(_without_a_fold(disease_free, settings.evaluation_folds), settings.calibration_folds)
    if fewest < settings.max_samples:
        raise InvalidDataError(
            f"{dataset.name} holds {disease_free} disease-free patients; the folds leave {max(fewest, 0)} of them, "
            f"and each tree is grown on {settings.max_samples}. Add patients or lower MODEL_MAX_SAMPLES."
        )


def _without_a_fold(patients: int, folds: int) -> int:
    return patients - ceil(patients / folds) if patients >= folds else 0
