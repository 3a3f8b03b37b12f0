"""How sure a figure is: 95 % intervals over overlapping folds, and over patients drawn again."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from server.anomaly.dataset import BoolArray, IndexArray

RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class GroupRates:
    """How a group of patients fares: their number, and false alarms and sensitivity at Medium or higher and at High."""

    name: str
    disease_free: int
    with_disease: int
    medium_or_higher: Mapping[str, Estimate]
    high: Mapping[str, Estimate]


def over_folds(by_fold: Sequence[float], folds: int, *, lowest: float = 0, highest: float = 1) -> Estimate:
    """Return the mean of the figures of repeated cross-validation folds, leaving out those that have none (NaN).

    The variance is that of Nadeau and Bengio (2003), *Inference for the Generalization Error*, section 3: the folds
    share training patients, so 1 / J becomes 1 / J + n_test / n_train, with J - 1 degrees of freedom.
    The interval ends at the lowest and highest possible value.
    """
    figures = np.array([figure for figure in by_fold if not math.isnan(figure)])
    if figures.size == 0:
        return Estimate(math.nan)
    mean = float(figures.mean())
    if figures.size == 1:
        return Estimate(mean)
    error = math.sqrt(figures.var(ddof=1) * (1 / figures.size + 1 / (folds - 1)))
    margin = float(t.ppf((1 + _CONFIDENCE) / 2, figures.size - 1)) * error
    return Estimate(mean, max(mean - margin, lowest), min(mean + margin, highest))


def by_bootstrap(
    figure: Callable[[IndexArray], float], groups: BoolArray, *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """Return a figure over all rows, and the percentile interval of resamples within the groups.

    ``figure`` is given row numbers, with repetitions; drawing within the groups, shape (n,), keeps their sizes. A
    resample that has no such figure (NaN) is left out; of no rows there is none.
    """
    if not groups.size:
        return Estimate(math.nan)
    random = np.random.default_rng(seed)
    members = [rows for rows in (np.flatnonzero(groups), np.flatnonzero(~groups)) if rows.size]
    drawn = (np.concatenate([random.choice(rows, rows.size) for rows in members]) for _ in range(resamples))
    figures = np.array([figure(rows) for rows in drawn])
    figures = figures[~np.isnan(figures)]
    if figures.size == 0:
        return Estimate(math.nan)
    low, high = np.quantile(figures, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(figure(np.arange(groups.size)), float(low), float(high))
