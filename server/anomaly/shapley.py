"""Score and Shapley values of a forest, worked out once for every way a patient can stand to a tree."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, prod

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray, IndexArray
from server.anomaly.fitting import Tree, average_path_length, node_lengths

# Cells of one piece of a tree: trees of 16 samples stay whole, and larger ones take neither minutes nor gigabytes.
# Cutting a tree's leaves in two is exact, since the Shapley values of a sum are the sums of the Shapley values.
MAX_CELLS = 1024

# The table of a block has a row for each threshold and a column for each piece: it grows with their square.
_PIECES_IN_A_BLOCK = 1024

# So many take 2 MB for the numbers of their cells.
_PATIENTS_AT_ONCE = 1000


class CellTables:
    """The raw score of an isolation forest and its exact path-dependent Shapley values, by looking them up.

    The values are those of TreeSHAP (Lundberg et al. 2020, *From local explanations to global understanding with
    explainable AI for trees*). A tree's thresholds cut the factors into cells, 132 on average for trees of 16 samples,
    and all patients of a cell have the same path length and Shapley values. What is looked up is in log2 units of the
    raw score, and a short path is an anomaly: the sign is turned here, once. ``base_value`` is log2 of the score at the
    mean path length of the samples that the trees were grown on.
    """

    def __init__(self, forest: IsolationForest) -> None:
        trees = [_leaves_of(estimator.tree_) for estimator in forest.estimators_]
        per_step = -1 / average_path_length(forest.max_samples_) / len(trees)
        self.base_value = fsum(leaves.lengths @ leaves.shares.prod(axis=1) for leaves in trees) * per_step
        pieces = [piece for leaves in trees for piece in leaves.pieces()]
        starts = range(0, len(pieces), _PIECES_IN_A_BLOCK)
        self._blocks = [_Block(pieces[start : start + _PIECES_IN_A_BLOCK], per_step) for start in starts]

    def look_up(self, factors: Sequence[float]) -> tuple[list[float], float]:
        """Return what each factor contributes to log2 of the raw score, in their order, and log2 of the raw score.

        Positive pulls toward anomalous, and the base value and all contributions add up to log2 of the raw score, which
        is 2 ** (-mean path length / c), the opposite of scikit-learn's ``score_samples``.
        """
        total = self._blocks[0].look_up(factors)
        for block in self._blocks[1:]:
            total += block.look_up(factors)
        *contributions, log2_score = total.tolist()
        return contributions, log2_score

    def look_up_all(self, factors: FloatArray) -> Iterator[tuple[list[float], float]]:
        """Yield the same for each of many patients of shape (n, 8), equal to rounding, at a third of the cost."""
        for rows in np.split(factors, range(_PATIENTS_AT_ONCE, len(factors), _PATIENTS_AT_ONCE)):
            total = np.sum([block.look_up_all(rows) for block in self._blocks], axis=0)
            for *contributions, log2_score in total.tolist():
                yield contributions, log2_score


@dataclass(frozen=True)
class _Leaves:
    """Leaves of a tree, and what is on the way there.

    A leaf asks ``above < x <= up_to`` of each factor; ``shares`` are the shares of the tree's samples that fulfilled
    it, of those that reached the splits by this factor. All three have the shape (n, 8), and the path ``lengths`` (n,).
    """

    above: FloatArray
    up_to: FloatArray
    shares: FloatArray
    lengths: FloatArray

    @cached_property
    def thresholds(self) -> list[list[float]]:
        """What divides the cells of these leaves, ascending, for each factor."""
        bounds = np.concatenate([self.above, self.up_to]).T.tolist()
        return [sorted({*of_factor} - {-np.inf, np.inf}) for of_factor in bounds]

    @property
    def shape(self) -> list[int]:
        return [len(of_factor) + 1 for of_factor in self.thresholds]

    def pieces(self) -> Iterator["_Leaves"]:
        """Yield them whole, or in halves where they have too many cells."""
        if self.lengths.size == 1 or prod(self.shape) <= MAX_CELLS:
            yield self
            return
        for half in np.array_split(np.arange(self.lengths.size), 2):
            yield from _Leaves(self.above[half], self.up_to[half], self.shares[half], self.lengths[half]).pieces()

    def cells(self) -> FloatArray:
        """Return the Shapley values of the path length in each cell, and the path length, shape (cells, 9).

        A leaf adds its path length to a coalition's worth, times a number for each condition on the way there: 1 or 0
        for a known value that fulfills it or does not, and for an unknown one the share of the samples that did. In
        such a product the value of a player is the integral over t in (0, 1) of its gain times what the others are
        worth when each is known with probability t (Owen 1972, *Multilinear extensions of games*). That is a polynomial
        of degree 7 at most, for which four points of Gauss's quadrature are exact.
        """
        ends = np.meshgrid(*[[*of_factor, np.inf] for of_factor in self.thresholds], indexing="ij")
        cells = np.stack(ends, axis=-1).reshape(-1, 1, len(self.thresholds))
        is_fulfilled = (self.above < cells) & (cells <= self.up_to)
        gains = is_fulfilled - self.shares
        others = np.zeros_like(gains)
        for t, weight in _QUADRATURE:
            worth = self.shares + t * gains  # never zero, for some samples reached every leaf
            others += worth.prod(axis=2, keepdims=True) * weight / worth
        values = (gains * others * self.lengths[:, np.newaxis]).sum(axis=1)
        return np.column_stack([values, is_fulfilled.all(axis=2) @ self.lengths])


_QUADRATURE = [((point + 1) / 2, weight / 2) for point, weight in zip(*np.polynomial.legendre.leggauss(4), strict=True)]


class _Block:
    """The cells of many pieces, and the way there: eight binary searches, a sum of eight rows and a gather.

    A row for each rank that the value of a factor can have among the thresholds of the block holds, for each piece,
    what this factor adds to the number of the patient's cell.
    """

    def __init__(self, pieces: Sequence[_Leaves], per_step: float) -> None:
        *first, cells = np.cumsum([0, *[prod(piece.shape) for piece in pieces]]).tolist()
        self._cells = np.empty((cells, len(pieces[0].shape) + 1))
        self._first: IndexArray = np.array(first, dtype=np.intp)
        for start, piece in zip(first, pieces, strict=True):
            self._cells[start : start + prod(piece.shape)] = piece.cells() * per_step
        # A product with ones sums the rows in a fifth of the time that numpy's sum over an axis takes.
        self._each = np.ones(len(pieces))
        self._steps: list[tuple[list[float], NDArray[np.uint16]]] = []
        for factor in range(len(pieces[0].shape)):
            known = sorted({value for piece in pieces for value in piece.thresholds[factor]})
            steps = np.zeros((len(known) + 1, len(pieces)), dtype=np.uint16)
            # A piece's own threshold takes the patient one cell further: up to the next one the sum stays the same.
            for column, piece in enumerate(pieces):
                places = [bisect_left(known, value) + 1 for value in piece.thresholds[factor]]
                steps[places, column] = prod(piece.shape[factor + 1 :])
            # In place: a second table would for a moment take twice the memory.
            self._steps.append((known, np.cumsum(steps, axis=0, dtype=np.uint16, out=steps)))

    def look_up(self, factors: Sequence[float]) -> FloatArray:
        """Return the sums over the pieces of the nine numbers of a patient's cells, shape (9,)."""
        numbers = self._first.copy()
        for value, (known, steps) in zip(factors, self._steps, strict=True):
            # bisect and not numpy's search, which costs more than the rest for a single value.
            numbers += steps[bisect_left(known, value)]
        summed: FloatArray = self._each @ self._cells.take(numbers, axis=0)
        return summed

    def look_up_all(self, factors: FloatArray) -> FloatArray:
        """Return the same sums for patients of shape (n, 8), shape (n, 9)."""
        of_factors = zip(factors.T, self._steps, strict=True)
        numbers = sum(steps[np.searchsorted(known, values)] for values, (known, steps) in of_factors)
        summed = np.zeros((len(factors), self._cells.shape[1]))
        # Piece by piece: the cells of one stay in the processor's nearest cache for all patients.
        for first, of_piece in zip(self._first.tolist(), np.ascontiguousarray(numbers.T), strict=True):
            summed += self._cells[first:].take(of_piece, axis=0)
        return summed


