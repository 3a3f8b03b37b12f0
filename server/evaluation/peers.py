"""Other detectors on the same folds: those of PyOD as released, and two classifiers that are shown the labels."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from joblib import delayed
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from common.evaluation_figures import Value
from config.secrets import ConfigurationError
from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset, FloatArray, IndexArray, frame_of
from server.anomaly.fitting import fit_and_score
from server.anomaly.preprocessing import OneSidedRiskFactors, refuse_unmeasured
from server.evaluation.folds import reseeded
from server.evaluation.keeping import KeptResults, data_hash
from server.evaluation.references import ordinary_encoding
from server.evaluation.splits import Fit, evaluation_folds, refuse_too_few
from server.evaluation.workers import in_workers

DETECTORS = ("ECOD", "COPOD", "HBOS", "KNN", "LOF", "OCSVM", "PCA", "MCD", "GMM", "IForest")
"""Classes of PyOD, each in the module that bears its name in lower case."""

CLASSIFIERS: Mapping[str, Callable[..., Any]] = {
    "logistic regression": partial(LogisticRegression, max_iter=1000),
    "random forest": RandomForestClassifier,
}
"""Supervised peers; what detection without labels is measured against, not beaten by."""

_PACKAGES = ("pyod", "numba")
_FAILURES = (ArithmeticError, LookupError, RuntimeError, ValueError)
"""How detectors of others fail on data they cannot take; ``LinAlgError`` is a ``ValueError``."""

_NUMBER = re.compile(r"(?<!\w)-?\d[\d.e+-]*")


class Encoding(StrEnum):
    """What a peer is given: numbers standardised and codes one-hot, or our eight one-sided factors."""

    ORDINARY = "ordinary"
    FACTORS = "factors"


@dataclass(frozen=True)
class Peer:
    """A detector or classifier with what it is given."""

    name: str
    encoding: Encoding
    supervised: bool

    @property
    def key(self) -> str:
        return f"{self.name}, {self.encoding}"


PEERS = [
    *(Peer(name, encoding, supervised=False) for encoding in Encoding for name in DETECTORS),
    *(Peer(name, encoding, supervised=True) for encoding in Encoding for name in CLASSIFIERS),
]


class Attempt(Value):
    """How a peer did in one fold: its AUROC or why there is none, and how often it warned of what."""

    auroc: float | None
    failure: str | None
    warnings: dict[str, int]


class PeerFold(Value):
    """The AUROC of ours in one fold, and the attempts of the peers by their keys."""

    ours: float
    attempts: dict[str, Attempt]


Progress = Callable[[Iterable[PeerFold], int], Iterable[PeerFold]]
"""What watches the folds: it passes on every result, and is told how many will come."""


def pyod_version() -> str:
    """Return the version of PyOD.

    Raises
    ------
    ConfigurationError
        When it is not installed.
    """
    try:
        return version("pyod")
    except PackageNotFoundError:
        raise ConfigurationError(
            'The peers need PyOD, which is not installed: run pip install -e ".[peers]" in the folder of the project.'
        ) from None


def compare_with_peers(
    dataset: Dataset, settings: TrainingSettings, directory: Path, *, repeats: int, progress: Progress
) -> list[PeerFold]:
    """Return the results of ``settings.evaluation_folds`` folds for each repeat, in order: those of the evaluation.

    What ``directory`` keeps of earlier runs with the same data, settings, code and PyOD is not worked out again.

    Raises
    ------
    ConfigurationError
        When PyOD is not installed.
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    """
    pyod_version()
    made_of, worked_out_in = _made_of(dataset, settings), measure_fold.__module__
    kept = KeptResults(directory, made_of, PeerFold, worked_out_in=worked_out_in, packages=_PACKAGES)
    refuse_too_few(dataset, settings)
    folds = _folds(dataset, settings, repeats)
    for fit, _ in folds.values():
        refuse_unmeasured(dataset.values[fit.fitted_on])
    results = {name: kept.read(name) for name in folds}
    missing = [name for name, result in results.items() if result is None]
    if missing:
        computed = progress(_compute(dataset, [folds[name] for name in missing], settings.workers), len(missing))
        for name, result in zip(missing, computed, strict=True):
            kept.write(name, result)
            results[name] = result
    return [result for result in results.values() if result is not None]


def _made_of(dataset: Dataset, settings: TrainingSettings) -> dict[str, object]:
    forests = {"n_estimators", "max_samples", "random_state", "evaluation_folds"}
    return {"data": data_hash(dataset)} | settings.model_dump(include=forests)


def _folds(dataset: Dataset, settings: TrainingSettings, repeats: int) -> dict[str, tuple[Fit, TrainingSettings]]:
    seeds = [reseeded(settings, repeat) for repeat in range(repeats)]
    return {
        f"{repeat}-{number}": (fit, seeded)
        for repeat, seeded in enumerate(seeds)
        for number, fit in enumerate(evaluation_folds(dataset, seeded))
    }


def _compute(dataset: Dataset, folds: Iterable[tuple[Fit, TrainingSettings]], workers: int) -> Iterator[PeerFold]:
    calls = (delayed(measure_fold)(dataset, fit, settings) for fit, settings in folds)
    return in_workers(calls, workers)


def measure_fold(
    dataset: Dataset, fit: Fit, settings: TrainingSettings, *, peers: Sequence[Peer] = tuple(PEERS)
) -> PeerFold:
    """Fit ours and the peers on the other folds' patients, and measure them on those held out."""
    ours = fit_and_score(dataset.frame(fit.fitted_on), dataset.frame(fit.scored), settings)
    return PeerFold(
        ours=roc_auc_score(dataset.has_disease[fit.scored], ours),
        attempts={peer.key: _attempt(peer, dataset, fit, settings.random_state) for peer in peers},
    )


