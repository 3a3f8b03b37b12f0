"""Fitting one forest; small, because every worker process of a training imports it."""

import pandas as pd
from sklearn.ensemble import IsolationForest

from config.settings import TrainingSettings
from server.anomaly.dataset import FloatArray
from server.anomaly.preprocessing import OneSidedRiskFactors


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
    """Return the raw scores (0 to 1), shape (n,), that a forest fitted on some patients gives to others."""
    preprocessor, forest = fit_parts(disease_free, settings)
    raw_scores: FloatArray = -forest.score_samples(preprocessor.transform(others))
    return raw_scores