def _leaves_of(tree: Tree) -> _Leaves:
    """Walk a tree from its root to its leaves."""
    left, right, factor, samples = tree.children_left, tree.children_right, tree.feature, tree.n_node_samples
    thresholds = _largest_to_the_left(tree.threshold)
    shape = tree.node_count, tree.n_features
    above, up_to, shares = np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape)
    is_leaf = left == right  # both are -1 there
    parents = [] if is_leaf[0] else [0]
    while parents:
        parent = parents.pop()
        for child, bound in ((left[parent], up_to), (right[parent], above)):
            for inherited in (above, up_to, shares):
                inherited[child] = inherited[parent]
            # What an earlier split by this factor left is narrowed: thresholds lie between values that got here.
            bound[child, factor[parent]] = thresholds[parent]
            shares[child, factor[parent]] *= samples[child] / samples[parent]
            if not is_leaf[child]:
                parents.append(child)
    return _Leaves(above[is_leaf], up_to[is_leaf], shares[is_leaf], node_lengths(tree)[is_leaf])


def _largest_to_the_left(thresholds: FloatArray) -> FloatArray:
    """Return the largest numbers that scikit-learn finds no larger than thresholds: it rounds to 32-bit floats first.

    These are the largest ones that round to a 32-bit float which is not above the threshold.
    """
    near = thresholds.astype(np.float32)
    below = np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
    middle = (below.astype(np.float64) + np.nextafter(below, np.float32(np.inf))) / 2
    largest: FloatArray = np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))
    return largest
