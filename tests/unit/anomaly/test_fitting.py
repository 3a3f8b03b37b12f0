"""Forests that are grown tree by tree for their scores alone."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from server.anomaly.calibration import every_pattern
from server.anomaly.dataset import FloatArray, frame_of
from server.anomaly.fitting import fit_and_score, fit_and_score_patterns, fit_parts, score_with_patterns
from server.anomaly.preprocessing import OneSidedRiskFactors
from tests.support.patients import real_patients, small_training

PATTERNS = every_pattern()[::73]
"""29 of the 2,048 missingness patterns, the first of them without any gap."""


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("max_samples", [4, 16, 100])
def test_a_forest_grown_tree_by_tree_scores_as_scikit_learns_own(seed: int, max_samples: int) -> None:
    patients = real_patients()
    settings = small_training().model_copy(update={"random_state": seed, "max_samples": max_samples})
    fitted_on, scored = patients.frame(patients.disease_free[:120]), patients.frame(patients.disease_free[120:])
    preprocessor, forest = fit_parts(fitted_on, settings)
    expected = -forest.score_samples(preprocessor.transform(scored))
    np.testing.assert_allclose(fit_and_score(fitted_on, scored, settings), expected, rtol=0, atol=1e-12)


def of_scikit_learn(forest: IsolationForest, preprocessor: OneSidedRiskFactors, others: FloatArray) -> FloatArray:
    """What scikit-learn says of patients blanked one pattern at a time, shape (p, n)."""
    scores = []
    for pattern in PATTERNS:
        blanked = others.copy()
        blanked[:, pattern] = np.nan
        scores.append(-forest.score_samples(preprocessor.transform(frame_of(blanked))))
    return np.array(scores)


@pytest.mark.parametrize("max_samples", [4, 16, 100])
def test_the_scores_of_blanked_patients_are_scikit_learns_pattern_by_pattern(max_samples: int) -> None:
    patients = real_patients()
    settings = small_training().model_copy(update={"random_state": 3, "max_samples": max_samples})
    fitted_on, others = patients.frame(patients.disease_free[:120]), patients.values[patients.disease_free[120:]]
    preprocessor, forest = fit_parts(fitted_on, settings)
    expected = of_scikit_learn(forest, preprocessor, others)
    found = fit_and_score_patterns(fitted_on, others, PATTERNS, settings)
    assert found.shape == (len(PATTERNS), 44)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    again = score_with_patterns(preprocessor, forest, others, PATTERNS)
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-12)
    assert len(np.unique(expected, axis=0)) > len(PATTERNS) / 2  # the patterns were put to the test


def test_a_forest_of_fewer_patients_than_a_tree_takes_is_scored_for_as_many_as_there_were() -> None:
    patients = real_patients()
    settings = small_training().model_copy(update={"max_samples": 64})
    fitted_on, others = patients.frame(patients.disease_free[:30]), patients.values[patients.disease_free[30:50]]
    preprocessor = OneSidedRiskFactors()
    forest = IsolationForest(n_estimators=50, max_samples=30, random_state=0).fit(preprocessor.fit_transform(fitted_on))
    found = fit_and_score_patterns(fitted_on, others, PATTERNS, settings)
    np.testing.assert_allclose(found, of_scikit_learn(forest, preprocessor, others), rtol=0, atol=1e-12)
