"""What is looked up in the leaves is what the package shap works out, for forests of all kinds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shap
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray
from server.anomaly.detector import Detector
from server.anomaly.leaf_tables import LeafTables
from server.evaluation.folds import random_values
from server.registry.known_answers import tree_shap_contributions


def factors_of(detector: Detector, patients: int) -> FloatArray:
    preprocessor = detector.model.preprocessor
    return preprocessor.factors(preprocessor.impute(random_values(patients, 5)))


@pytest.mark.parametrize("samples", [3, 4, 16, 64])
def test_they_are_the_values_of_tree_shap(detector: Detector, samples: int) -> None:
    factors = factors_of(detector, 300)
    forest = IsolationForest(n_estimators=30, max_samples=samples, random_state=1).fit(factors[:200])
    expected = shap.TreeExplainer(forest).shap_values(factors, check_additivity=False)
    np.testing.assert_allclose(LeafTables(forest).shapley_values(factors), expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 0.01


def test_a_value_at_a_threshold_goes_the_way_scikit_learn_sends_it(detector: Detector) -> None:
    forest = detector.model.forest
    tree = forest.estimators_[0].tree_
    factors = np.repeat(factors_of(detector, 1), 3, axis=0)
    at = np.float32(tree.threshold[0])
    factors[:, tree.feature[0]] = [np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))]
    expected = shap.TreeExplainer(forest).shap_values(factors, check_additivity=False)
    np.testing.assert_allclose(LeafTables(forest).shapley_values(factors), expected, rtol=0, atol=1e-12)


def test_a_forest_that_splits_nobody_explains_nothing() -> None:
    alike = np.zeros((20, 8))
    forest = IsolationForest(n_estimators=5, max_samples=4, random_state=0).fit(alike)
    assert LeafTables(forest).shapley_values(alike).tolist() == alike.tolist()


def test_the_known_answers_are_shaps_own(detector: Detector) -> None:
    values = random_values(100, 3)
    told = tree_shap_contributions(detector.model, values)
    kept = detector.manifest.known_answers[0]
    assert list(kept.contributions) == list(detector.assess([kept.record])[0].contributions)
    complete = detector.model.preprocessor.impute(values)
    raw = detector.model.forest.score_samples(detector.model.preprocessor.factors(complete))
    np.testing.assert_allclose(kept.base_value + told.sum(axis=1), np.log2(-raw), rtol=0, atol=1e-9)


def test_a_server_loads_and_explains_without_the_package_shap(detector_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from server.registry.artifact import load_detector\n"
        "detector = load_detector(Path(sys.argv[1]))\n"
        "said = detector.assess([detector.manifest.known_answers[-1].record])[0]\n"
        "assert said.contributions and detector.model.explains\n"
        "print('shap' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(detector_dir)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
