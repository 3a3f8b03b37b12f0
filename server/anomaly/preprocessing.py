"""From 13 measured fields to eight one-sided factors: the higher, the riskier, and never below zero."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median, median_low
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, FloatArray

_BP_FROM, _BP_SCALE = 120, 20
_CHOLESTEROL_FROM, _CHOLESTEROL_SCALE = 200, 40
_FIXED_DEFECT, _REVERSIBLE_DEFECT = 6, 7


class Factor(NamedTuple):
    """A directed factor, the higher, the riskier: the fields it is made of, and how, in words and as a function.

    ``directed`` takes the fields in order, each a number or an array with one number per patient.
    """

    fields: tuple[str, ...]
    definition: str
    directed: Callable[..., Any] = lambda value: value


def _risk_factors(bp: Any, cholesterol: Any, sugar: Any, ecg: Any) -> Any:
    # Products with a comparison, not max(): they take a number and an array alike.
    blood_pressure = (bp > _BP_FROM) * (bp - _BP_FROM) / _BP_SCALE
    lipids = (cholesterol > _CHOLESTEROL_FROM) * (cholesterol - _CHOLESTEROL_FROM) / _CHOLESTEROL_SCALE
    return blood_pressure + lipids + sugar + (ecg > 0)


def _thallium_grade(scan: Any) -> Any:
    return 1.0 * (scan >= _FIXED_DEFECT) + (scan >= _REVERSIBLE_DEFECT)


# The constants are set by hand: fitting them would need patients with disease, and none takes part in training.
FACTORS: Mapping[str, Factor] = {
    "age_and_sex": Factor(("age", "sex"), "age + 10 × sex", lambda age, sex: age + 10 * sex),
    "chest_pain": Factor(("chest_pain_type",), "chest_pain_type"),
    "risk_factors": Factor(
        ("resting_bp", "cholesterol", "fasting_blood_sugar_high", "resting_ecg"),
        "max(resting_bp − 120, 0) / 20 + max(cholesterol − 200, 0) / 40 + fasting_blood_sugar_high + "
        "(1 if resting_ecg > 0, else 0)",
        _risk_factors,
    ),
    "heart_rate_reserve": Factor(
        ("max_heart_rate", "age"),
        "1 − max_heart_rate / (220 − age)",
        lambda rate, age: 1 - rate / (220 - age),  # the expected maximum is 220 less the age (Fox et al. 1971)
    ),
    "exercise_angina": Factor(("exercise_angina",), "exercise_angina"),
    "st_segment": Factor(
        ("st_depression", "st_slope"),
        "max(st_depression, 0) + st_slope − 1",
        lambda mm, slope: (mm > 0) * mm + (slope - 1),
    ),
    "major_vessels": Factor(("major_vessels",), "major_vessels"),
    "thallium_scan": Factor(("thallium_scan",), "0 if thallium_scan is 3, 1 if 6, 2 if 7", _thallium_grade),
}
"""The eight factors in column order."""

PLACES = [[COLUMNS.index(name) for name in factor.fields] for factor in FACTORS.values()]
"""The columns that each factor is made of."""

LOWER_WITH_DISEASE = frozenset({"max_heart_rate"})
"""The fields of which a lower value is the riskier one."""


def directed(fields: Sequence[Any]) -> list[Any]:
    """Turn the 13 complete fields, each a number or an array, into the eight directed factors; higher is riskier."""
    factors = zip(FACTORS.values(), PLACES, strict=True)
    return [factor.directed(*[fields[place] for place in places]) for factor, places in factors]


def directed_factors(values: FloatArray) -> FloatArray:
    """Turn complete values of shape (n, 13) into the eight directed factors, shape (n, 8); higher is riskier."""
    return np.stack(directed([*values.T]), axis=1)


class OneSidedRiskFactors(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Impute what was not measured, and keep of each directed factor only what exceeds its disease-free median.

    Fitted on disease-free patients only. ``typical_`` (13,) holds the fields' medians, the lower one for coded fields
    so that it is a code, and ``factor_medians_`` (8,) the medians of the patients' own directed factors.
    """

    def fit(self, values: FloatArray, _labels: None = None) -> Self:
        """Learn the medians of disease-free patients of shape (n, 13).

        Raises
        ------
        InvalidDataError
            When a field was measured in none of them.
        """
        refuse_unmeasured(values)
        self.typical_: FloatArray = np.array([_typical(name, values[:, i]) for i, name in enumerate(COLUMNS)])
        self.factor_medians_: FloatArray = np.median(directed_factors(self.impute(values)), axis=0)
        return self

    def transform(self, values: FloatArray) -> FloatArray:
        """Return the one-sided factors, shape (n, 8), of patients of shape (n, 13)."""
        # Below the disease-free median there is no anomaly: uncut, an unusually healthy patient would stand out.
        return np.maximum(directed_factors(self.impute(values)) - self.factor_medians_, 0)

    def impute(self, values: FloatArray) -> FloatArray:
        """Put the typical value where none was measured; shape (n, 13) as given."""
        return np.where(np.isnan(values), self.typical_, values)


def refuse_unmeasured(values: FloatArray) -> None:
    """Raise InvalidDataError when a field, in values of shape (n, 13), was measured in none of the patients."""
    never = [FIELDS[name].csv_column for i, name in enumerate(COLUMNS) if np.isnan(values[:, i]).all()]
    if never:
        raise InvalidDataError(
            f"{', '.join(never)}: measured in too few disease-free patients. Add patients in whom it was measured, or "
            "keep the forest of patients in whom it was: train_model.py --recalibrate FILE."
        )


def _typical(name: str, column: FloatArray) -> float:
    measured: list[float] = column[~np.isnan(column)].tolist()
    return median_low(measured) if FIELDS[name].codes else median(measured)
