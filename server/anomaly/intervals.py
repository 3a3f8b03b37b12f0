"""How sure a figure is: 95 % intervals over overlapping folds, over patients drawn again, and of shares."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from scipy.stats import t

from server.anomaly.dataset import BoolArray, FloatArray
from server.anomaly.evaluation_figures import Estimate

RESAMPLES = 2000
_CONFIDENCE = 0.95
_ROUNDING = 1e-12


def over_folds(by_fold: Sequence[float], folds: int, *, lowest: float = 0, highest: float = 1) -> Estimate:
    """Return the mean of the figures of repeated cross-validation folds, leaving out those that have none (NaN).

    The variance is that of Nadeau and Bengio (2003), *Inference for the Generalization Error*, section 3: the folds
    share training patients, so 1 / J becomes 1 / J + n_test / n_train, with J - 1 degrees of freedom.
    The interval ends at the lowest and highest possible value; figures that are all the same say nothing of how sure
    they are, so there is none.
    """
    figures = np.array([figure for figure in by_fold if not math.isnan(figure)])
    if figures.size == 0:
        return Estimate(value=None)
    mean = float(figures.mean())
    if np.ptp(figures) < _ROUNDING:
        return Estimate(value=mean)
    # Without the second term, ten repeats would look ten times as sure as one, although they see the same patients.
    error = math.sqrt(figures.var(ddof=1) * (1 / figures.size + 1 / (folds - 1)))
    margin = float(t.ppf((1 + _CONFIDENCE) / 2, figures.size - 1)) * error
    return Estimate(value=mean, low=max(mean - margin, lowest), high=min(mean + margin, highest))


OfLabels = Callable[[BoolArray, FloatArray], float]
"""A figure of labels and scores, both of shape (n,)."""


def by_bootstrap(
    figure: OfLabels, has_disease: BoolArray, scores: FloatArray, *, seed: int, resamples: int
) -> Estimate:
    """Return a figure of labels and scores, both of shape (n,), with the percentile interval of resamples.

    Patients are drawn within either label, which keeps their numbers: a resample with another share of patients with
    disease would add a spread that is not the detector's.
    """
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(has_disease), np.flatnonzero(~has_disease)]
    drawn = (np.concatenate([random.choice(rows, rows.size) for rows in members]) for _ in range(resamples))
    figures = [figure(has_disease[rows], scores[rows]) for rows in drawn]
    low, high = np.quantile(figures, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(value=float(figure(has_disease, scores)), low=float(low), high=float(high))


def of_share(is_so: BoolArray) -> Estimate:
    """Return the share (0 to 1) that is true with its Wilson interval; of none there is none."""
    if not is_so.size:
        return Estimate(value=None)
    low, high = wilson_interval(int(is_so.sum()), is_so.size)
    return Estimate(value=float(is_so.mean()), low=low, high=high)


def wilson_interval(count: float, of: float, *, error: float = 1 - _CONFIDENCE) -> tuple[float, float]:
    """Return between which shares (0 to 1) the true one lies, but for an error (0 to 1), where so many were counted.

    Unlike the bootstrap's, it is never empty: of 20 patients without an alarm, the true share is from 0 to 16 %.
    Wilson (1927), *Probable Inference, the Law of Succession, and Statistical Inference*.
    """
    z = NormalDist().inv_cdf(1 - error / 2)
    middle = (count + z**2 / 2) / (of + z**2)
    half = z / (of + z**2) * math.sqrt(max(count * (of - count) / of, 0) + z**2 / 4)
    return max(middle - half, 0.0), min(middle + half, 1.0)
