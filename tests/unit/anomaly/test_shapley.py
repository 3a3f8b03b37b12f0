"""Contributions are Shapley values: worked out a second time, coalition by coalition, from the trees alone."""

from itertools import chain, combinations
from math import factorial
from typing import Any

import numpy as np
import pytest

from server.anomaly.attribution import ForestExplainer, divide_among_fields
from server.anomaly.dataset import FloatArray, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.fitting import average_path_length
from server.anomaly.preprocessing import FACTORS
from tests.support.patients import real_patients
from tests.unit.anomaly.test_detector import real_records

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


@pytest.fixture(scope="module")
def worth(detector: Detector) -> FloatArray:
    """Log2 of the score each coalition would give to each of 50 patients."""
    model = detector.model
    factors = model.preprocessor.transform(real_patients().frame(np.arange(50))).astype(np.float32).astype(np.float64)
    trees = [tree.tree_ for tree in model.forest.estimators_]
    mean_length: FloatArray = np.mean([path_lengths(tree, factors) for tree in trees], axis=0)
    return -mean_length / average_path_length(model.forest.max_samples_)


def test_the_contributions_by_factor_are_the_shapley_values(detector: Detector, worth: FloatArray) -> None:
    explainer = ForestExplainer(detector.model.forest)
    contributions = explainer.contributions(detector.model.preprocessor.transform(real_patients().frame(np.arange(50))))
    assert contributions.shape == (50, 8)
    np.testing.assert_allclose(contributions, shapley_values(worth), rtol=0, atol=1e-9)
    assert np.ptp(contributions, axis=0).min() > 1e-3  # every factor was put to the test


def test_nobodys_coalition_is_the_base_value_and_everybodys_the_score(detector: Detector, worth: FloatArray) -> None:
    answers = detector.assess(real_records()[:50])
    np.testing.assert_allclose(worth[0], [said.base_value for said in answers], rtol=0, atol=1e-9)
    np.testing.assert_allclose(worth[-1], np.log2([said.raw_score for said in answers]), rtol=0, atol=1e-9)


def test_what_a_patient_is_told_are_the_shapley_values_divided_among_the_fields(
    detector: Detector, worth: FloatArray
) -> None:
    records, preprocessor = real_records()[:50], detector.model.preprocessor
    effects = preprocessor.field_effects(preprocessor.impute(matrix_of(records)))
    expected = divide_among_fields(shapley_values(worth), effects)
    told = [list(said.contributions.values()) for said in detector.assess(records)]
    np.testing.assert_allclose(told, expected, rtol=0, atol=1e-9)
