"""External validation: how a trained model does on patients of a clinic it has never seen."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from common.csv_rows import Survey, survey_patients
from server.anomaly.dataset import BoolArray, FloatArray, IndexArray, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, GroupRates, Rates, by_level
from server.anomaly.intervals import RESAMPLES, by_bootstrap, of_share
from server.evaluation.measures import SPECIFICITY, confusion, group_rates, sensitivity_at, subgroups

_SEPARATION: Mapping[str, Callable[[BoolArray, FloatArray], float]] = {
    "AUROC": roc_auc_score,
    "AUPRC": average_precision_score,
    f"sensitivity at {SPECIFICITY:.0%} specificity": sensitivity_at,
}


@dataclass(frozen=True)
class ExternalValidation:
    """What was found on a CSV from elsewhere; what needs labels is empty where there are none.

    ``used_to`` says what the model did with this very file when it was made: the figures are then not external.
    ``alarms`` holds the shares of all patients at Medium or higher and at High, with Wilson intervals. ``separation``
    is by the anomaly scores and needs patients of both labels; its intervals are by bootstrap.
    """

    model_version: str
    used_to: Sequence[str]
    survey: Survey = field(repr=False)
    alarms: Mapping[str, Estimate]
    separation: Mapping[str, Estimate]
    groups: Sequence[GroupRates]
    confusion: Mapping[str, Mapping[str, int]]


def validate(path: Path, detector: Detector, *, seed: int, resamples: int = RESAMPLES) -> ExternalValidation:
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

    def of_rows(figure: Callable[[BoolArray, FloatArray], float], rows: IndexArray) -> float:
        return float(figure(has_disease[rows], known[rows]))

    # Wilson's intervals and not those over folds: here each patient is scored once, by one model.
    def rates_from(members: BoolArray, threshold: float) -> Rates:
        free, ill = (known[members & labelled] >= threshold for labelled in (~has_disease, has_disease))
        return Rates(false_alarm_rate=of_share(free), sensitivity=of_share(ill))

    groups = {"everybody": np.ones(known.size, dtype=np.bool_)} | subgroups(values[is_labelled])
    separation = {}
    if has_disease.any() and not has_disease.all():
        for name, figure in _SEPARATION.items():
            separation[name] = by_bootstrap(partial(of_rows, figure), has_disease, seed=seed, resamples=resamples)
    sha256, manifest = hashlib.sha256(path.read_bytes()).hexdigest(), detector.manifest
    uses = {"trained": manifest.data.sha256, "calibrated": manifest.calibration_data.sha256}
    return ExternalValidation(
        model_version=detector.model_version,
        used_to=[use for use, of_data in uses.items() if of_data == sha256],
        survey=survey,
        alarms={level: of_share(scores >= threshold) for level, threshold in by_level(thresholds).items()},
        separation=separation,
        groups=group_rates(groups, has_disease, thresholds, rates_from) if known.size else [],
        confusion=confusion(has_disease, known, thresholds) if known.size else {},
    )
