"""From 13 measured fields to eight one-sided factors: the higher, the riskier, and never below zero."""

from collections.abc import Mapping
from statistics import median, median_low
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, FloatArray

FACTORS: Mapping[str, tuple[str, ...]] = {
    "age_and_sex": ("age", "sex"),
    "chest_pain": ("chest_pain_type",),
    "risk_factors": ("resting_bp", "cholesterol", "fasting_blood_sugar_high", "resting_ecg"),
    "heart_rate_reserve": ("max_heart_rate", "age"),
    "exercise_angina": ("exercise_angina",),
    "st_segment": ("st_depression", "st_slope"),
    "major_vessels": ("major_vessels",),
    "thallium_scan": ("thallium_scan",),
}
"""The eight factors in column order, and the fields each is made of."""

MEMBERSHIP = np.array([[name in fields for fields in FACTORS.values()] for name in COLUMNS])
"""Whether a field enters a factor, shape (13, 8)."""

_YEARS_FOR_MEN = 10
_BP_FROM, _BP_SCALE = 120, 20
_CHOLESTEROL_FROM, _CHOLESTEROL_SCALE = 200, 40
_HEART_RATE_AT_BIRTH = 220


def directed_factors(values: FloatArray) -> FloatArray:
    """Turn complete values of shape (..., 13) into the eight directed factors, shape (..., 8); higher is riskier.

    The expected maximal heart rate is 220 less the age (Fox et al. 1971).
    """
    age, sex, pain, bp, cholesterol, sugar, ecg, heart_rate, angina, depression, slope, vessels, thallium = np.moveaxis(
        values, -1, 0
    )
    blood_pressure = np.maximum(bp - _BP_FROM, 0) / _BP_SCALE
    lipids = np.maximum(cholesterol - _CHOLESTEROL_FROM, 0) / _CHOLESTEROL_SCALE
    factors = (
        age + _YEARS_FOR_MEN * sex,
        pain,
        blood_pressure + lipids + sugar + (ecg > 0),
        1 - heart_rate / (_HEART_RATE_AT_BIRTH - age),
        angina,
        np.maximum(depression, 0) + (slope - 1),
        vessels,
        _thallium_grade(thallium),
    )
    return np.stack(factors, axis=-1)


def _thallium_grade(scan: FloatArray) -> FloatArray:
    """Grade normal (3), fixed defect (6) and reversible defect (7) as 0, 1, 2."""
    return np.searchsorted([3.0, 6.0, 7.0], scan).astype(np.float64)


class OneSidedRiskFactors(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Impute what was not measured, and keep of each directed factor only what exceeds its disease-free median.

    Fitted on disease-free patients only. ``typical_`` (13,) holds the fields' medians, the lower one for coded fields
    so that it is a code, ``typical_factors_`` (8,) the directed factors of a patient who has all of them, and
    ``factor_medians_`` (8,) the medians of the patients' own directed factors.
    """

    def fit(self, patients: pd.DataFrame, _labels: None = None) -> Self:
        """Learn the medians of disease-free patients under the wire names of their fields, in order.

        Raises
        ------
        InvalidDataError
            When a field was measured in none of them.
        """
        values = _checked_values(patients)
        refuse_unmeasured(values)
        self.typical_: FloatArray = np.array([_typical(name, values[:, i]) for i, name in enumerate(COLUMNS)])
        self.typical_factors_: FloatArray = directed_factors(self.typical_)
        self.factor_medians_: FloatArray = np.median(directed_factors(self.impute(values)), axis=0)
        return self

    def transform(self, patients: pd.DataFrame) -> FloatArray:
        """Return the one-sided factors, shape (n, 8), of patients under the wire names of their fields."""
        return self.factors(self.impute(_checked_values(patients)))

    def get_feature_names_out(self, _input_features: None = None) -> NDArray[np.object_]:
        return np.asarray(list(FACTORS), dtype=object)

    def impute(self, values: FloatArray) -> FloatArray:
        """Put the typical value where none was measured; shape (n, 13) as given."""
        return np.where(np.isnan(values), self.typical_, values)

    def factors(self, complete: FloatArray) -> FloatArray:
        """Return the one-sided factors, shape (n, 8), of imputed values of shape (n, 13), without a frame's cost."""
        return np.maximum(directed_factors(complete) - self.factor_medians_, 0)

    def field_effects(self, complete: FloatArray) -> FloatArray:
        """Tell how far each field alone takes each directed factor from that of the typical patient.

        Shape (n, 13, 8): field after field, the typical patient gets that one value of the imputed patient. Zero where
        the field does not enter the factor; positive where it makes the factor riskier.
        """
        one_changed = np.where(np.eye(len(COLUMNS), dtype=bool), complete[:, :, np.newaxis], self.typical_)
        return directed_factors(one_changed) - self.typical_factors_


def _checked_values(patients: pd.DataFrame) -> FloatArray:
    if list(patients.columns) != COLUMNS:
        raise ValueError(f"expected the columns {', '.join(COLUMNS)}, in this order")
    return patients.to_numpy(dtype=np.float64)


def refuse_unmeasured(values: FloatArray) -> None:
    """Raise InvalidDataError when a field, in values of shape (n, 13), was measured in none of the patients."""
    never = [FIELDS[name].csv_column for i, name in enumerate(COLUMNS) if np.isnan(values[:, i]).all()]
    if never:
        raise InvalidDataError(
            f"Column {never[0]} was measured in too few disease-free patients: add patients in whom it was measured."
        )


def _typical(name: str, column: FloatArray) -> float:
    measured: list[float] = column[~np.isnan(column)].tolist()
    return median_low(measured) if FIELDS[name].codes else median(measured)
