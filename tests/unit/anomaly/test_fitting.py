"""Forests that are grown tree by tree for their scores alone."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from server.anomaly.calibration import every_pattern
from server.anomaly.dataset import frame_of
from server.anomaly.fitting import average_path_length, fit_parts, grow_parts, raw_scores, score_patterns
from tests.support.patients import real_patients, small_training

PATTERNS = every_pattern()[::73]
"""29 of the 2,048 missingness patterns, the first of them without any gap."""


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (2, 1), (16, 4.6955), (256, 10.2448)])
def test_the_average_path_length_is_that_of_the_paper(n: int, expected: float) -> None:
    assert average_path_length(n) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("seed", "max_samples", "patients"), [(0, 4, 120), (1, 16, 120), (12345, 100, 120), (3, 64, 30)]
)
def test_a_forest_grown_tree_by_tree_is_scikit_learns_own_also_of_fewer_patients_than_a_tree_takes(
    seed: int, max_samples: int, patients: int
) -> None:
    dataset = real_patients()
    settings = small_training().model_copy(update={"random_state": seed, "max_samples": max_samples})
    fitted_on, others = dataset.frame(dataset.disease_free[:patients]), dataset.values[dataset.disease_free[120:]]
    preprocessor, trees = grow_parts(fitted_on, settings)
    factors = preprocessor.fit_transform(fitted_on)
    forest = IsolationForest(n_estimators=50, max_samples=min(max_samples, patients), random_state=seed).fit(factors)
    expected = -forest.score_samples(preprocessor.transform(frame_of(others)))
    np.testing.assert_allclose(
        raw_scores(trees, preprocessor.transform(frame_of(others))), expected, rtol=0, atol=1e-12
    )


def test_the_scores_of_blanked_patients_are_scikit_learns_pattern_by_pattern() -> None:
    dataset, settings = real_patients(), small_training()
    fitted_on, others = dataset.frame(dataset.disease_free[:120]), dataset.values[dataset.disease_free[120:]]
    preprocessor, forest = fit_parts(fitted_on, settings)
    blanked = [frame_of(np.where(pattern, np.nan, others)) for pattern in PATTERNS]
    expected = [-forest.score_samples(preprocessor.transform(patients)) for patients in blanked]
    grown, kept = grow_parts(fitted_on, settings)[1], [estimator.tree_ for estimator in forest.estimators_]
    for trees in (grown, kept):
        found = score_patterns(trees, preprocessor, others, PATTERNS)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert len(np.unique(expected, axis=0)) > len(PATTERNS) / 2  # the patterns were put to the test
