"""Score and Shapley values of a forest, worked out once for every way a patient can stand to a tree."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from math import prod
from typing import Any, NamedTuple

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


class CellTables:
    """The raw score of an isolation forest and its exact path-dependent Shapley values, by looking them up.

    The values are those of TreeSHAP (Lundberg et al. 2020, *From local explanations to global understanding with
    explainable AI for trees*). A tree's thresholds cut the factors into cells, 132 on average for trees of 16 samples,
    and all patients of a cell have the same path length and Shapley values. What is looked up is in log2 units of the
    raw score, and a short path is an anomaly: the sign is turned here, once. ``base_value`` is log2 of the score at the
    mean path length of the samples that the trees were grown on.
    """

    def __init__(self, forest: IsolationForest) -> None:
        leaves = _leaves_of([estimator.tree_ for estimator in forest.estimators_])
        per_step = -1 / average_path_length(forest.max_samples_) / len(forest.estimators_)
        self.base_value = float(leaves.lengths @ leaves.shares.prod(axis=1)) * per_step
        pieces = _pieces_of(leaves)
        self._blocks: list[_Block] = []
        while block := list(islice(pieces, _PIECES_IN_A_BLOCK)):
            self._blocks.append(_Block(block, per_step))

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


class _Leaves(NamedTuple):
    """Leaves of a forest, those of a tree side by side: its number, and what is on the way there.

    A leaf asks ``above < x <= up_to`` of each factor; ``shares`` are the shares of the tree's samples that fulfilled
    it, of those that reached the splits by this factor. All three have the shape (n, 8).
    """

    tree: NDArray[Any]
    above: NDArray[Any]
    up_to: NDArray[Any]
    shares: NDArray[Any]
    lengths: NDArray[Any]

    def thresholds(self) -> list[list[float]]:
        """Return what divides the cells of these leaves, ascending, for each factor."""
        bounds = np.concatenate([self.above, self.up_to]).T.tolist()
        return [sorted({*of_factor} - {-np.inf, np.inf}) for of_factor in bounds]


class _Piece(NamedTuple):
    """A tree, or a part of its leaves, and the thresholds that cut the factors into its cells."""

    leaves: _Leaves
    thresholds: Sequence[Sequence[float]]

    @property
    def shape(self) -> list[int]:
        return [len(of_factor) + 1 for of_factor in self.thresholds]

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
        _, above, up_to, shares, lengths = self.leaves
        is_fulfilled = (above < cells) & (cells <= up_to)
        gains = is_fulfilled - shares
        others = np.zeros_like(gains)
        for t, weight in _QUADRATURE:
            worth = shares + t * gains  # never zero, for some samples reached every leaf
            others += worth.prod(axis=2, keepdims=True) * weight / worth
        values = (gains * others * lengths[:, np.newaxis]).sum(axis=1)
        return np.column_stack([values, is_fulfilled.all(axis=2) @ lengths])


_QUADRATURE = [((point + 1) / 2, weight / 2) for point, weight in zip(*np.polynomial.legendre.leggauss(4), strict=True)]


class _Block:
    """The cells of many pieces, and the way there: eight binary searches, a sum of eight rows and a gather.

    A row for each rank that the value of a factor can have among the thresholds of the block holds, for each piece,
    what this factor adds to the number of the patient's cell.
    """

    def __init__(self, pieces: Sequence[_Piece], per_step: float) -> None:
        *first, cells = np.cumsum([0, *[prod(piece.shape) for piece in pieces]]).tolist()
        self._cells = np.empty((cells, len(pieces[0].shape) + 1))
        self._first: IndexArray = np.array(first, dtype=np.intp)
        for start, piece in zip(first, pieces, strict=True):
            self._cells[start : start + prod(piece.shape)] = piece.cells() * per_step
        # A product with ones sums the rows in a fifth of the time that numpy's sum over an axis takes.
        self._each = np.ones(len(pieces))
        by_factor = zip(*[piece.thresholds for piece in pieces], strict=True)
        self._thresholds = [sorted({value for of_piece in of_factor for value in of_piece}) for of_factor in by_factor]
        *self._starts, rows = np.cumsum([0, *[len(known) + 1 for known in self._thresholds]]).tolist()
        # Filled in place: tables put together afterwards would for a moment take twice the memory.
        self._steps = np.zeros((rows, len(pieces)), dtype=np.uint16)
        for factor, (start, known) in enumerate(zip(self._starts, self._thresholds, strict=True)):
            table = self._steps[start : start + len(known) + 1]
            # A piece's own threshold takes the patient one cell further: up to the next one the sum stays the same.
            for column, piece in enumerate(pieces):
                places = [bisect_left(known, value) + 1 for value in piece.thresholds[factor]]
                table[places, column] = prod(piece.shape[factor + 1 :])
            np.cumsum(table, axis=0, dtype=np.uint16, out=table)

    def look_up(self, factors: Sequence[float]) -> FloatArray:
        """Return the sums over the pieces of the nine numbers of a patient's cells, shape (9,)."""
        # bisect and not numpy's search: an operation on an array of eight costs more than all the rest of it.
        found = zip(self._starts, self._thresholds, factors, strict=True)
        rows = [start + bisect_left(known, value) for start, known, value in found]
        numbers = np.add.reduce(self._steps.take(rows, axis=0), axis=0, dtype=np.uint16)
        summed: FloatArray = self._each @ self._cells.take(self._first + numbers, axis=0)
        return summed


