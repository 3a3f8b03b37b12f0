"""Ours beside other detectors on the same folds: ``python -m benchmarks.peers [--folds N] [--repeats N]``."""

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from config.settings import TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, FloatArray
from server.anomaly.evaluation_figures import Estimate
from server.anomaly.fitting import fit_and_score
from server.anomaly.intervals import over_folds
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.anomaly.recognition import load_dataset
from server.evaluation.__main__ import STOPPED, with_folds
from server.evaluation.console import run
from server.evaluation.cross_validation import cross_validate
from server.evaluation.references import ordinary_encoding
from server.evaluation.splits import Fold

# Classes of PyOD, each in the module that bears its name in lower case.
DETECTORS = ("ECOD", "COPOD", "HBOS", "KNN", "LOF", "OCSVM", "PCA", "MCD", "GMM", "IForest")

# Supervised peers: what detection without labels is measured against, not beaten by.
CLASSIFIERS: Mapping[str, Callable[..., Any]] = {
    "logistic regression": partial(LogisticRegression, max_iter=1000),
    "random forest": RandomForestClassifier,
}

# What a peer is given: numbers standardized and codes one-hot, or our eight one-sided factors.
ORDINARY, FACTORS = "ordinary encodings", "our eight factors"

# How detectors of others fail on data they cannot take; ``LinAlgError`` is a ``ValueError``.
_FAILURES = (ArithmeticError, LookupError, RuntimeError, ValueError)


class Peer(NamedTuple):
    """A detector or classifier with what it is given."""

    name: str
    given: str

    @property
    def sees_labels(self) -> bool:
        return self.name in CLASSIFIERS


OURS = Peer("ours", FACTORS)
PEERS = tuple(Peer(name, given) for given in (ORDINARY, FACTORS) for name in (*DETECTORS, *CLASSIFIERS))


Aurocs = Mapping[Peer, float]
"""Of ours and of the peers in one fold; NaN where a peer failed."""


class Comparison(NamedTuple):
    """A peer over all folds: its AUROC, and ours less its own in the ``folds`` in which it did not fail."""

    peer: Peer
    auroc: Estimate
    lead: Estimate
    folds: int

    @property
    def is_beaten(self) -> bool:
        """Whether ours has the higher AUROC, or it saw labels and so is no rival."""
        return self.peer.sees_labels or self.lead.value is None or self.lead.value > 0


def main(words: Sequence[str] | None = None) -> int:
    """Compare and print; return the exit code: 0, 1 when a peer is not beaten or PyOD is missing, 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    arguments, settings, server = with_folds(parser, words)
    try:
        pyod = version("pyod")
    except PackageNotFoundError:
        print('The peers need PyOD, which is not installed: run pip install -e ".[peers]".', file=sys.stderr)
        return 1
    directory = server.data_dir / "evaluation" / f"pyod-{pyod}"
    return run(partial(_compare_and_print, settings, directory, arguments.repeats, pyod), stopped=STOPPED)


def _compare_and_print(settings: TrainingSettings, directory: Path, repeats: int, pyod: str) -> int:
    dataset, folds = load_dataset(SHIPPED_DATA), settings.evaluation_folds
    results = cross_validate(measure_fold, dataset, settings, directory, repeats=repeats, title="Comparing")
    print(peers_text(results, folds, pyod=pyod))
    return 0 if all(found.is_beaten for found in compare(results, folds)) else 1


def measure_fold(fold: Fold, peers: Sequence[Peer] = PEERS) -> Aurocs:
    """Fit ours and the peers on the other folds' patients, and measure them on those held out."""
    dataset, fit = fold.dataset, fold.fit
    has_disease = dataset.has_disease[fit.scored]
    ours = fit_and_score(dataset.values[fit.fitted_on], dataset.values[fit.scored], fold.settings)
    measured = {OURS: float(roc_auc_score(has_disease, ours))}
    for peer in peers:
        try:
            with warnings.catch_warnings(action="ignore"):  # of a full rank that is missing, in every fold
                measured[peer] = float(roc_auc_score(has_disease, peer_scores(peer, fold)))
        except _FAILURES:
            # That a peer cannot be fitted, or gives scores that are not finite, is its result as well.
            measured[peer] = math.nan
    return measured


