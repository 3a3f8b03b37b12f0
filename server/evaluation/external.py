"""External validation: how a trained model does on patients of a clinic it has never seen."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from common.csv_rows import Survey, survey_patients
from server.anomaly.dataset import BoolArray, FloatArray, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, GroupRates, Rates
from server.anomaly.intervals import by_bootstrap, of_share
from server.evaluation.measures import (
    SPECIFICITY,
    by_level,
    confusion,
    group_rates,
    levels_of,
    sensitivity_at,
    subgroups,
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SEPARATION: Mapping[str, Callable[[BoolArray, FloatArray], float]] = {
    "AUROC": roc_auc_score,
    "AUPRC": average_precision_score,
    f"sensitivity at {SPECIFICITY:.0%} specificity": sensitivity_at,
}


@dataclass(frozen=True)
class ExternalValidation:
    """What was found on a CSV from elsewhere; what needs labels is empty where there are none.

    ``used_to`` says what the model did with this very file when it was made: the figures are then not external.

    ``score_quantiles`` is by share of the patients, and ``alarms`` the share of all patients at Medium or higher and at
    High, with Wilson intervals. ``separation`` is by the anomaly scores and needs patients of both labels; its
    intervals are of so many ``resamples``.
    """

    model_version: str
    used_to: Sequence[str]
    survey: Survey = field(repr=False)
    score_quantiles: Mapping[float, float]
    alarms: Mapping[str, Estimate]
    separation: Mapping[str, Estimate]
    resamples: int
    groups: Sequence[GroupRates]
    confusion: Mapping[str, Mapping[str, int]]


def validate(path: Path, detector: Detector, *, seed: int, resamples: int) -> ExternalValidation:
    """Score the patients of a CSV as it comes, and compare with their labels where it has them.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, lacks a column, or holds no row that can be used.
    """
    survey, thresholds = survey_patients(path), detector.thresholds
    values = matrix_of(patient.record for patient in survey.patients)
    labels = [patient.has_disease for patient in survey.patients]
    # The calibrated scores and not the raw ones: they are what people see, and what gaps do to the order counts.
    scores = detector.model.anomaly_scores(values)
    is_labelled = np.array([label is not None for label in labels])
    has_disease, known = np.array(labels)[is_labelled].astype(np.bool_), scores[is_labelled]
    made_of = {
        "trained": detector.manifest.data.sha256,
        "calibrated": detector.manifest.calibration_data.sha256,
    }
    groups = {"everybody": np.ones(known.size, dtype=np.bool_)} | subgroups(values[is_labelled])

    # Wilson's intervals and not those over folds: here each patient is scored once, by one model.
    def rates_from(members: BoolArray, threshold: float) -> Rates:
        free, ill = (known[members & labelled] >= threshold for labelled in (~has_disease, has_disease))
        return Rates(false_alarm_rate=of_share(free), sensitivity=of_share(ill))

    return ExternalValidation(
        model_version=detector.model_version,
        used_to=[use for use, sha256 in made_of.items() if sha256 == hashlib.sha256(path.read_bytes()).hexdigest()],
        survey=survey,
        score_quantiles=dict(zip(QUANTILES, np.quantile(scores, QUANTILES).tolist(), strict=True)),
        alarms={level: of_share(scores >= threshold) for level, threshold in by_level(thresholds).items()},
        separation=_separation(has_disease, known, seed, resamples),
        resamples=resamples,
        groups=group_rates(groups, has_disease, thresholds, rates_from) if known.size else [],
        confusion=confusion(has_disease, levels_of(known, thresholds)) if known.size else {},
    )


def _separation(has_disease: BoolArray, scores: FloatArray, seed: int, resamples: int) -> dict[str, Estimate]:
    if has_disease.all() or not has_disease.any():
        return {}

    def bootstrapped(figure: Callable[[BoolArray, FloatArray], float]) -> Estimate:
        return by_bootstrap(
            lambda rows: float(figure(has_disease[rows], scores[rows])), has_disease, seed=seed, resamples=resamples
        )

    return {name: bootstrapped(figure) for name, figure in _SEPARATION.items()}
