"""The calibrated anomaly score against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.messages import RiskLevel, Thresholds
from server.anomaly.calibration import Calibration, risk_level

raw_scores = st.floats(0.01, 1)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0.1, 0.125),
        (0.2, 0.25),
        (0.3, 0.375),
        (0.4, 0.5),
        (0.5, 0.625),
        (0.6, 0.75),
        (0.8, 1 - math.exp(-0.2 / 0.4) / 4),
    ],
)
def test_a_score_is_interpolated_within_and_keeps_order_at_both_ends(raw: float, expected: float) -> None:
    assert Calibration.fit([0.4, 0.2, 0.6]).score(raw) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("raw", "expected"), [(0.2, 0.2), (0.4, 0.8), (0.3, 0.5), (0.1, 0.1)])
def test_ties_take_the_upper_rank(raw: float, expected: float) -> None:
    assert Calibration.fit([0.2, 0.4, 0.4, 0.4]).score(raw) == pytest.approx(expected, abs=1e-12)


def test_the_tail_is_as_wide_as_the_top_tenth_lies_above_its_smallest() -> None:
    calibration = Calibration.fit([*np.linspace(0.1, 0.5, 27), 0.60, 0.61, 0.68])
    assert calibration.tail_scale == pytest.approx((0.60 + 0.61 + 0.68) / 3 - 0.60)
    expected = 1 - math.exp(-0.02 / calibration.tail_scale) / 31
    assert calibration.score(0.70) == pytest.approx(expected, abs=1e-12)


def test_a_tail_of_equal_scores_falls_back_on_the_whole_spread() -> None:
    assert Calibration.fit([0.3, *[0.5] * 40]).tail_scale == pytest.approx(0.2)
    assert Calibration.fit([0.5, 0.5]).tail_scale == pytest.approx(0.5)


@given(st.lists(raw_scores, min_size=1, max_size=40), raw_scores, raw_scores)
def test_a_higher_raw_score_never_gets_a_lower_anomaly_score(known: list[float], one: float, other: float) -> None:
    lower, higher = map(Calibration.fit(known).score, sorted((one, other)))
    assert 0 <= lower <= higher <= 1


def test_scores_above_every_calibration_score_keep_their_order() -> None:
    calibration = Calibration.fit([0.3, 0.4, 0.45])
    scores = [calibration.score(raw) for raw in (0.45, 0.5, 0.6, 0.7)]
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("unusable", [[], [0.0, 0.4], [math.nan]])
def test_a_calibration_set_without_positive_scores_is_refused(unusable: list[float]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Calibration.fit(unusable)


@pytest.mark.parametrize(
    ("anomaly_score", "level"),
    [
        (0.0, RiskLevel.LOW),
        (0.7999, RiskLevel.LOW),
        (0.8, RiskLevel.MEDIUM),
        (0.9499, RiskLevel.MEDIUM),
        (0.95, RiskLevel.HIGH),
        (1.0, RiskLevel.HIGH),
    ],
)
def test_a_threshold_belongs_to_the_level_above_it(anomaly_score: float, level: RiskLevel) -> None:
    assert risk_level(anomaly_score, Thresholds(medium=0.8, high=0.95)) is level
