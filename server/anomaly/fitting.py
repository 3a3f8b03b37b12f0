"""Fitting one forest; small, because every worker process of a training imports it."""

from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.tree import ExtraTreeRegressor
from sklearn.utils.random import sample_without_replacement

from config.settings import TrainingSettings
from server.anomaly.dataset import FloatArray
from server.anomaly.preprocessing import OneSidedRiskFactors

Factors = NDArray[np.float32]
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


def fit_parts(disease_free: pd.DataFrame, settings: TrainingSettings) -> tuple[OneSidedRiskFactors, IsolationForest]:
    """Fit preprocessor and forest on disease-free patients."""
    preprocessor = OneSidedRiskFactors()
    forest = IsolationForest(
        n_estimators=settings.n_estimators,
        max_samples=settings.max_samples,
        bootstrap=False,
        random_state=settings.random_state,
    )
    return preprocessor, forest.fit(preprocessor.fit_transform(disease_free))


def fit_and_score(disease_free: pd.DataFrame, others: pd.DataFrame, settings: TrainingSettings) -> FloatArray:
    """Return the raw scores (0 to 1), shape (n,), that a forest fitted on some patients gives to others.

    It is the forest of ``fit_parts``, grown tree by tree: ``IsolationForest`` spends most of its time on making random
    generators and inspecting estimators, and training needs 65 of these. A test holds the two to the same scores.
    """
    preprocessor = OneSidedRiskFactors()
    fitted_on = preprocessor.fit_transform(disease_free)
    scored = preprocessor.transform(others)
    return grow_and_score(
        fitted_on, scored, trees=settings.n_estimators, samples=settings.max_samples, seed=settings.random_state
    )


def grow_and_score(fitted_on: FloatArray, scored: FloatArray, *, trees: int, samples: int, seed: int) -> FloatArray:
    """Grow a forest on the rows of one matrix, and return the raw scores (0 to 1) it gives to those of another."""
    rows, other_rows = fitted_on.astype(np.float32), scored.astype(np.float32)
    samples = min(samples, len(rows))
    first = RandomState(seed)
    targets = first.uniform(size=len(rows))
    first.seed(seed)
    seeds = first.randint(_MAX_SEED, size=trees)
    grow = partial(_grow, rows, targets, samples, sampling=RandomState(), splitting=RandomState())
    mean_length = sum(_path_lengths(grow(seed=tree_seed), other_rows) for tree_seed in seeds) / trees
    raw_scores: FloatArray = 2.0 ** (-mean_length / average_path_length(samples))
    return raw_scores


def _grow(
    values: Factors, targets: FloatArray, samples: int, *, seed: int, sampling: RandomState, splitting: RandomState
) -> Tree:
    """Grow one isolation tree on a sample of the rows, with the random numbers that IsolationForest would use.

    The two generators are seeded anew for each tree, because making one takes a hundred times as long.
    """
    sampling.seed(seed)
    splitting.seed(sampling.randint(_MAX_SEED))
    sampling.seed(seed)
    sample_without_replacement(values.shape[1], values.shape[1], random_state=sampling)  # the order of the features
    drawn = sample_without_replacement(len(values), samples, random_state=sampling)
    depth = int(np.ceil(np.log2(max(samples, 2))))
    tree = ExtraTreeRegressor(max_features=1, splitter="random", max_depth=depth, random_state=splitting)
    return tree.fit(values[drawn], targets[drawn], check_input=False).tree_


def _path_lengths(tree: Tree, values: Factors) -> FloatArray:
    """Return the path length of each row, shape (n,): its leaf's depth, and what the leaf's patients would add."""
    leaves = tree.apply(values)
    unsplit = np.array([average_path_length(n) for n in tree.n_node_samples])
    lengths: FloatArray = tree.compute_node_depths()[leaves] - 1 + unsplit[leaves]
    return lengths
