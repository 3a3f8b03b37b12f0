"""Fitting one forest; small, because every worker process of a training imports it."""

from collections.abc import Iterable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.ensemble import IsolationForest
from sklearn.tree import ExtraTreeRegressor
from sklearn.utils.random import sample_without_replacement

from config.settings import TrainingSettings
from server.anomaly.dataset import BoolArray, FloatArray
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

    It is the forest of ``fit_parts``, grown tree by tree; see ``grow``.
    """
    preprocessor = OneSidedRiskFactors()
    fitted_on = preprocessor.fit_transform(disease_free)
    scored = preprocessor.transform(others)
    return grow_and_score(
        fitted_on, scored, trees=settings.n_estimators, samples=settings.max_samples, seed=settings.random_state
    )


def fit_and_score_patterns(
    disease_free: pd.DataFrame, others: FloatArray, patterns: BoolArray, settings: TrainingSettings
) -> FloatArray:
    """Return the raw scores, shape (p, n), such a forest gives to others of shape (n, 13) blanked by p patterns."""
    preprocessor = OneSidedRiskFactors()
    fitted_on = preprocessor.fit_transform(disease_free)
    trees = grow(fitted_on, trees=settings.n_estimators, samples=settings.max_samples, seed=settings.random_state)
    return score_patterns(trees, _samples(fitted_on, settings.max_samples), preprocessor, others, patterns)


def score_with_patterns(
    preprocessor: OneSidedRiskFactors, forest: IsolationForest, others: FloatArray, patterns: BoolArray
) -> FloatArray:
    """Return the raw scores, shape (p, n), that a fitted forest gives to others of shape (n, 13), so blanked."""
    trees = (estimator.tree_ for estimator in forest.estimators_)
    return score_patterns(trees, forest.max_samples_, preprocessor, others, patterns)


def score_patterns(
    trees: Iterable[Tree], samples: int, preprocessor: OneSidedRiskFactors, others: FloatArray, patterns: BoolArray
) -> FloatArray:
    """Return the raw scores, shape (p, n), of others of shape (n, 13) with the fields of p patterns, (p, 13), blanked.

    Few blanked patients differ: most values of disease-free patients are typical, or below the medians of the factors.
    """
    blanked = np.where(patterns[:, np.newaxis, :], np.nan, others).reshape(-1, others.shape[1])
    factors = preprocessor.factors(preprocessor.impute(blanked))
    different, places = np.unique(factors, axis=0, return_inverse=True)
    return raw_scores(trees, samples, different)[places].reshape(len(patterns), len(others))


def grow_and_score(fitted_on: FloatArray, scored: FloatArray, *, trees: int, samples: int, seed: int) -> FloatArray:
    """Grow a forest on the rows of one matrix, and return the raw scores (0 to 1) it gives to those of another."""
    grown = grow(fitted_on, trees=trees, samples=samples, seed=seed)
    return raw_scores(grown, _samples(fitted_on, samples), scored)


def raw_scores(trees: Iterable[Tree], samples: int, factors: FloatArray) -> FloatArray:
    """Return the raw scores (0 to 1), shape (n,), of trees that were each grown on so many samples.

    Liu, Ting and Zhou (2008), equation 2.
    """
    rows = factors.astype(np.float32)
    total, number = np.zeros(len(rows)), 0
    for tree in trees:
        total += node_lengths(tree)[tree.apply(rows)]
        number += 1
    scores: FloatArray = 2.0 ** (-total / number / average_path_length(samples))
    return scores


def grow(fitted_on: FloatArray, *, trees: int, samples: int, seed: int) -> Iterable[Tree]:
    """Grow the trees of an isolation forest one by one on the rows of a matrix.

    They are those of ``IsolationForest``, which spends nine tenths of its time on making random generators and on
    inspecting estimators: 0.92 s of processor time for 1,000 trees against 0.10 s here. Training grows 120 such forests
    and would take 130 s of processor time in place of 35 s: over a minute on two cores. A test holds both to the same
    scores.
    """
    rows = fitted_on.astype(np.float32)
    first = RandomState(seed)
    targets = first.uniform(size=len(rows))
    first.seed(seed)
    seeds = first.randint(_MAX_SEED, size=trees)
    grow_one = partial(_grow, rows, targets, _samples(rows, samples), sampling=RandomState(), splitting=RandomState())
    return (grow_one(seed=tree_seed) for tree_seed in seeds)


def _samples(rows: NDArray[Any], samples: int) -> int:
    return min(samples, len(rows))


def _grow(
    values: Factors, targets: FloatArray, samples: int, *, seed: int, sampling: RandomState, splitting: RandomState
) -> Tree:
    """Grow one isolation tree on a sample of the rows, with the random numbers that IsolationForest would use.

    The two generators are seeded anew for each tree, because making one takes a hundred times as long; and scikit-learn
    is not to check the same parameters a thousand times, which takes longer than the tree.
    """
    sampling.seed(seed)
    splitting.seed(sampling.randint(_MAX_SEED))
    sampling.seed(seed)
    sample_without_replacement(values.shape[1], values.shape[1], random_state=sampling)  # the order of the features
    drawn = sample_without_replacement(len(values), samples, random_state=sampling)
    depth = int(np.ceil(np.log2(max(samples, 2))))
    tree = ExtraTreeRegressor(max_features=1, splitter="random", max_depth=depth, random_state=splitting)
    with config_context(skip_parameter_validation=True):
        return tree.fit(values[drawn], targets[drawn], check_input=False).tree_


def node_lengths(tree: Tree) -> FloatArray:
    """Return the path length that ends in each node, shape (nodes,): its depth, and what its patients would add."""
    unsplit = np.array([average_path_length(n) for n in tree.n_node_samples])
    lengths: FloatArray = tree.compute_node_depths() - 1 + unsplit
    return lengths
