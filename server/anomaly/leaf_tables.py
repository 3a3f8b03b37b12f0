"""Shapley values of a forest, worked out once for every leaf and every way a patient can stand to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray, IndexArray
from server.anomaly.fitting import Tree, node_lengths
from server.anomaly.preprocessing import FACTORS


@dataclass(frozen=True)
class _Condition:
    """What a path asks of one factor, ``above < x <= up_to``, and the share of the tree's samples that fulfil it.

    The share is of those that reached the splits by this factor.
    """

    above: float = -np.inf
    up_to: float = np.inf
    share: float = 1.0


@dataclass(frozen=True)
class _Leaf:
    path_length: float
    conditions: Mapping[int, _Condition]


class LeafTables:
    """The path-dependent Shapley values of a forest's mean path length, by looking them up.

    They are those of TreeSHAP (Lundberg et al. 2020, *From local explanations to global understanding with explainable
    AI for trees*), in a fraction of its time for small trees. A coalition's worth is a sum over leaves: the path length
    times a factor for each condition on the way there, which is 1 or 0 for a known value that fulfils it or does not,
    and the share of the samples that did for an unknown one. A leaf's Shapley values therefore depend on nothing but
    which of its k conditions a patient fulfils. There are 2**k ways, and k is at most the depth of the tree.
    """

    def __init__(self, forest: IsolationForest) -> None:
        leaves = sorted(
            (leaf for estimator in forest.estimators_ for leaf in _leaves(estimator.tree_) if leaf.conditions),
            key=lambda leaf: len(leaf.conditions),
        )
        depth = max((len(leaf.conditions) for leaf in leaves), default=0)
        shape = depth, len(leaves)
        # A leaf with fewer conditions than others gets some that nobody fulfils.
        self._factor: IndexArray = np.zeros(shape, dtype=np.intp)
        self._above = np.full(shape, np.inf, dtype=np.float32)
        self._up_to = np.full(shape, -np.inf, dtype=np.float32)
        for place, leaf in enumerate(leaves):
            for row, (factor, condition) in enumerate(leaf.conditions.items()):
                self._factor[row, place] = factor
                self._above[row, place] = _rounded_down(condition.above)
                self._up_to[row, place] = _rounded_down(condition.up_to)
        self._table = np.concatenate([np.zeros((0, len(FACTORS))), *_tables(leaves)]) / len(forest.estimators_)
        sizes = [2 ** len(leaf.conditions) for leaf in leaves]
        self._bit = np.arange(depth, dtype=np.uint8)[:, np.newaxis]  # no more than eight: a factor has one condition
        self._each = np.ones(len(leaves))
        self._first: IndexArray = np.concatenate([[0], np.cumsum(sizes, dtype=np.intp)[:-1]])[: len(leaves)]

    def shapley_values(self, factors: FloatArray) -> FloatArray:
        """Return the Shapley value of each factor in steps of path length, shape (n, 8) as given.

        Values are compared as 32-bit floats, as scikit-learn does it.
        """
        return np.array([self._of_one(patient) for patient in factors.astype(np.float32)]).reshape(factors.shape)

    def _of_one(self, patient: NDArray[np.float32]) -> FloatArray:
        values = patient.take(self._factor)
        fulfilled = (values > self._above) & (values <= self._up_to)
        places = self._first + np.bitwise_or.reduce(fulfilled.view(np.uint8) << self._bit)
        summed: FloatArray = self._each @ self._table.take(places, axis=0)
        return summed


def _leaves(tree: Tree) -> Iterator[_Leaf]:
    lengths = node_lengths(tree)
    samples = tree.n_node_samples
    ways: list[tuple[int, Mapping[int, _Condition]]] = [(0, {})]
    while ways:
        node, met = ways.pop()
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == right:
            yield _Leaf(float(lengths[node]), met)
            continue
        factor, threshold = int(tree.feature[node]), float(tree.threshold[node])
        so_far = met.get(factor, _Condition())
        for child, above, up_to in (
            (left, so_far.above, min(so_far.up_to, threshold)),
            (right, max(so_far.above, threshold), so_far.up_to),
        ):
            share = so_far.share * float(samples[child] / samples[node])
            ways.append((child, {**met, factor: _Condition(above, up_to, share)}))


def _tables(leaves: Sequence[_Leaf]) -> Iterator[FloatArray]:
    """Return the Shapley values of each leaf, one row for each set of fulfilled conditions, shape (rows, 8)."""
    for size in sorted({len(leaf.conditions) for leaf in leaves}):
        alike = [leaf for leaf in leaves if len(leaf.conditions) == size]
        shares = np.array([[condition.share for condition in leaf.conditions.values()] for leaf in alike])
        lengths = np.array([leaf.path_length for leaf in alike])
        factors = np.array([list(leaf.conditions) for leaf in alike])
        table = np.zeros((len(alike), 2**size, len(FACTORS)))
        for place, row in np.ndindex(2**size, size):
            fulfilled = [float(place >> bit & 1) for bit in range(size)]
            values = lengths * _shapley_value(row, fulfilled, shares)
            table[np.arange(len(alike)), place, factors[:, row]] = values
        yield table.reshape(-1, len(FACTORS))


def _shapley_value(player: int, fulfilled: Sequence[float], shares: FloatArray) -> FloatArray:
    """Return the Shapley value of one condition of each leaf, shape (n,), for shares of shape (n, k).

    Shapley (1953): the worth of a coalition is the product over the conditions of whether the patient fulfils it, or,
    outside the coalition, of the share of the samples that did.
    """
    others = [number for number in range(len(fulfilled)) if number != player]
    total = np.zeros(len(shares))
    for coalition in range(2 ** len(others)):
        inside = [number for bit, number in enumerate(others) if coalition >> bit & 1]
        outside = [number for number in others if number not in inside]
        orders = factorial(len(inside)) * factorial(len(outside))
        known = float(np.prod([fulfilled[number] for number in inside]))
        total += orders * known * np.prod(shares[:, outside], axis=1)
    return total / factorial(len(fulfilled)) * (fulfilled[player] - shares[:, player])


def _rounded_down(threshold: float) -> Any:
    """Return the largest 32-bit float that is not above a threshold: such floats compare with both alike."""
    near = np.float32(threshold)
    return np.nextafter(near, np.float32(-np.inf)) if float(near) > threshold else near
