"""External validation: how a trained model does on patients of a clinic it has never seen."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from common.csv_rows import Survey, survey_patients
from common.evaluation_figures import Estimate, GroupRates, Rates
from common.messages import Thresholds
from common.patient import FIELDS
from server.anomaly.dataset import BoolArray, FloatArray, IndexArray, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.intervals import by_bootstrap, of_share
from server.evaluation.measures import confusion, levels_of, sensitivity_at, subgroups

SPECIFICITY = 0.9
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_EVERYBODY = "everybody"

_Interval = Callable[[Callable[[IndexArray], float], BoolArray], Estimate]
"""What gives a figure of some rows, drawn within groups, its interval."""


@dataclass(frozen=True)
class Gaps:
    """How many patients lack a field, and in how many of them it was given as 0."""

    not_measured: int
    given_as_zero: int


@dataclass(frozen=True)
class ExternalValidation:
    """What was found on a CSV from elsewhere; what needs labels is empty where there are none.

    ``used_to`` says what the model did with this very file when it was made: the figures are then not external.

    ``gaps`` is by CSV column, ``score_quantiles`` by share of the patients, and ``alarms`` the share of all patients at
    Medium or higher and at High, with Wilson intervals. ``separation`` is by the anomaly scores and needs patients of
    both labels; its intervals are of so many ``resamples``.
    """

    model_version: str
    used_to: Sequence[str]
    resamples: int
    patients: int
    left_out: Sequence[str]
    extrapolated: int
    gaps: Mapping[str, Gaps]
    disease_free: int
    with_disease: int
    score_quantiles: Mapping[float, float]
    alarms: Mapping[str, Estimate]
    separation: Mapping[str, Estimate]
    groups: Sequence[GroupRates]
    confusion: Mapping[str, Mapping[str, int]]


def validate(path: Path, detector: Detector, *, seed: int, resamples: int) -> ExternalValidation:
    """Score the patients of a CSV as it comes, and compare with their labels where it has them.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, lacks a column, or holds no row that can be used.
    """
    survey = survey_patients(path)
    records = [patient.record for patient in survey.patients]
    values = matrix_of(records)
    scores = detector.model.anomaly_scores(values)
    labelled = np.array([patient.has_disease is not None for patient in survey.patients], dtype=np.bool_)
    has_disease = np.array([bool(patient.has_disease) for patient in survey.patients], dtype=np.bool_)[labelled]
    interval = partial(by_bootstrap, seed=seed, resamples=resamples)
    judged = _Judged(scores[labelled], has_disease, detector.thresholds, interval)
    return ExternalValidation(
        model_version=detector.model_version,
        used_to=_used_to(path, detector),
        resamples=resamples,
        patients=len(records),
        left_out=survey.left_out,
        extrapolated=sum(bool(record.extrapolated()) for record in records),
        gaps=_gaps(survey),
        disease_free=int((~has_disease).sum()),
        with_disease=int(has_disease.sum()),
        score_quantiles=dict(zip(QUANTILES, np.quantile(scores, QUANTILES).tolist(), strict=True)),
        alarms=_alarms(scores, detector.thresholds),
        separation=judged.separation(),
        groups=judged.groups(values[labelled]),
        confusion=judged.confusion(),
    )


def _used_to(path: Path, detector: Detector) -> list[str]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = detector.manifest
    uses = {"trained": manifest.data.sha256, "calibrated": manifest.calibration_data.sha256}
    return [use for use, used in uses.items() if used == sha256]


def _gaps(survey: Survey) -> dict[str, Gaps]:
    imputed = [patient.record.imputed() for patient in survey.patients]
    counted = {name: sum(name in fields for fields in imputed) for name in FIELDS}
    return {FIELDS[name].csv_column: Gaps(n, survey.zeros.get(name, 0)) for name, n in counted.items() if n}


def _alarms(anomaly_scores: FloatArray, thresholds: Thresholds) -> dict[str, Estimate]:
    levels = {"medium_or_higher": thresholds.medium, "high": thresholds.high}
    return {name: of_share(anomaly_scores >= threshold) for name, threshold in levels.items()}


class _Judged:
    """Labelled patients with their anomaly scores, shape (n,), and what follows from the labels."""

    def __init__(self, scores: FloatArray, has_disease: BoolArray, thresholds: Thresholds, interval: _Interval) -> None:
        self._anomaly = scores
        self._has_disease = has_disease
        self._thresholds = thresholds
        self._interval = interval

    def separation(self) -> dict[str, Estimate]:
        figures: dict[str, Callable[[BoolArray, FloatArray], float]] = {
            "AUROC": roc_auc_score,
            "AUPRC": average_precision_score,
            f"sensitivity at {SPECIFICITY:.0%} specificity": partial(sensitivity_at, SPECIFICITY),
        }
        if self._has_disease.all() or not self._has_disease.any():
            return {}
        return {name: self._bootstrapped(figure) for name, figure in figures.items()}

    def groups(self, values: FloatArray) -> list[GroupRates]:
        if not self._has_disease.size:
            return []
        everybody = {_EVERYBODY: np.ones(self._has_disease.size, dtype=np.bool_)}
        return [self._group(name, members) for name, members in (everybody | subgroups(values)).items()]

    def confusion(self) -> dict[str, dict[str, int]]:
        if not self._has_disease.size:
            return {}
        return confusion(self._has_disease, levels_of(self._anomaly, self._thresholds))

    def _bootstrapped(self, figure: Callable[[BoolArray, FloatArray], float]) -> Estimate:
        return self._interval(
            lambda rows: float(figure(self._has_disease[rows], self._anomaly[rows])), self._has_disease
        )

    def _group(self, name: str, members: BoolArray) -> GroupRates:
        return GroupRates(
            name=name,
            disease_free=int((members & ~self._has_disease).sum()),
            with_disease=int((members & self._has_disease).sum()),
            medium_or_higher=self._rates(members, self._thresholds.medium),
            high=self._rates(members, self._thresholds.high),
        )

    def _rates(self, members: BoolArray, threshold: float) -> Rates:
        is_alarm = self._anomaly >= threshold
        return Rates(
            false_alarm_rate=of_share(is_alarm[members & ~self._has_disease]),
            sensitivity=of_share(is_alarm[members & self._has_disease]),
        )
