"""Scores and contributions are those of scikit-learn and shap, to the twelfth digit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shap
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray
from server.anomaly.detector import Detector
from server.anomaly.fitting import average_path_length
from server.anomaly.shapley import CellTables
from server.evaluation.folds import random_values


def factors_of(detector: Detector, patients: int) -> FloatArray:
    factors: FloatArray = detector.model.preprocessor.transform(random_values(patients, 5))
    return factors


def assert_exact(forest: IsolationForest, factors: FloatArray) -> None:
    """The contributions and log2 of the score, looked up one by one and together, are those of shap and sklearn."""
    tables, explainer = CellTables(forest), shap.TreeExplainer(forest)
    per_step = -1 / average_path_length(forest.max_samples_)
    rounded = factors.astype(np.float32)  # as scikit-learn rounds by itself, and shap does not
    expected = explainer.shap_values(rounded, check_additivity=False) * per_step
    log2_scores = np.log2(-forest.score_samples(factors))
    for found in (map(tables.look_up, factors.tolist()), tables.look_up_all(factors)):
        contributions, scores = zip(*found, strict=True)
        np.testing.assert_allclose(np.array(contributions), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(scores, log2_scores, rtol=0, atol=1e-12)
    assert tables.base_value == pytest.approx(float(np.ravel(explainer.expected_value)[0]) * per_step, abs=1e-12)


@pytest.mark.parametrize(("samples", "trees"), [(3, 30), (4, 1100), (16, 300), (64, 30)])
def test_they_are_those_of_scikit_learn_and_shap(detector: Detector, samples: int, trees: int) -> None:
    """Of random patients with gaps; 1,100 trees take two blocks, and those of 64 samples have too many cells each."""
    factors = factors_of(detector, 1001)
    forest = IsolationForest(n_estimators=trees, max_samples=samples, random_state=1).fit(factors[:200])
    assert_exact(forest, factors)


@pytest.mark.parametrize("nearest", [np.float32, np.float64])
def test_a_value_at_a_threshold_goes_the_way_scikit_learn_sends_it(detector: Detector, nearest: type) -> None:
    """Also those that only get to the other side of it when they are rounded to 32 bits."""
    forest = detector.model.forest
    tree = forest.estimators_[0].tree_
    factors = np.repeat(factors_of(detector, 1), 7, axis=0)
    below = np.nextafter(at := nearest(tree.threshold[0]), nearest(-np.inf))
    above = np.nextafter(at, nearest(np.inf))
    between = [(float(at) + float(other)) / 2 for other in (below, above)]
    beside = [np.nextafter(between[1], -np.inf), np.nextafter(between[1], np.inf)]
    factors[:, tree.feature[0]] = [below, at, above, *between, *beside]
    assert_exact(forest, factors)


def test_a_forest_that_splits_nobody_explains_nothing() -> None:
    alike = np.zeros((20, 8))
    forest = IsolationForest(n_estimators=5, max_samples=4, random_state=0).fit(alike)
    contributions, log2_score = CellTables(forest).look_up([1.0] * 8)
    assert contributions == [0] * 8
    assert log2_score == pytest.approx(-1)


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
