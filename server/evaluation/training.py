"""Fitting the detector on disease-free patients, and calibrating it on them or on those of another site."""

import signal
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

import numpy as np
from joblib import Parallel, delayed

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
from server.anomaly.fitting import fit_parts, grow_parts, score_patterns
from server.anomaly.preprocessing import refuse_unmeasured
from server.anomaly.sufficiency import Sufficiency
from server.evaluation.console import watched
from server.evaluation.discrimination import aurocs_by_pattern
from server.evaluation.splits import Fit, calibration_folds, refuse_too_few

# Disease-free patients of a site below which its false-alarm rates cannot be set from them: of 24, the share at High
# may truly be anything up to 16 %.
FEWEST_TO_RECALIBRATE = 25

_AT_ONCE = 100  # patients: 2,048 patterns of each are in memory at once
_FEWEST_IN_A_BAND = 10


def train(dataset: Dataset, settings: TrainingSettings) -> AnomalyModel:
    """Fit and calibrate the detector on disease-free patients; the same data and settings give the same model.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    refuse_too_few(dataset, settings)
    rows = dataset.disease_free
    drawn = drawn_to_calibrate(rows, settings)
    # Each patient with disease goes to one fold: a mean over all folds' forests would be steadier than a score that
    # the disease-free have, and than one in use, and would tell the two apart better than either.
    ill = np.random.default_rng(settings.random_state).permutation(drawn_to_calibrate(dataset.diseased, settings))
    fits = [
        Fit(fit.fitted_on, np.concatenate([np.intersect1d(fit.scored, drawn), part]))
        for fit, part in zip(
            calibration_folds(rows, settings), np.array_split(ill, settings.calibration_folds), strict=True
        )
    ]
    for fit in fits:
        refuse_unmeasured(dataset.values[fit.fitted_on])
    calls = (delayed(pattern_scores)(dataset, fit, every_pattern(), settings) for fit in fits)
    started = in_workers(calls, settings.workers)
    # The model's own forest is grown here while the workers grow those that calibrate it.
    preprocessor, forest = fit_parts(dataset.values[rows], settings)
    scores = np.concatenate(list(watched(started, len(fits), title="Calibrating", unit="forest")), axis=1)
    held_out = np.concatenate([fit.scored for fit in fits])
    values, has_disease = dataset.values[held_out], dataset.has_disease[held_out]
    calibration = CalibrationByPattern.fit(
        every_pattern(), scores[:, ~has_disease], values[~has_disease], by_age=settings.calibration_by_age
    )
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    _refuse_small_bands(calibration, dataset, thresholds)
    sufficiency = Sufficiency(aurocs_by_pattern(scores, values, has_disease))
    return AnomalyModel(preprocessor, forest, calibration, thresholds, sufficiency)


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
        low, high = alarm_interval(rows.size, model.thresholds.high) if rows.size else (0, 1)
        raise InvalidDataError(
            f"{dataset.name} holds {rows.size} disease-free patients, and recalibration needs at least "
            f"{FEWEST_TO_RECALIBRATE}: with so few the share of the disease-free at High could be anything from "
            f"{low:.0%} to {high:.0%}."
        )
    local, patterns = dataset.values[drawn_to_calibrate(rows, settings)], every_pattern()
    trees = [estimator.tree_ for estimator in model.forest.estimators_]
    parts = np.array_split(local, ceil(len(local) / _AT_ONCE))
    scores = np.concatenate([score_patterns(trees, model.preprocessor, part, patterns) for part in parts], axis=1)
    calibration = CalibrationByPattern.fit(patterns, scores, local, by_age=settings.calibration_by_age)
    _refuse_small_bands(calibration, dataset, model.thresholds)
    return AnomalyModel(model.preprocessor, model.forest, calibration, model.thresholds, model.sufficiency)


def drawn_to_calibrate(rows: IndexArray, settings: TrainingSettings) -> IndexArray:
    """Return the rows of the calibration patients, ascending: all, or as many as calibrate well enough."""
    if rows.size <= MOST_CALIBRATION_PATIENTS:
        return rows
    drawn = np.random.default_rng(settings.random_state).choice(rows, MOST_CALIBRATION_PATIENTS, replace=False)
    return np.sort(drawn)


def pattern_scores(dataset: Dataset, fit: Fit, patterns: BoolArray, settings: TrainingSettings) -> FloatArray:
    """Fit a forest and return the raw scores of the held-out rows, blanked by each pattern, shape (p, n)."""
    preprocessor, trees = grow_parts(dataset.values[fit.fitted_on], settings)
    return score_patterns(trees, preprocessor, dataset.values[fit.scored], patterns)


def calibrated(
    dataset: Dataset, rows: IndexArray, patterns: BoolArray, settings: TrainingSettings
) -> CalibrationByPattern:
    """Calibrate some patterns on disease-free patients, each scored by a forest of the other folds."""
    fits = calibration_folds(rows, settings)
    scores = np.concatenate([pattern_scores(dataset, fit, patterns, settings) for fit in fits], axis=1)
    held_out = dataset.values[np.concatenate([fit.scored for fit in fits])]
    return CalibrationByPattern.fit(patterns, scores, held_out, by_age=settings.calibration_by_age)


def in_workers(calls: Iterable[Any], workers: int) -> Iterator[Any]:
    """Start calls made with ``joblib.delayed`` in so many processes, and return their results in order as they come."""
    # Processes and not threads: most of growing a tree of 16 patients is Python, which one thread runs at a time.
    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator", initializer=_leave_interrupts)
    results: Iterator[Any] = parallel(calls)
    return results


def _leave_interrupts() -> None:
    # Ctrl-C is for the command to heed, which ends its workers: they would each print where they had been.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _refuse_small_bands(calibration: CalibrationByPattern, dataset: Dataset, thresholds: Thresholds) -> None:
    """Raise InvalidDataError when one of two age bands has so few patients that not one of them could be at High."""
    fewest = max(round(1 / (1 - thresholds.high)) - 1, _FEWEST_IN_A_BAND)
    if len(calibration.patients) > 1 and min(calibration.patients) < fewest:
        younger, older = calibration.patients
        raise InvalidDataError(
            f"{dataset.name} holds {younger} disease-free patients under {SPLIT_AGE} and {older} from {SPLIT_AGE} on; "
            f"calibration by age needs at least {fewest} of each. Add patients or unset MODEL_CALIBRATION_BY_AGE."
        )
