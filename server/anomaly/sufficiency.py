"""Whether what was measured of a patient is enough for a risk level: whether it tells disease from its absence."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import norm

from common.patient import FIELDS
from server.anomaly.calibration import BITS, code_of, codes_of, compared, every_pattern
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, rows_of
from server.anomaly.reference import LEAST_WITH_DISEASE

# Fixed before looking: acceptable discrimination by Hosmer and Lemeshow (2000), *Applied Logistic Regression*, section
# 5.2.4. The lower end of the interval has to reach it, so a pattern that only may be acceptable is not enough.
ACCEPTABLE_AUROC: Final = 0.70

_Z = float(norm.ppf(0.975))
_OPTIONAL = [not field.required for field in FIELDS.values()]
_TESTS = np.isin(
    COLUMNS, ["max_heart_rate", "exercise_angina", "st_depression", "st_slope", "major_vessels", "thallium_scan"]
)


class Sufficiency:
    """For each missingness pattern, whether its measured fields are enough for a level; age and sex alone never are.

    ``aurocs`` holds the AUROC of each of ``every_pattern()`` and the lower end of its 95 % interval, shape (2048, 2).
    It is ``None`` where too few patients with disease were known: a result of exercise or imaging is then enough.
    """

    def __init__(self, aurocs: FloatArray | None) -> None:
        self.aurocs, patterns = aurocs, every_pattern()
        is_enough = ~patterns[:, _TESTS].all(axis=1) if aurocs is None else aurocs[:, 1] >= ACCEPTABLE_AUROC
        self._enough = frozenset(codes_of(patterns[is_enough & ~patterns[:, _OPTIONAL].all(axis=1)]))

    @property
    def abstained_patterns(self) -> int:
        """How many of the 2,048 patterns get no level."""
        return len(every_pattern()) - len(self._enough)

    def is_enough(self, values: Sequence[float | None]) -> bool:
        """Return whether a patient's 13 fields, ``None`` where not measured, are enough for a level."""
        return code_of(values) in self._enough

    def are_enough(self, values: FloatArray) -> BoolArray:
        """Return the same of patients of shape (n, 13)."""
        return np.array([self.is_enough(row) for row in rows_of(values)], dtype=np.bool_)

    def needed(self, values: Sequence[float | None]) -> list[str]:
        """Name the fields of which any one, measured as well, would be enough."""
        code, fields = code_of(values), zip(COLUMNS, BITS, values, strict=True)
        return [name for name, bit, value in fields if value is None and code - bit in self._enough]


def aurocs_by_pattern(scores: FloatArray, values: FloatArray, has_disease: BoolArray) -> FloatArray | None:
    """Return the AUROC of every pattern and the lower end of its 95 % interval, shape (2048, 2).

    ``scores`` are out-of-fold raw scores, shape (2048, n), of patients of shape (n, 13) blanked by each pattern. Who
    lacks a field that the pattern has is left out, as in the calibration. ``None`` where too few patients have disease.
    """
    if has_disease.sum() < LEAST_WITH_DISEASE:
        return None
    diseased, disease_free = (
        compared(every_pattern(), scores[:, labelled], values[labelled]) for labelled in (has_disease, ~has_disease)
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
