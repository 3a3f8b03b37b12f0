"""Fitting the detector on disease-free patients, and the forests that calibrate and evaluate it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import KFold, StratifiedKFold

from config.errors import InvalidDataError
from config.messages import Thresholds
from config.patient import LABEL_COLUMN
from config.settings import TrainingSettings
from server.anomaly.calibration import Calibration
from server.anomaly.dataset import Dataset, FloatArray, IndexArray
from server.anomaly.detector import AnomalyModel
from server.anomaly.evaluation import HeldOutFold, evaluate
from server.anomaly.fitting import fit_and_score, fit_parts
from server.anomaly.preprocessing import refuse_unmeasured

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model with the figures of its held-out evaluation."""

    model: AnomalyModel
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """A forest to fit on the patients of some rows, and the rows it then scores."""

    fitted_on: IndexArray
    scored: IndexArray


Progress = Callable[[Iterable[FloatArray], int], Iterable[FloatArray]]
"""What watches the fits: it passes on every result, and is told how many will come."""


def unwatched(results: Iterable[_Result], _total: int) -> Iterable[_Result]:
    """Pass the results on and show nothing."""
    return results


def train(dataset: Dataset, settings: TrainingSettings, *, progress: Progress = unwatched) -> TrainedModel:
    """Fit, calibrate and evaluate the detector; the same data and settings give the same model.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    refuse_too_few(dataset, settings)
    folds = evaluation_folds(dataset, settings)
    fits = calibration_fits(dataset.disease_free, settings)
    for held_out in folds:
        fits += [held_out, *calibration_fits(held_out.fitted_on, settings)]
    for fit in fits:
        refuse_unmeasured(dataset.values[fit.fitted_on])
    started = _start(dataset, fits, settings)
    preprocessor, forest = fit_parts(dataset.frame(dataset.disease_free), settings)
    scores = iter(list(progress(started, len(fits))))
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    calibration = _next_calibration(scores, settings)
    judged = [_judged(dataset, held_out, scores, settings) for held_out in folds]
    return TrainedModel(AnomalyModel(preprocessor, forest, calibration, thresholds), evaluate(judged, thresholds))


def refuse_too_few(dataset: Dataset, settings: TrainingSettings) -> None:
    """Raise InvalidDataError when the folds would leave too few disease-free patients to grow a tree on."""
    disease_free = dataset.disease_free.size
    diseased = dataset.has_disease.size - disease_free
    if not disease_free:
        raise InvalidDataError(
            f"{dataset.name} holds no disease-free patients (column {LABEL_COLUMN}: Absence), "
            "and the detector learns from them alone."
        )
    if min(disease_free, diseased) < settings.evaluation_folds:
        raise InvalidDataError(
            f"{dataset.name} holds {disease_free} disease-free patients and {diseased} with disease; "
            f"the held-out evaluation needs at least {settings.evaluation_folds} of each."
        )
    fewest = _without_a_fold(_without_a_fold(disease_free, settings.evaluation_folds), settings.calibration_folds)
    if fewest < settings.max_samples:
        raise InvalidDataError(
            f"{dataset.name} holds {disease_free} disease-free patients; the folds leave {max(fewest, 0)} of them, "
            f"and each tree is grown on {settings.max_samples}. Add patients or lower MODEL_MAX_SAMPLES."
        )


def _without_a_fold(patients: int, folds: int) -> int:
    return patients - ceil(patients / folds) if patients >= folds else 0


def evaluation_folds(dataset: Dataset, settings: TrainingSettings) -> list[Fit]:
    """Hold out every patient once, fitting on the disease-free of the other folds."""
    splitter = StratifiedKFold(settings.evaluation_folds, shuffle=True, random_state=settings.random_state)
    splits = splitter.split(dataset.values, dataset.has_disease)
    return [Fit(others[~dataset.has_disease[others]], held_out) for others, held_out in splits]


def calibration_fits(rows: IndexArray, settings: TrainingSettings) -> list[Fit]:
    """Hold out every one of some disease-free patients once, fitting on the others."""
    splitter = KFold(settings.calibration_folds, shuffle=True, random_state=settings.random_state)
    return [Fit(rows[others], rows[held_out]) for others, held_out in splitter.split(rows)]


def _start(dataset: Dataset, fits: Iterable[Fit], settings: TrainingSettings) -> Iterator[FloatArray]:
    """Start fitting in worker processes; the raw scores of every fit come in order."""
    calls = (delayed(fit_and_score)(dataset.frame(fit.fitted_on), dataset.frame(fit.scored), settings) for fit in fits)
    scores: Iterator[FloatArray] = Parallel(n_jobs=settings.workers, return_as="generator")(calls)
    return scores


def _next_calibration(scores: Iterator[FloatArray], settings: TrainingSettings) -> Calibration:
    return Calibration.fit(np.concatenate(list(islice(scores, settings.calibration_folds))))


def _judged(dataset: Dataset, held_out: Fit, scores: Iterator[FloatArray], settings: TrainingSettings) -> HeldOutFold:
    raw_scores = next(scores)
    calibration = _next_calibration(scores, settings)
    return HeldOutFold(dataset.has_disease[held_out.scored], raw_scores, calibration.score(raw_scores))
