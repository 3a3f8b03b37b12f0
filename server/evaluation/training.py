"""Fitting the detector on disease-free patients, and calibrating it on them or on those of another site."""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import Any

import numpy as np
from joblib import delayed

from common.errors import InvalidDataError
from common.messages import Thresholds
from config.settings import TrainingSettings
from server.anomaly.calibration import (
    MOST_CALIBRATION_PATIENTS,
    SPLIT_AGE,
    CalibrationByPattern,
    alarm_interval,
    every_pattern,
)
from server.anomaly.dataset import BoolArray, Dataset, FloatArray, IndexArray
from server.anomaly.detector import AnomalyModel
from server.anomaly.fitting import fit_and_score_patterns, fit_parts, score_with_patterns
from server.anomaly.preprocessing import refuse_unmeasured
from server.evaluation.splits import Fit, calibration_folds, refuse_too_few
from server.evaluation.workers import in_workers

FEWEST_TO_RECALIBRATE = 25
"""Disease-free patients of a site below which its false-alarm rates cannot be set from them."""

_AT_ONCE = 100
_FEWEST_IN_A_BAND = 10

Watch = Callable[[Iterable[Any], int], Iterable[Any]]
"""What shows progress: it passes on every result, and is told how many will come."""


def unwatched(results: Iterable[Any], _total: int) -> Iterable[Any]:
    """Pass the results on and show nothing."""
    return results


def train(dataset: Dataset, settings: TrainingSettings, *, progress: Watch = unwatched) -> AnomalyModel:
    """Fit and calibrate the detector on disease-free patients; the same data and settings give the same model.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    refuse_too_few(dataset, settings)
    rows = dataset.disease_free
    drawn = drawn_to_calibrate(rows, settings)
    fits = [Fit(fit.fitted_on, np.intersect1d(fit.scored, drawn)) for fit in calibration_folds(rows, settings)]
    for fit in fits:
        refuse_unmeasured(dataset.values[fit.fitted_on])
    calls = (delayed(pattern_scores)(dataset, fit, every_pattern(), settings) for fit in fits)
    started: Iterator[FloatArray] = in_workers(calls, settings.workers)
    preprocessor, forest = fit_parts(dataset.frame(rows), settings)
    scores = list(progress(started, len(fits)))
    calibration = calibrated(dataset, fits, scores, every_pattern(), settings)
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    _refuse_small_bands(calibration, dataset, thresholds)
    return AnomalyModel(preprocessor, forest, calibration, thresholds)


def recalibrate(model: AnomalyModel, dataset: Dataset, settings: TrainingSettings) -> AnomalyModel:
    """Keep preprocessor, forest and thresholds, and calibrate on the disease-free patients of another site.

    The forest has seen none of them, so no folds are needed.

    Raises
    ------
    InvalidDataError
        When there are too few disease-free patients.
    """
    rows = dataset.disease_free
    if rows.size < FEWEST_TO_RECALIBRATE:
        raise InvalidDataError(
            f"{dataset.name} holds {rows.size} disease-free patients, and recalibration needs at least "
            f"{FEWEST_TO_RECALIBRATE}: {_too_loose(rows.size, model.thresholds)}."
        )
    local = dataset.values[drawn_to_calibrate(rows, settings)]
    parts = np.array_split(local, ceil(len(local) / _AT_ONCE))
    scores = [score_with_patterns(model.preprocessor, model.forest, part, every_pattern()) for part in parts]
    by_age = settings.calibration_by_age
    together = np.concatenate(scores, axis=1)
    calibration = CalibrationByPattern.fit(every_pattern(), together, local, by_age=by_age)
    _refuse_small_bands(calibration, dataset, model.thresholds)
    return AnomalyModel(model.preprocessor, model.forest, calibration, model.thresholds)


def _too_loose(patients: int, thresholds: Thresholds) -> str:
    if not patients:
        return "there is nobody to compare with"
    low, high = alarm_interval(patients, thresholds.high)
    return f"with so few the share of the disease-free at High could be anything from {low:.0%} to {high:.0%}"


def drawn_to_calibrate(rows: IndexArray, settings: TrainingSettings) -> IndexArray:
    """Return the rows of the calibration patients, ascending: all, or as many as calibrate well enough."""
    if rows.size <= MOST_CALIBRATION_PATIENTS:
        return rows
    drawn = np.random.default_rng(settings.random_state).choice(rows, MOST_CALIBRATION_PATIENTS, replace=False)
    return np.sort(drawn)


def pattern_scores(dataset: Dataset, fit: Fit, patterns: BoolArray, settings: TrainingSettings) -> FloatArray:
    """Fit a forest and return the raw scores of the held-out rows, blanked by each pattern, shape (p, n)."""
    return fit_and_score_patterns(dataset.frame(fit.fitted_on), dataset.values[fit.scored], patterns, settings)


def calibrated(
    dataset: Dataset, fits: Iterable[Fit], scores: Iterable[FloatArray], patterns: BoolArray, settings: TrainingSettings
) -> CalibrationByPattern:
    """Put the out-of-fold raw scores of all folds together."""
    held_out: IndexArray = np.concatenate([fit.scored for fit in fits])
    together = np.concatenate(list(scores), axis=1)
    return CalibrationByPattern.fit(patterns, together, dataset.values[held_out], by_age=settings.calibration_by_age)


def _refuse_small_bands(calibration: CalibrationByPattern, dataset: Dataset, thresholds: Thresholds) -> None:
    """Raise InvalidDataError when one of two age bands has so few patients that not one of them could be at High."""
    fewest = max(round(1 / (1 - thresholds.high)) - 1, _FEWEST_IN_A_BAND)
    if len(calibration.patients) > 1 and min(calibration.patients) < fewest:
        younger, older = calibration.patients
        raise InvalidDataError(
            f"{dataset.name} holds {younger} disease-free patients under {SPLIT_AGE} and {older} from {SPLIT_AGE} on; "
            f"calibration by age needs at least {fewest} of each. Add patients or unset MODEL_CALIBRATION_BY_AGE."
        )
