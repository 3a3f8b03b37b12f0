"""How well each missingness pattern tells disease from its absence, which ``Sufficiency`` is made of."""

import numpy as np
from scipy.stats import norm

from server.anomaly.calibration import compared, every_pattern
from server.anomaly.dataset import BoolArray, FloatArray
from server.anomaly.reference import LEAST_WITH_DISEASE

_Z = float(norm.ppf(0.975))


def aurocs_by_pattern(scores: FloatArray, values: FloatArray, has_disease: BoolArray) -> FloatArray | None:
    """Return the AUROC of every pattern and the lower end of its 95 % interval, shape (2048, 2).

    ``scores`` are out-of-fold raw scores, shape (2048, n), of patients of shape (n, 13) blanked by each pattern. Who
    lacks a field that the pattern has is left out, as in the calibration. ``None`` where too few patients have disease.
    """
    if has_disease.sum() < LEAST_WITH_DISEASE:
        return None
    diseased, disease_free = (
        compared(every_pattern(), scores[:, labeled], values[labeled]) for labeled in (has_disease, ~has_disease)
    )
    found = [auroc_and_error(*(of[~np.isnan(of)] for of in pair)) for pair in zip(diseased, disease_free, strict=True)]
    return np.array([[auroc, auroc - _Z * error] for auroc, error in found])


def auroc_and_error(diseased: FloatArray, disease_free: FloatArray) -> tuple[float, float]:
    """Return the AUROC of two groups' scores and its standard error.

    DeLong, DeLong and Clarke-Pearson (1988), *Comparing the areas under two or more correlated receiver operating
    characteristic curves*, equations 4 to 6.
    """
    above, below = _share_below(diseased, disease_free), 1 - _share_below(disease_free, diseased)
    variance = above.var(ddof=1) / above.size + below.var(ddof=1) / below.size
    return float(above.mean()), float(np.sqrt(variance))


def _share_below(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Return for each score which share of the others lies below it, ties counting half."""
    ordered = np.sort(others)
    places = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    share: FloatArray = places / 2 / others.size
    return share
