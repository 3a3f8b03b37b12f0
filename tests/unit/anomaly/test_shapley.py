"""Scores and contributions are those of scikit-learn and shap, and worked out a third time, coalition by coalition."""

from itertools import chain, combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import shap
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray
from server.anomaly.detector import Detector
from server.anomaly.fitting import average_path_length
from server.anomaly.preprocessing import FACTORS
from server.anomaly.shapley import CellTables
from server.evaluation.folds import random_values
from tests.support.patients import real_patients

PLAYERS = range(len(FACTORS))
COALITIONS = [frozenset(c) for size in range(len(FACTORS) + 1) for c in combinations(PLAYERS, size)]


def path_lengths(tree: Any, factors: FloatArray, node: int = 0, depth: int = 0) -> FloatArray:
    """The expected path length for each coalition and patient, shape (256, n).

    A factor in the coalition takes the patient's own way; any other splits by the patients the tree was grown on.
    """
    left, right = tree.children_left[node], tree.children_right[node]
    if left == right:
        return np.full((len(COALITIONS), len(factors)), depth + average_path_length(int(tree.n_node_samples[node])))
    on_the_left, on_the_right = (path_lengths(tree, factors, child, depth + 1) for child in (left, right))
    weights = tree.n_node_samples[[left, right]] / tree.n_node_samples[node]
    split_by = tree.feature[node]
    is_known = np.array([split_by in coalition for coalition in COALITIONS])[:, np.newaxis]
    own_way = np.where(factors[:, split_by] <= tree.threshold[node], on_the_left, on_the_right)
    return np.where(is_known, own_way, weights[0] * on_the_left + weights[1] * on_the_right)


def shapley_values(worth: FloatArray) -> FloatArray:
    """Shapley (1953), by its formula: from the worth of each coalition, shape (256, n), to (n, 8)."""
    row_of = {coalition: row for row, coalition in enumerate(COALITIONS)}
    values = np.zeros((worth.shape[1], len(FACTORS)))
    for coalition, player in chain.from_iterable(((c, p) for p in PLAYERS if p not in c) for c in COALITIONS):
        orders = factorial(len(coalition)) * factorial(len(FACTORS) - len(coalition) - 1)
        joined = worth[row_of[coalition | {player}]] - worth[row_of[coalition]]
        values[:, player] += joined * orders / factorial(len(FACTORS))
    return values


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


def test_the_contributions_by_factor_are_the_shapley_values_from_the_base_value_to_the_score(
    detector: Detector,
) -> None:
    model, patients = detector.model, real_patients().values[:50]
    factors = model.preprocessor.transform(patients).astype(np.float32).astype(np.float64)
    lengths: FloatArray = np.mean([path_lengths(tree.tree_, factors) for tree in model.forest.estimators_], axis=0)
    worth = -lengths / average_path_length(model.forest.max_samples_)
    tables = CellTables(model.forest)
    contributions, log2_scores = zip(*tables.look_up_all(model.preprocessor.transform(patients)), strict=True)
    np.testing.assert_allclose(np.array(contributions), shapley_values(worth), rtol=0, atol=1e-12)
    assert np.ptp(contributions, axis=0).min() > 1e-3  # every factor was put to the test
    np.testing.assert_allclose(worth[0], tables.base_value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(worth[-1], log2_scores, rtol=0, atol=1e-12)
