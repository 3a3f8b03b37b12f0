"""The score of an isolation forest by walking its trees, in arrays and without the explainer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray, IndexArray
from server.anomaly.fitting import Tree, average_path_length, node_lengths


class ForestScorer:
    """All trees of a forest laid side by side, so that one step of the walk is a few array operations.

    It gives what ``IsolationForest.score_samples`` gives, sign turned, in a fiftieth of the time for one patient.
    ``path_length_scale`` is c(n) of equation 2, and ``base_value`` log2 of the score at the mean path length of the
    samples that the trees were grown on.
    """

    def __init__(self, forest: IsolationForest) -> None:
        trees: list[Tree] = [estimator.tree_ for estimator in forest.estimators_]
        nodes = max(tree.node_count for tree in trees)
        self._roots: IndexArray = np.arange(len(trees)) * nodes
        self._depth: int = max(tree.max_depth for tree in trees)
        self.path_length_scale = average_path_length(forest.max_samples_)
        # A leaf leads to itself, so that every walk can be as long as the deepest.
        self._feature = _flat([np.maximum(tree.feature, 0) for tree in trees], nodes)
        self._threshold = _flat([tree.threshold for tree in trees], nodes)
        self._left = _flat([_or_itself(tree.children_left) for tree in trees], nodes) + np.repeat(self._roots, nodes)
        self._right = _flat([_or_itself(tree.children_right) for tree in trees], nodes) + np.repeat(self._roots, nodes)
        self._length = _flat([node_lengths(tree) for tree in trees], nodes)
        self.base_value = -float(np.mean([_expected_path_length(tree) for tree in trees])) / self.path_length_scale

    def raw_scores(self, factors: FloatArray) -> FloatArray:
        """Return the raw scores (0 to 1), shape (n,), of patients of shape (n, 8).

        Liu, Ting and Zhou (2008), equation 2. Values are compared as 32-bit floats, as scikit-learn does it.
        """
        values = factors.astype(np.float32).astype(np.float64)
        rows = np.arange(len(values))[:, np.newaxis]
        places = np.broadcast_to(self._roots, (len(values), self._roots.size))
        for _ in range(self._depth):
            goes_left = values[rows, self._feature[places]] <= self._threshold[places]
            places = np.where(goes_left, self._left[places], self._right[places])
        scores: FloatArray = 2.0 ** (-self._length[places].mean(axis=1) / self.path_length_scale)
        return scores


def _flat(by_tree: Sequence[NDArray[Any]], nodes: int) -> NDArray[Any]:
    """Put the nodes of all trees into one array, each tree taking the room of the largest."""
    flat = np.zeros((len(by_tree), nodes), dtype=by_tree[0].dtype)
    for row, values in zip(flat, by_tree, strict=True):
        row[: values.size] = values
    return flat.ravel()


def _or_itself(children: IndexArray) -> IndexArray:
    return np.where(children < 0, np.arange(children.size), children)


def _expected_path_length(tree: Tree) -> float:
    is_leaf = tree.children_left < 0
    return float(np.average(node_lengths(tree)[is_leaf], weights=tree.n_node_samples[is_leaf]))
