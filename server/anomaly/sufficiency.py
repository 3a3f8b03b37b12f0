"""Whether what was measured of a patient is enough for a risk level: whether it tells disease from its absence."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from common.patient import FIELDS
from server.anomaly.calibration import BITS, code_of, codes_of, every_pattern
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, rows_of

# Fixed before looking: acceptable discrimination by Hosmer and Lemeshow (2000), *Applied Logistic Regression*, section
# 5.2.4. The lower end of the interval has to reach it, so a pattern that only may be acceptable is not enough.
ACCEPTABLE_AUROC: Final = 0.70

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
