"""The figures that the README gives of drift: how often it errs, and how often it finds what there is."""

from collections.abc import Callable

import numpy as np
import pytest

from server.anomaly.dataset import COLUMNS, FloatArray
from server.anomaly.reference import reference_of
from tests.unit.anomaly.test_drift import DISEASE_FREE, THRESHOLDS, WITH_DISEASE, clinic, drawn, reference, told

pytestmark = pytest.mark.full

WINDOWS = 500


def found(name: str, patients: int, change: Callable[[FloatArray], None]) -> float:
    """Return the share of the windows of some patients, 46 % of them with disease, in which a change is told."""
    random, known = np.random.default_rng(patients), reference()
    told_in = 0
    for _ in range(WINDOWS):
        window = clinic(patients, 0.46, random)
        change(window)
        told_in += name in told(window, known)
    return told_in / WINDOWS


def higher_pressure(more: float) -> Callable[[FloatArray], None]:
    def change(window: FloatArray) -> None:
        window[:, COLUMNS.index("resting_bp")] += more

    return change


def fifth_not_measured(window: FloatArray) -> None:
    window[: len(window) // 5, COLUMNS.index("cholesterol")] = np.nan


def test_windows_of_the_reference_s_own_population_err_in_fewer_than_half_a_percent() -> None:
    random = np.random.default_rng(1)
    kinds = [(patients, disease_free) for patients in (100, 200, 1000) for disease_free in (25, 40, 150)]
    said = 0
    for patients, disease_free in kinds * WINDOWS:
        values = np.vstack([drawn(DISEASE_FREE, disease_free, random), drawn(WITH_DISEASE, disease_free, random)])
        known = reference_of(values, np.repeat([False, True], disease_free), THRESHOLDS)
        said += bool(told(clinic(patients, 0.5, random), known))
    assert said / (len(kinds) * WINDOWS) < 0.005


def test_a_fifth_not_measured_and_20_mm_hg_more_are_found_in_all_windows_of_100() -> None:
    assert found("cholesterol missing", 100, fifth_not_measured) == 1
    assert found("resting_bp", 100, higher_pressure(20)) == 1


def test_10_mm_hg_more_are_found_in_a_third_of_the_windows_of_100_and_three_fifths_of_those_of_200() -> None:
    assert found("resting_bp", 100, higher_pressure(10)) == pytest.approx(0.33, abs=0.07)
    assert found("resting_bp", 200, higher_pressure(10)) == pytest.approx(0.62, abs=0.07)
