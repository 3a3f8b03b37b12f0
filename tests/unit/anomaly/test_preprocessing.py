"""The eight one-sided factors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from common.errors import InvalidDataError
from common.patient import PatientRecord
from server.anomaly.dataset import COLUMNS, matrix_of
from server.anomaly.preprocessing import FACTORS, OneSidedRiskFactors, directed_factors
from tests.support.patients import real_patients, records

PATIENT = dict(zip(COLUMNS, [60, 1, 4, 150, 260, 1, 2, 120, 1, 2.5, 2, 3, 7], strict=True))


@pytest.fixture(scope="module")
def fitted() -> OneSidedRiskFactors:
    dataset = real_patients()
    return OneSidedRiskFactors().fit(dataset.frame(dataset.disease_free))


@pytest.mark.parametrize(
    ("changes", "factor", "expected"),
    [
        ({"sex": 0}, "age_and_sex", 60),
        ({"resting_bp": 100, "cholesterol": 150}, "risk_factors", 2),
        ({"st_depression": -2, "st_slope": 1}, "st_segment", 0),
        ({"thallium_scan": 3}, "thallium_scan", 0),
        ({"thallium_scan": 6}, "thallium_scan", 1),
    ],
)
def test_only_the_risky_side_of_a_finding_counts(changes: dict[str, float], factor: str, expected: float) -> None:
    (factors,) = directed_factors(matrix_of([PatientRecord.check(PATIENT | changes)]))
    assert factors[list(FACTORS).index(factor)] == pytest.approx(expected)


def test_typical_values_are_medians_of_the_disease_free_and_half_of_these_have_nothing_of_a_factor(
    fitted: OneSidedRiskFactors,
) -> None:
    typical = dict(zip(COLUMNS, fitted.typical_, strict=True))
    assert (typical["age"], typical["cholesterol"], typical["max_heart_rate"]) == (52, 234.5, 161)
    transformed = fitted.transform(real_patients().frame(real_patients().disease_free))
    assert ((transformed == 0).mean(axis=0) >= 0.5).all()


def test_the_typical_value_of_a_coded_field_is_a_code() -> None:
    frame = pd.DataFrame([PATIENT | {"thallium_scan": scan} for scan in (3, 7)])
    assert OneSidedRiskFactors().fit(frame).typical_[COLUMNS.index("thallium_scan")] == 3


@given(record=records)
def test_every_possible_patient_has_finite_factors_from_zero_up(
    fitted: OneSidedRiskFactors, record: PatientRecord
) -> None:
    factors = fitted.factors(fitted.impute(matrix_of([record])))
    assert np.isfinite(factors).all()
    assert (factors >= 0).all()


@pytest.mark.parametrize("columns", [COLUMNS[:-1], [*COLUMNS, "extra"], [COLUMNS[1], COLUMNS[0], *COLUMNS[2:]]])
def test_other_columns_are_refused(fitted: OneSidedRiskFactors, columns: list[str]) -> None:
    with pytest.raises(ValueError, match="expected the columns age, sex"):
        fitted.transform(pd.DataFrame(np.ones((2, len(columns))), columns=columns))


def test_a_field_measured_in_no_disease_free_patient_is_refused_by_its_column() -> None:
    frame = pd.DataFrame([PATIENT, PATIENT]).assign(thallium_scan=np.nan)
    with pytest.raises(InvalidDataError, match="Column Thallium was measured in too few"):
        OneSidedRiskFactors().fit(frame)
