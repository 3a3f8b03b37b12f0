"""Repeated cross-validation of the whole recipe, in worker processes and picked up where it was left."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path

from joblib import delayed

from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.anomaly.preprocessing import refuse_unmeasured
from server.evaluation.folds import RANDOM_PATIENTS, FoldResult, evaluate_fold, reseeded
from server.evaluation.keeping import KeptResults, data_hash
from server.evaluation.splits import Fit, evaluation_folds, refuse_too_few
from server.evaluation.workers import in_workers

Progress = Callable[[Iterable[FoldResult], int], Iterable[FoldResult]]
"""What watches the folds: it passes on every result, and is told how many will come."""


@dataclass(frozen=True)
class _Fold:
    repeat: int
    number: int
    fit: Fit
    settings: TrainingSettings

    @property
    def name(self) -> str:
        return f"{self.repeat}-{self.number}"

    @property
    def in_depth(self) -> bool:
        return self.repeat == 0


def cross_validate(
    dataset: Dataset,
    settings: TrainingSettings,
    directory: Path,
    *,
    repeats: int,
    progress: Progress,
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
    folds = [fold for repeat in range(repeats) for fold in _folds(dataset, settings, repeat)]
    for fold in folds:
        refuse_unmeasured(dataset.values[fold.fit.fitted_on])
    kept = _kept(dataset, settings, directory)
    results = {fold.name: kept.read(fold.name) for fold in folds}
    missing = [fold for fold in folds if results[fold.name] is None]
    if missing:
        computed = progress(_compute(dataset, missing, settings.workers), len(missing))
        for fold, result in zip(missing, computed, strict=True):
            kept.write(fold.name, result)
            results[fold.name] = result
    return [result for result in results.values() if result is not None]


def kept_repeats(dataset: Dataset, settings: TrainingSettings, directory: Path) -> int:
    """Count the repeats that a cross-validation has kept whole, from the first on."""
    kept = _kept(dataset, settings, directory)
    for repeat in count():
        if any(kept.read(fold.name) is None for fold in _folds(dataset, settings, repeat)):
            break
    return repeat


def _folds(dataset: Dataset, settings: TrainingSettings, repeat: int) -> list[_Fold]:
    seeded = reseeded(settings, repeat)
    return [_Fold(repeat, number, fit, seeded) for number, fit in enumerate(evaluation_folds(dataset, seeded))]


def _kept(dataset: Dataset, settings: TrainingSettings, directory: Path) -> KeptResults[FoldResult]:
    deciding = {"n_estimators", "max_samples", "random_state", "calibration_folds", "evaluation_folds"}
    made_of = settings.model_dump(include=deciding | {"calibration_by_age"})
    made_of |= {"data": data_hash(dataset)}
    return KeptResults(directory, made_of, FoldResult, worked_out_in=evaluate_fold.__module__)


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
    return in_workers(calls, workers)
