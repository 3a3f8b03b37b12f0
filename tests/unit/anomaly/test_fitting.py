"""Forests that are grown tree by tree for their scores alone."""

import numpy as np
import pytest

from server.anomaly.fitting import fit_and_score, fit_parts
from tests.unit.anomaly.patients import real_patients, small_training


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("max_samples", [4, 16, 100])
def test_a_forest_grown_tree_by_tree_scores_as_scikit_learns_own(seed: int, max_samples: int) -> None:
    patients = real_patients()
    settings = small_training().model_copy(update={"random_state": seed, "max_samples": max_samples})
    fitted_on, scored = patients.frame(patients.disease_free[:120]), patients.frame(patients.disease_free[120:])
    preprocessor, forest = fit_parts(fitted_on, settings)
    expected = -forest.score_samples(preprocessor.transform(scored))
    np.testing.assert_allclose(fit_and_score(fitted_on, scored, settings), expected, rtol=0, atol=1e-12)
