"""The contributions of the fields to log2 of an isolation forest's score."""

import numpy as np
from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import FloatArray
from server.anomaly.fitting import average_path_length
from server.anomaly.leaf_tables import LeafTables
from server.anomaly.preprocessing import MEMBERSHIP


class ForestExplainer:
    """Exact contributions of the factors to log2 of an isolation forest's score."""

    def __init__(self, forest: IsolationForest) -> None:
        self._leaf_tables = LeafTables(forest)
        # What is explained is the mean path length, and a short path is an anomaly: the sign is turned here, once.
        self._per_path_step = -1 / average_path_length(forest.max_samples_)

    def contributions(self, factors: FloatArray) -> FloatArray:
        """Return the signed contribution of each factor, shape (n, 8) as given, in log2 score units.

        Positive pulls toward anomalous, and ``log2(score) == base + contributions.sum(axis=1)``, the score being
        2 ** (-mean path length / c) of Liu et al. (2008, equation 2), the opposite of scikit-learn's ``score_samples``.
        """
        return self._leaf_tables.shapley_values(factors) * self._per_path_step


def divide_among_fields(by_factor: FloatArray, field_effects: FloatArray) -> FloatArray:
    """Divide the contributions of the factors among the fields they are made of, keeping every sum.

    Each field of a factor gets a share in proportion to how far it alone takes the factor from the typical patient's in
    the direction of the contribution; where none does, all its fields get the same.

    Parameters
    ----------
    by_factor
        Shape (n, 8).
    field_effects
        Shape (n, 13, 8), zero where a field does not enter a factor.

    Returns
    -------
    Contributions by field, shape (n, 13).
    """
    directed = np.maximum(field_effects * np.sign(by_factor)[:, np.newaxis, :], 0)
    has_cause = directed.any(axis=1, keepdims=True)
    weights = np.where(has_cause, directed, MEMBERSHIP)
    shares = weights / weights.sum(axis=1, keepdims=True)
    by_field: FloatArray = (shares * by_factor[:, np.newaxis, :]).sum(axis=2)
    return by_field