def _pieces_of(leaves: _Leaves) -> Iterator[_Piece]:
    """Cut the forest into trees, and a tree of too many cells into halves."""
    places = np.split(np.arange(leaves.tree.size), np.flatnonzero(np.diff(leaves.tree)) + 1)
    places.reverse()
    while places:
        place = places.pop()
        some = _Leaves(*(part[place] for part in leaves))
        piece = _Piece(some, some.thresholds())
        if place.size > 1 and prod(piece.shape) > MAX_CELLS:
            places += np.array_split(place, 2)
        else:
            yield piece


def _leaves_of(trees: Sequence[Tree]) -> _Leaves:
    """Walk all trees at once, one level after the other."""
    counts = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *counts[:-1]])
    left, right, factor, samples = (
        np.concatenate([getattr(tree, name) for tree in trees])
        for name in ("children_left", "children_right", "feature", "n_node_samples")
    )
    is_leaf = left == right  # both are -1 there
    left, right = (children + np.repeat(roots, counts) for children in (left, right))
    thresholds = _largest_to_the_left(np.concatenate([tree.threshold for tree in trees]))
    shape = sum(counts), trees[0].n_features
    above, up_to, shares = np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape)
    parents = roots[~is_leaf[roots]]
    while parents.size:
        for children, bound in ((left[parents], up_to), (right[parents], above)):
            for inherited in (above, up_to, shares):
                inherited[children] = inherited[parents]
            # What an earlier split by this factor left is narrowed: thresholds lie between values that got here.
            bound[children, factor[parents]] = thresholds[parents]
            shares[children, factor[parents]] *= samples[children] / samples[parents]
        parents = np.concatenate([left[parents], right[parents]])
        parents = parents[~is_leaf[parents]]
    tree_of_node = np.repeat(np.arange(len(trees)), counts)
    lengths = np.concatenate([node_lengths(tree) for tree in trees])
    return _Leaves(*(part[is_leaf] for part in (tree_of_node, above, up_to, shares, lengths)))


def _largest_to_the_left(thresholds: FloatArray) -> FloatArray:
    """Return the largest numbers that scikit-learn finds no larger than thresholds: it rounds to 32-bit floats first.

    These are the largest ones that round to a 32-bit float which is not above the threshold.
    """
    near = thresholds.astype(np.float32)
    below = np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
    middle = (below.astype(np.float64) + np.nextafter(below, np.float32(np.inf))) / 2
    largest: FloatArray = np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))
    return largest