def _attempt(peer: Peer, dataset: Dataset, fit: Fit, seed: int) -> Attempt:
    """Measure a peer; that it cannot be fitted, or gives scores that are not finite, is its result as well."""
    auroc, failure = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            auroc = float(roc_auc_score(dataset.has_disease[fit.scored], peer_scores(peer, dataset, fit, seed)))
        except _FAILURES as error:
            failure = _in_short(type(error), error)
    warned = Counter(_in_short(warning.category, warning.message) for warning in caught)
    return Attempt(auroc=auroc, failure=failure, warnings=dict(warned))


def _in_short(kind: type[BaseException], said: BaseException | str) -> str:
    """Return the kind and the first line, without the numbers that differ from fold to fold."""
    first, *_ = [*str(said).strip().splitlines(), ""]
    return f"{kind.__name__}: {_NUMBER.sub('…', first)}"


def peer_scores(peer: Peer, dataset: Dataset, fit: Fit, seed: int) -> FloatArray:
    """Return the scores of the held-out patients, shape (n,), higher for the more anomalous.

    Detectors are fitted on the disease-free patients that ours is fitted on, classifiers on all that are not held out.
    """
    rows = np.setdiff1d(np.arange(len(dataset.values)), fit.scored) if peer.supervised else fit.fitted_on
    encode = _encoder(peer.encoding, dataset, rows, fit)
    fitted_on, held_out = encode(dataset.values[rows]), encode(dataset.values[fit.scored])
    model = _model(peer, seed)
    if peer.supervised:
        scores = model.fit(fitted_on, dataset.has_disease[rows]).predict_proba(held_out)[:, 1]
    else:
        scores = model.fit(fitted_on).decision_function(held_out)
    return np.asarray(scores, dtype=np.float64)


def _encoder(encoding: Encoding, dataset: Dataset, rows: IndexArray, fit: Fit) -> Callable[[FloatArray], FloatArray]:
    """Fit the ordinary encoding on the rows that the peer is fitted on, ours on the disease-free as always."""
    if encoding is Encoding.ORDINARY:
        ordinary: Callable[[FloatArray], FloatArray] = ordinary_encoding().fit(dataset.values[rows]).transform
        return ordinary
    factors = OneSidedRiskFactors().fit(dataset.frame(fit.fitted_on))
    return lambda values: factors.transform(frame_of(values))


def _model(peer: Peer, seed: int) -> Any:
    """Make a peer with its default parameters, and our seed where it draws random numbers."""
    kind = CLASSIFIERS[peer.name] if peer.supervised else getattr(_module(peer.name), peer.name)
    takes_seed = "random_state" in signature(kind).parameters
    return kind(random_state=seed) if takes_seed else kind()


def _module(detector: str) -> Any:
    return import_module(f"pyod.models.{detector.lower()}")
