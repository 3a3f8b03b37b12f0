"""Other detectors on the same folds: those of PyOD as released, and two classifiers that are shown the labels."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from server.anomaly.dataset import FloatArray, frame_of
from server.anomaly.fitting import fit_and_score
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.references import ordinary_encoding
from server.evaluation.splits import Fold

# Classes of PyOD, each in the module that bears its name in lower case.
DETECTORS = ("ECOD", "COPOD", "HBOS", "KNN", "LOF", "OCSVM", "PCA", "MCD", "GMM", "IForest")

# Supervised peers: what detection without labels is measured against, not beaten by.
CLASSIFIERS: Mapping[str, Callable[..., Any]] = {
    "logistic regression": partial(LogisticRegression, max_iter=1000),
    "random forest": RandomForestClassifier,
}

# How detectors of others fail on data they cannot take; ``LinAlgError`` is a ``ValueError``.
_FAILURES = (ArithmeticError, LookupError, RuntimeError, ValueError)


class Encoding(StrEnum):
    """What a peer is given: numbers standardised and codes one-hot, or our eight one-sided factors."""

    ORDINARY = "ordinary encodings"
    FACTORS = "our eight factors"


class Peer(NamedTuple):
    """A detector or classifier with what it is given."""

    name: str
    encoding: Encoding
    supervised: bool


PEERS = tuple(Peer(name, encoding, name in CLASSIFIERS) for encoding in Encoding for name in (*DETECTORS, *CLASSIFIERS))


@dataclass(frozen=True)
class PeerFold:
    """The AUROC in one fold of ours and of the peers; NaN where a peer failed, and then the kind of its error."""

    ours: float
    theirs: Mapping[Peer, float]
    failures: Mapping[Peer, str]


def measure_fold(fold: Fold, peers: Sequence[Peer] = PEERS) -> PeerFold:
    """Fit ours and the peers on the other folds' patients, and measure them on those held out."""
    dataset, fit = fold.dataset, fold.fit
    has_disease = dataset.has_disease[fit.scored]
    ours = fit_and_score(dataset.frame(fit.fitted_on), dataset.frame(fit.scored), fold.settings)
    theirs, failures = {}, {}
    for peer in peers:
        try:
            with warnings.catch_warnings(action="ignore"):  # of a full rank that is missing, in every fold
                theirs[peer] = float(roc_auc_score(has_disease, peer_scores(peer, fold)))
        except _FAILURES as error:
            # That a peer cannot be fitted, or gives scores that are not finite, is its result as well.
            theirs[peer], failures[peer] = math.nan, type(error).__name__
    return PeerFold(float(roc_auc_score(has_disease, ours)), theirs, failures)


def peer_scores(peer: Peer, fold: Fold) -> FloatArray:
    """Return the scores of the held-out patients, shape (n,), higher for the more anomalous.

    Detectors are fitted on the disease-free patients that ours is fitted on, classifiers on all that are not held out;
    the factors are always those of the disease-free.
    """
    dataset, fit = fold.dataset, fold.fit
    rows = np.setdiff1d(np.arange(len(dataset.values)), fit.scored) if peer.supervised else fit.fitted_on
    encode: Callable[[FloatArray], FloatArray] = ordinary_encoding().fit(dataset.values[rows]).transform
    if peer.encoding is Encoding.FACTORS:
        factors = OneSidedRiskFactors().fit(dataset.frame(fit.fitted_on))
        encode = lambda values: factors.transform(frame_of(values))  # noqa: E731
    model, patients, held_out = _model(peer, fold), encode(dataset.values[rows]), encode(dataset.values[fit.scored])
    if peer.supervised:
        scores = model.fit(patients, dataset.has_disease[rows]).predict_proba(held_out)[:, 1]
    else:
        scores = model.fit(patients).decision_function(held_out)
    return np.asarray(scores, dtype=np.float64)


def _model(peer: Peer, fold: Fold) -> Any:
    """Make a peer with its default parameters, and our seed where it draws random numbers."""
    if peer.supervised:
        kind = CLASSIFIERS[peer.name]
    else:
        kind = getattr(import_module(f"pyod.models.{peer.name.lower()}"), peer.name)
    takes_seed = "random_state" in signature(kind).parameters
    return kind(random_state=fold.settings.random_state) if takes_seed else kind()
