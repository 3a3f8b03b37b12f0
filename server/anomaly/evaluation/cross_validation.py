"""Repeated stratified cross-validation of the whole recipe, in worker processes and picked up where it was left."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path

from joblib import Parallel, delayed

from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.anomaly.evaluation.folds import RANDOM_PATIENTS, FoldResult, evaluate_fold, reseeded
from server.anomaly.evaluation.keeping import KeptResults
from server.anomaly.preprocessing import refuse_unmeasured
from server.anomaly.splits import Fit, evaluation_folds, refuse_too_few

Progress = Callable[[Iterable[FoldResult], int], Iterable[FoldResult]]
"""What watches the folds: it passes on every result, and is told how many will come."""


@dataclass(frozen=True)
class _Fold:
    repeat: int
    number: int
    fit: Fit
    settings: TrainingSettings
    in_depth: bool

    @property
    def name(self) -> str:
        return self.name_in_depth if self.in_depth else f"{self.repeat}-{self.number}"

    @property
    def name_in_depth(self) -> str:
        return f"{self.repeat}-{self.number}-in-depth"


def cross_validate(
    dataset: Dataset,
    settings: TrainingSettings,
    directory: Path,
    *,
    repeats: int,
    in_depth: bool,
    progress: Progress,
) -> list[FoldResult]:
    """Return the results of ``settings.evaluation_folds`` folds for each repeat, in order.

    ``in_depth`` has the first repeat look deeper: a second seed, and the explanation. What ``directory`` keeps of
    earlier runs with the same data, settings and code is not worked out again.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    refuse_too_few(dataset, settings)
    folds = [fold for repeat in range(repeats) for fold in _folds(dataset, settings, repeat, in_depth=in_depth)]
    for fold in folds:
        refuse_unmeasured(dataset.values[fold.fit.fitted_on])
    kept = _kept(dataset, settings, directory)
    results = {fold.name: _read(kept, fold) for fold in folds}
    missing = [fold for fold in folds if results[fold.name] is None]
    if missing:
        computed = progress(_compute(dataset, missing, settings.workers), len(missing))
        for fold, result in zip(missing, computed, strict=True):
            kept.write(fold.name, result)
            results[fold.name] = result
    return [result for result in results.values() if result is not None]


def kept_repeats(dataset: Dataset, settings: TrainingSettings, directory: Path) -> int:
    """Count the repeats that a cross-validation in depth has kept whole, from the first on."""
    kept = _kept(dataset, settings, directory)
    for repeat in count():
        folds = _folds(dataset, settings, repeat, in_depth=True)
        if any(_read(kept, fold) is None for fold in folds):
            break
    return repeat


def _folds(dataset: Dataset, settings: TrainingSettings, repeat: int, *, in_depth: bool) -> list[_Fold]:
    seeded = reseeded(settings, repeat)
    deep = in_depth and repeat == 0
    return [_Fold(repeat, number, fit, seeded, deep) for number, fit in enumerate(evaluation_folds(dataset, seeded))]


def _read(kept: KeptResults[FoldResult], fold: _Fold) -> FoldResult | None:
    return kept.read(fold.name_in_depth) or kept.read(fold.name)


def _kept(dataset: Dataset, settings: TrainingSettings, directory: Path) -> KeptResults[FoldResult]:
    deciding = {"n_estimators", "max_samples", "random_state", "calibration_folds", "evaluation_folds"}
    made_of = settings.model_dump(include=deciding | {"calibration_by_age"})
    return KeptResults(directory, {"data": dataset.sha256} | made_of, FoldResult)


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
