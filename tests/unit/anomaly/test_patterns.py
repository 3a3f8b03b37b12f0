"""Calibration for what was measured."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from common.patient import FIELDS
from server.anomaly.calibration import Calibration, CalibrationByPattern, every_pattern
from server.anomaly.dataset import COLUMNS, FloatArray, frame_of
from server.anomaly.detector import Detector
from server.anomaly.fitting import fit_and_score, fit_and_score_patterns
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.splits import calibration_folds, evaluation_folds
from server.evaluation.training import calibrated, pattern_scores
from tests.support.patients import real_patients, small_training, typical_patient

THREE_TESTS = ("st_slope", "major_vessels", "thallium_scan")
AGE = COLUMNS.index("age")


def columns(names: Sequence[str]) -> list[int]:
    return [COLUMNS.index(name) for name in names]


def blanked(values: FloatArray, names: Sequence[str]) -> FloatArray:
    """The patients with some fields not measured."""
    changed = values.copy()
    changed[:, columns(names)] = np.nan
    return changed


def test_of_patients_with_gaps_as_many_are_flagged_as_designed_and_half_as_many_without_the_gaps_calibration() -> None:
    """Over the folds, of all 164 disease-free patients while held out, slope, vessels and thallium not measured."""
    dataset, settings = real_patients(), small_training().model_copy(update={"evaluation_folds": 5})
    patterns = np.array([[False] * 13, [name in THREE_TESTS for name in COLUMNS]])
    by_gaps, by_whole = [], []
    for fold in evaluation_folds(dataset, settings):
        held_out = fold.scored[~dataset.has_disease[fold.scored]]
        preprocessor = OneSidedRiskFactors()
        forest = IsolationForest(n_estimators=50, max_samples=16, random_state=0).fit(
            preprocessor.fit_transform(dataset.frame(fold.fitted_on))
        )
        values = blanked(dataset.values[held_out], THREE_TESTS)
        raw_scores = -forest.score_samples(preprocessor.transform(frame_of(values)))
        fits = calibration_folds(fold.fitted_on, settings)
        scores = [pattern_scores(dataset, fit, patterns, settings) for fit in fits]
        calibration = calibrated(dataset, fits, scores, patterns, settings)
        imputed = np.where(np.isnan(values), preprocessor.typical_, values)
        measured = ~np.isnan(dataset.values[held_out][:, columns([n for n in COLUMNS if n not in THREE_TESTS])])
        assert measured.all()
        by_gaps.append(calibration.score(values, raw_scores))
        by_whole.append(calibration.score(imputed, raw_scores))
    gaps, whole = np.concatenate(by_gaps), np.concatenate(by_whole)
    assert gaps.size == 164
    assert 0.02 < (gaps >= 0.95).mean() < 0.08
    assert 0.14 < (gaps >= 0.8).mean() < 0.26
    assert (whole >= 0.95).mean() < 0.7 * (gaps >= 0.95).mean()
    assert (whole >= 0.8).mean() < 0.7 * (gaps >= 0.8).mean()


def test_every_pattern_is_there_once_and_age_and_sex_are_always_measured() -> None:
    patterns = every_pattern()
    optional = [name for name in COLUMNS if name not in {"age", "sex"}]
    assert patterns.shape == (2048, 13)
    found = {frozenset(np.array(COLUMNS)[pattern].tolist()) for pattern in patterns}
    assert found == {frozenset(c) for size in range(12) for c in combinations(optional, size)}
    assert not patterns[0].any()


def row(age: float, *gaps: str) -> FloatArray:
    """A patient of some age, shape (1, 13), with gaps."""
    values = np.zeros((1, 13))
    values[0, AGE] = age
    return blanked(values, gaps)


def of_ages(*ages: float) -> FloatArray:
    return np.concatenate([row(age) for age in ages])


WITHOUT_SCAN = np.array([name == "thallium_scan" for name in COLUMNS])
PATTERNS = np.array([np.zeros(13, dtype=bool), WITHOUT_SCAN])


@pytest.fixture
def by_hand() -> CalibrationByPattern:
    """Four patients of 40, 54, 55 and 70 years: all measured, and with the scan blanked, where two scores are tied."""
    scores = np.array([[0.4, 0.5, 0.6, 0.7], [0.3, 0.4, 0.4, 0.6]])
    return CalibrationByPattern.fit(PATTERNS, scores, of_ages(40, 54, 55, 70), by_age=False)


def test_the_scores_of_two_patterns_are_those_worked_out_by_hand(by_hand: CalibrationByPattern) -> None:
    values = np.concatenate([row(50), row(50, "thallium_scan"), row(80), row(50, "thallium_scan"), row(30)])
    raw_scores = np.array([0.5, 0.5, 0.65, 0.4, 0.2])
    assert by_hand.score(values, raw_scores) == pytest.approx([2 / 5, 3.5 / 5, 3.5 / 5, 3 / 5, 0.5 / 5], abs=1e-12)
    assert by_hand.patients == (4,)


def test_by_age_each_band_has_the_patients_of_its_own_the_older_from_55_on() -> None:
    scores = np.array([[0.4, 0.5, 0.6, 0.7], [0.3, 0.4, 0.4, 0.6]])
    calibration = CalibrationByPattern.fit(PATTERNS, scores, of_ages(54, 70, 40, 55), by_age=True)
    assert calibration.patients == (2, 2)
    values = np.concatenate([row(54), row(55), row(54, "thallium_scan"), row(55, "thallium_scan")])
    # measured, younger: 0.4 and 0.6, older: 0.5 and 0.7; blanked, younger: 0.3 and 0.4, older: 0.4 and 0.6
    expected = [1.5 / 3, 1 / 3, 2 / 3, 1 / 3]
    assert calibration.score(values, np.array([0.5, 0.5, 0.4, 0.4])) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("complete", "compared"), [(19, 19), (18, 48)])
def test_who_lacks_a_field_is_left_out_where_it_was_measured_as_long_as_enough_remain(
    complete: int, compared: int
) -> None:
    """Thirty calibration patients without scan have low scores; the others, fully measured, high ones."""
    values = np.concatenate([row(60)] * complete + [row(60, "thallium_scan")] * 30)
    scores = np.concatenate([np.linspace(0.6, 0.8, complete), np.linspace(0.3, 0.5, 30)])
    calibration = CalibrationByPattern.fit(PATTERNS, np.stack([scores, scores]), values, by_age=False)
    measured, lacking = calibration.score(np.concatenate([row(50), row(50, "thallium_scan")]), np.array([0.55, 0.55]))
    assert measured == pytest.approx(Calibration.fit(np.sort(scores)[-compared:]).score(0.55))
    assert lacking == pytest.approx(Calibration.fit(scores).score(0.55))


def test_gaps_in_the_calibration_patients_do_not_raise_the_alarms_of_the_fully_measured() -> None:
    """Slope, vessels and thallium not measured in half of the calibration patients, over twenty random halves."""
    patients = real_patients().values[real_patients().disease_free]
    patients = patients[~np.isnan(patients).any(axis=1)]
    alarms = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(patients))
        fitted, calibrating, newcomers = np.array_split(patients[order], 3)
        calibrating[: len(calibrating) // 2] = blanked(calibrating[: len(calibrating) // 2], THREE_TESTS)
        settings = small_training()
        patterns = np.array([[False] * 13, [name in THREE_TESTS for name in COLUMNS]])
        scores = fit_and_score_patterns(frame_of(fitted), calibrating, patterns, settings)
        calibration = CalibrationByPattern.fit(patterns, scores, calibrating, by_age=False)
        raw_scores = fit_and_score(frame_of(fitted), frame_of(newcomers), settings)
        alarms.append((calibration.score(newcomers, raw_scores) >= 0.8).mean())
    assert np.mean(alarms) == pytest.approx(0.2, abs=0.04)


def test_a_pattern_it_was_not_fitted_for_is_an_error_and_never_another_s_score(by_hand: CalibrationByPattern) -> None:
    for gaps in (("cholesterol",), ("cholesterol", "thallium_scan"), ("age",)):
        with pytest.raises(LookupError):
            by_hand.score(row(50, *gaps), np.array([0.5]))


def test_the_order_of_patients_does_not_matter(by_hand: CalibrationByPattern) -> None:
    values = np.concatenate([row(50), row(50, "thallium_scan")] * 3)
    raw_scores = np.linspace(0.3, 0.8, 6)
    backwards = by_hand.score(values[::-1], raw_scores[::-1])[::-1]
    assert by_hand.score(values, raw_scores).tolist() == backwards.tolist()
    assert by_hand.score(values[:0], raw_scores[:0]).shape == (0,)


def test_no_calibration_is_given_out_for_no_patients() -> None:
    empty = CalibrationByPattern(PATTERNS, [np.empty((2, 0))])
    with pytest.raises(ValueError, match="above zero"):
        empty.score(row(50), np.array([0.5]))


@given(pattern=st.integers(0, 2047), raw=st.lists(st.floats(0.05, 1), min_size=2, max_size=2))
def test_within_a_pattern_the_more_anomalous_never_score_lower(
    detector: Detector, pattern: int, raw: list[float]
) -> None:
    values = np.where(every_pattern()[pattern], np.nan, np.full((2, 13), 50.0))
    lower, higher = detector.model.calibration.score(values, np.array(sorted(raw)))
    assert 0 <= lower <= higher <= 1


def test_each_pattern_has_a_calibration_of_all_disease_free_patients(detector: Detector) -> None:
    (scores,) = detector.model.calibration.scores
    assert scores.shape == (2048, 164)
    assert (np.diff(np.nan_to_num(scores, nan=1), axis=1) >= 0).all()
    complete = ~np.isnan(real_patients().values[real_patients().disease_free]).any(axis=1)
    assert np.isfinite(scores[0]).sum() == complete.sum() < 164 == np.isfinite(scores[-1]).sum()
    whole = Calibration.fit(scores[0][np.isfinite(scores[0])])
    patient = dict(zip(FIELDS, real_patients().values[0].tolist(), strict=True))
    (said,) = detector.assess([typical_patient(patient)])
    assert said.anomaly_score == whole.score(said.raw_score)
