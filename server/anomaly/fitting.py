"""Growing the trees of an isolation forest, and the raw scores they give."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn import config_context
from sklearn.ensemble import IsolationForest
from sklearn.tree import ExtraTreeRegressor
from sklearn.utils.random import sample_without_replacement

from config.settings import TrainingSettings
from server.anomaly.dataset import BoolArray, FloatArray
from server.anomaly.preprocessing import OneSidedRiskFactors

Tree = Any
"""scikit-learn's own tree structure, ``sklearn.tree.Tree``."""

_MAX_SEED = np.iinfo(np.int32).max


@cache
def average_path_length(n: int) -> float:
    """Return the average path length of an unsuccessful search in a binary search tree of n points.

    Liu, Ting and Zhou (2008), *Isolation Forest*, equation 1.
    """
    if n <= 1:
        return 0.0
    if n == 2:  # noqa: PLR2004
        return 1.0
    return float(2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n)


def fit_parts(disease_free: FloatArray, settings: TrainingSettings) -> tuple[OneSidedRiskFactors, IsolationForest]:
    """Fit preprocessor and forest on disease-free patients of shape (n, 13)."""
    preprocessor = OneSidedRiskFactors()
    forest = IsolationForest(
        n_estimators=settings.n_estimators, max_samples=settings.max_samples, random_state=settings.random_state
    )
    return preprocessor, forest.fit(preprocessor.fit_transform(disease_free))


def grow_parts(disease_free: FloatArray, settings: TrainingSettings) -> tuple[OneSidedRiskFactors, Iterator[Tree]]:
    """Return what ``fit_parts`` does, the forest as trees that are grown while they are iterated over; see ``grow``."""
    preprocessor = OneSidedRiskFactors()
    factors = preprocessor.fit_transform(disease_free)
    grown = grow(factors, trees=settings.n_estimators, samples=settings.max_samples, seed=settings.random_state)
    return preprocessor, grown


def fit_and_score(disease_free: FloatArray, others: FloatArray, settings: TrainingSettings) -> FloatArray:
    """Return the raw scores (0 to 1), shape (n,), that a forest fitted on some patients gives to others."""
    preprocessor, trees = grow_parts(disease_free, settings)
    return raw_scores(trees, preprocessor.transform(others))


def score_patterns(
    trees: Iterable[Tree], preprocessor: OneSidedRiskFactors, others: FloatArray, patterns: BoolArray
) -> FloatArray:
    """Return the raw scores, shape (p, n), of others of shape (n, 13), blanked by p patterns of shape (p, 13)."""
    blanked = np.where(patterns[:, np.newaxis, :], np.nan, others).reshape(-1, others.shape[1])
    return raw_scores(trees, preprocessor.transform(blanked)).reshape(len(patterns), len(others))


def raw_scores(trees: Iterable[Tree], factors: FloatArray) -> FloatArray:
    """Return the raw scores (0 to 1), shape (n,), of trees that were each grown on as many samples.

    Liu, Ting and Zhou (2008), equation 2.
    """
    # As scikit-learn compares them, and each once: with values taken away or made typical, few patients differ.
    rows, places = np.unique(factors.astype(np.float32), axis=0, return_inverse=True)
    total, number, samples = np.zeros(len(rows)), 0, 0
    for tree in trees:
        # Trees come one by one and are not kept: of a forest that only scores, the sum is all that is needed.
        total += node_lengths(tree)[tree.apply(rows)]
        number, samples = number + 1, int(tree.n_node_samples[0])
    scores: FloatArray = 2.0 ** (-total / number / average_path_length(samples))
    return scores[places]


def node_lengths(tree: Tree) -> FloatArray:
    """Return the path length that ends in each node, shape (nodes,): its depth, and what its patients would add."""
    unsplit = np.array([average_path_length(n) for n in tree.n_node_samples])
    lengths: FloatArray = tree.compute_node_depths() - 1 + unsplit
    return lengths


def grow(fitted_on: FloatArray, *, trees: int, samples: int, seed: int) -> Iterator[Tree]:
    """Grow the trees of an isolation forest on the rows of a matrix: those of ``IsolationForest``, one by one."""
    # A shortcut that re-enacts scikit-learn's random stream, because IsolationForest spends nine tenths of its time on
    # making random generators and on inspecting estimators: 0.92 s of processor time for 1,000 trees against 0.10 s
    # here. Training grows 120 such forests and would take 130 s of processor time in place of 35 s: over a minute on
    # two cores. A test holds both to the same scores, so a scikit-learn that draws otherwise shows at once.
    rows = fitted_on.astype(np.float32)
    first = RandomState(seed)
    targets = first.uniform(size=len(rows))
    first.seed(seed)
    drawn = min(samples, len(rows))
    depth = int(np.ceil(np.log2(max(drawn, 2))))
    # The two generators are seeded again for each tree: making one takes a hundred times as long.
    sampling, splitting = RandomState(), RandomState()
    for tree_seed in first.randint(_MAX_SEED, size=trees):
        sampling.seed(tree_seed)
        splitting.seed(sampling.randint(_MAX_SEED))
        sampling.seed(tree_seed)
        # The first draw orders the features: it is not used, and moves the stream to where the second begins.
        sample_without_replacement(rows.shape[1], rows.shape[1], random_state=sampling)
        sample = sample_without_replacement(len(rows), drawn, random_state=sampling)
        tree = ExtraTreeRegressor(max_features=1, splitter="random", max_depth=depth, random_state=splitting)
        # Checking the same parameters a thousand times would take longer than the trees.
        with config_context(skip_parameter_validation=True):
            tree.fit(rows[sample], targets[sample], check_input=False)
        yield tree.tree_
