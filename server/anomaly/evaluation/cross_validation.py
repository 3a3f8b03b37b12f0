"""Repeated stratified cross-validation of the whole recipe, in worker processes and picked up where it was left."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from joblib import Parallel, delayed

from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.anomaly.evaluation.folds import RANDOM_PATIENTS, FoldResult, evaluate_fold, reseeded
from server.anomaly.evaluation.keeping import KeptResults
from server.anomaly.preprocessing import refuse_unmeasured
from server.anomaly.training import Fit, evaluation_folds, refuse_too_few

Progress = Callable[[Iterable[FoldResult], int], Iterable[FoldResult]]
"""What watches the folds: it passes on every result, and is told how many will come."""


@dataclass(frozen=True)
class _Fold:
    name: str
    fit: Fit
    settings: TrainingSettings
    in_depth: bool


def cross_validate(
    dataset: Dataset, settings: TrainingSettings, directory: Path, *, repeats: int, progress: Progress
) -> list[FoldResult]:
    """Return the results of ``settings.evaluation_folds`` folds for each repeat, in order.

    The first repeat looks deeper: a second seed, and the explanation. What ``directory`` keeps of earlier runs with the
    same data, settings and code is not worked out again.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    refuse_too_few(dataset, settings)
    folds = [fold for repeat in range(repeats) for fold in _folds(dataset, reseeded(settings, repeat), repeat)]
    for fold in folds:
        refuse_unmeasured(dataset.values[fold.fit.fitted_on])
    kept = KeptResults(directory, _made_of(dataset, settings))
    results = {fold.name: kept.read(fold.name) for fold in folds}
    missing = [fold for fold in folds if results[fold.name] is None]
    if missing:
        computed = progress(_compute(dataset, missing, settings.workers), len(missing))
        for fold, result in zip(missing, computed, strict=True):
            kept.write(fold.name, result)
            results[fold.name] = result
    return [result for result in results.values() if result is not None]


def _folds(dataset: Dataset, settings: TrainingSettings, repeat: int) -> list[_Fold]:
    fits = evaluation_folds(dataset, settings)
    return [_Fold(f"{repeat}-{number}", fit, settings, in_depth=repeat == 0) for number, fit in enumerate(fits)]


def _made_of(dataset: Dataset, settings: TrainingSettings) -> dict[str, object]:
    forests = {"n_estimators", "max_samples", "random_state", "calibration_folds", "evaluation_folds"}
    return {"data": dataset.sha256} | settings.model_dump(include=forests)


def _compute(dataset: Dataset, folds: Iterable[_Fold], workers: int) -> Iterator[FoldResult]:
    calls = (
        delayed(evaluate_fold)(
            dataset,
            fold.fit,
            fold.settings,
            in_depth=fold.in_depth,
            random_patients=ceil(RANDOM_PATIENTS / fold.settings.evaluation_folds),
        )
        for fold in folds
    )
    results: Iterator[FoldResult] = Parallel(n_jobs=workers, return_as="generator")(calls)
    return results
