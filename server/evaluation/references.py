"""What the detector is measured against: the usual isolation forest, and a classifier that is shown the labels."""

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray
from server.anomaly.fitting import grow, raw_scores

_USUAL_TREES, _USUAL_SAMPLES = 300, 256
_CODED = ("chest_pain_type", "resting_ecg", "st_slope", "major_vessels", "thallium_scan")
_UNORDERED = [COLUMNS.index(name) for name in _CODED]
_ORDERED = [i for i in range(len(COLUMNS)) if i not in _UNORDERED]


def usual_forest_scores(disease_free: FloatArray, others: FloatArray, *, seed: int) -> FloatArray:
    """Return the raw scores (0 to 1) of others, shape (n, 13), by an isolation forest on the 13 standardized fields."""
    prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    trees = grow(prepare.fit_transform(disease_free), trees=_USUAL_TREES, samples=_USUAL_SAMPLES, seed=seed)
    return raw_scores(trees, prepare.transform(others))


def ordinary_encoding() -> ColumnTransformer:
    """Return what turns patients of shape (n, 13) into 25 columns, gaps filled with the median or most frequent code.

    Quantities and yes-or-no fields are standardized, the other codes one-hot encoded.
    """
    # The codes of the field and not those seen: a fold may lack one, and its columns would then mean something else.
    codes = [sorted(FIELDS[COLUMNS[i]].codes) for i in _UNORDERED]
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), _ORDERED),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(categories=codes)), _UNORDERED),
        sparse_threshold=0,
    )


def supervised_scores(patients: FloatArray, has_disease: BoolArray, others: FloatArray) -> FloatArray:
    """Return the probabilities of disease of others, shape (n, 13), by logistic regression on labeled patients."""
    classifier = make_pipeline(ordinary_encoding(), LogisticRegression(max_iter=1000)).fit(patients, has_disease)
    return np.asarray(classifier.predict_proba(others)[:, 1], dtype=np.float64)
