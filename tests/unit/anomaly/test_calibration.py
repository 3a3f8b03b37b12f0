"""The calibrated anomaly score against values worked out by hand, also for what was not measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from common.messages import RiskLevel, Thresholds
from server.anomaly.calibration import Calibration, CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, FloatArray

PATTERNS = np.array([np.zeros(13, dtype=np.bool_), np.isin(COLUMNS, ["thallium_scan"])])


@pytest.mark.parametrize(
    ("known", "scale"),
    [
        ([*np.linspace(0.1, 0.5, 27), 0.60, 0.61, 0.68], (0.60 + 0.61 + 0.68) / 3 - 0.60),
        ([0.3, *[0.5] * 40], 0.2),
        ([0.5, 0.5], 0.5),
    ],
)
def test_beyond_the_last_score_the_tail_is_as_wide_as_the_top_tenth_or_else_the_whole(
    known: list[float], scale: float
) -> None:
    expected = 1 - np.exp(-0.1 / scale) / (len(known) + 1)
    assert Calibration(known).score(max(known) + 0.1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 24, 164, 1000])
def test_the_interval_of_a_score_is_the_exact_one_of_its_rank(n: int) -> None:
    scores = np.linspace(0.3, 0.7, n)
    for k in {0, 1, n // 3, n - 1, n}:
        low, high = Calibration(scores.tolist()).interval(scores[k - 1] if k else 0.2)
        exact = binomtest(k, n).proportion_ci(method="exact")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)
        assert low <= Calibration(scores.tolist()).score(scores[k - 1] if k else 0.2) <= high


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=40), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_higher_raw_score_never_gets_a_lower_anomaly_score(known: list[float], one: float, other: float) -> None:
    lower, higher = map(Calibration(known).score, sorted((one, other)))
    assert 0 <= lower <= higher <= 1


@pytest.mark.parametrize(
    ("anomaly_score", "level"), [(0.7999, "Low"), (0.8, "Medium"), (0.9499, "Medium"), (0.95, "High")]
)
def test_a_threshold_belongs_to_the_level_above_it(anomaly_score: float, level: str) -> None:
    assert risk_level(anomaly_score, Thresholds(medium=0.8, high=0.95)) is RiskLevel(level)


def patients(*ages: float, gaps: tuple[str, ...] = ()) -> FloatArray:
    """Patients of some ages with gaps, shape (n, 13)."""
    values = np.zeros((len(ages), 13))
    values[:, COLUMNS.index("age")] = ages
    values[:, np.isin(COLUMNS, gaps)] = np.nan
    return values


def test_the_scores_of_patterns_and_age_bands_are_those_worked_out_by_hand() -> None:
    scores = np.array([[0.4, 0.5, 0.6, 0.7], [0.3, 0.4, 0.4, 0.6]])
    calibration = CalibrationByPattern.fit(PATTERNS, scores, patients(54, 70, 40, 55), by_age=True)
    assert calibration.patients == (2, 2)
    # Fully measured, the younger have 0.4 and 0.6, and the older 0.5 and 0.7; without a scan, 0.3 and 0.4, 0.4 and 0.6.
    assert calibration.score(patients(54, 55), np.array([0.5, 0.5])) == pytest.approx([1.5 / 3, 1 / 3], abs=1e-12)
    blanked = patients(54, 55, gaps=("thallium_scan",))
    assert calibration.score(blanked, np.array([0.4, 0.4])) == pytest.approx([2 / 3, 1 / 3], abs=1e-12)
    for gaps in (("cholesterol",), ("age",)):  # never another pattern's score
        with pytest.raises(LookupError):
            calibration.score(patients(50, gaps=gaps), np.array([0.5]))


@pytest.mark.parametrize(("complete", "compared"), [(19, 19), (18, 48)])
def test_who_lacks_a_field_is_left_out_where_it_was_measured_as_long_as_enough_remain(
    complete: int, compared: int
) -> None:
    """Thirty calibration patients without scan have low scores; the others, fully measured, high ones."""
    values = np.concatenate([patients(*[60] * complete), patients(*[60] * 30, gaps=("thallium_scan",))])
    scores = np.concatenate([np.linspace(0.6, 0.8, complete), np.linspace(0.3, 0.5, 30)])
    calibration = CalibrationByPattern.fit(PATTERNS, np.stack([scores, scores]), values, by_age=False)
    asked = np.concatenate([patients(50), patients(50, gaps=("thallium_scan",))])
    measured, lacking = calibration.score(asked, np.array([0.55, 0.55]))
    assert measured == pytest.approx(Calibration(np.sort(scores)[-compared:].tolist()).score(0.55))
    assert lacking == pytest.approx(Calibration(scores.tolist()).score(0.55))