def peer_scores(peer: Peer, fold: Fold) -> FloatArray:
    """Return the scores of the held-out patients, shape (n,), higher for the more anomalous.

    Detectors are fitted on the disease-free patients that ours is fitted on, classifiers on all that are not held out;
    the factors are always those of the disease-free. Parameters are the defaults, with our seed where there is one.
    """
    dataset, fit = fold.dataset, fold.fit
    rows = np.setdiff1d(np.arange(len(dataset.values)), fit.scored) if peer.sees_labels else fit.fitted_on
    encoding = ordinary_encoding().fit(dataset.values[rows])
    if peer.given == FACTORS:
        encoding = OneSidedRiskFactors().fit(dataset.values[fit.fitted_on])
    patients, held_out = (encoding.transform(dataset.values[some]) for some in (rows, fit.scored))
    kind = CLASSIFIERS.get(peer.name) or getattr(import_module(f"pyod.models.{peer.name.lower()}"), peer.name)
    takes_seed = "random_state" in signature(kind).parameters
    model = kind(random_state=fold.settings.random_state) if takes_seed else kind()
    if peer.sees_labels:
        scores = model.fit(patients, dataset.has_disease[rows]).predict_proba(held_out)[:, 1]
    else:
        scores = model.fit(patients).decision_function(held_out)
    return np.asarray(scores, dtype=np.float64)


def compare(results: Sequence[Aurocs], folds: int) -> list[Comparison]:
    """Compare ours and each peer on the same folds, of so many in each repeat; the highest AUROC first."""
    compared = []
    for peer in results[0]:
        theirs = [result[peer] for result in results]
        # The difference is of the same fold: what a fold makes easy or hard for both falls out of it.
        lead = over_folds([result[OURS] - result[peer] for result in results], folds, lowest=-1)
        found = Comparison(peer, over_folds(theirs, folds), lead, sum(not math.isnan(one) for one in theirs))
        compared.append(found._replace(lead=Estimate(value=None)) if peer == OURS else found)
    return sorted(compared, key=lambda found: found.auroc.value or 0, reverse=True)


def peers_text(results: Sequence[Aurocs], folds: int, *, pyod: str) -> str:
    """Return the table of ours and its peers by AUROC, and the verdict for each encoding."""
    compared = compare(results, folds)
    lines = [
        f"{len(results) // folds} x {folds}-fold stratified cross-validation; ours and PyOD {pyod}'s detectors",
        "(default parameters) are fitted on the training folds' disease-free patients only, supervised classifiers",
        "on all of them with labels. ECOD and COPOD rank a held-out patient among the others held out as well.",
        "Ordinary encodings: numbers standardized, codes one-hot. 95 % intervals by Nadeau and Bengio (2003), of",
        "the differences on the same folds; they do not allow for picking the best of several peers. All by their",
        "raw scores, ours too: calibration by what was measured orders patients with gaps a little otherwise.",
        "",
        f"{'detector':<21}{'given':<20}{'AUROC':<24}{'ours less theirs':<27}{'folds':>8}",
    ]
    for found in compared:
        measured = f"{f'{found.auroc:.3f}':<24}{f'{found.lead:+.3f}':<27}{f'{found.folds}/{len(results)}':>8}"
        seen = "  saw labels" if found.peer.sees_labels else ""
        lines.append(f"{found.peer.name:<21}{found.peer.given:<20}{measured}{seen}")
    lines.append("")
    for given in (ORDINARY, FACTORS):
        not_beaten = [found.peer.name for found in compared if found.peer.given == given and not found.is_beaten]
        said = f"not above {', '.join(not_beaten)}" if not_beaten else "above every unsupervised peer"
        lines.append(f"Given {given}: ours is {said}.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
