"""External validation: how a trained model does on patients of a clinic it has never seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from config.csv_rows import Survey, survey_patients
from config.evaluation import Estimate, GroupRates, Rates
from config.messages import Thresholds
from config.patient import FIELDS
from server.anomaly.dataset import BoolArray, FloatArray, IndexArray, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.evaluation.intervals import RESAMPLES, by_bootstrap
from server.anomaly.evaluation.metrics import confusion, levels_of, sensitivity_at, share, subgroups

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

    ``gaps`` is by CSV column, ``score_quantiles`` by share of the patients, and ``alarms`` the share of all patients at
    Medium or higher and at High. ``separation`` needs patients of both labels.
    """

    model_version: str
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


def validate(path: Path, detector: Detector, *, seed: int, resamples: int = RESAMPLES) -> ExternalValidation:
    """Score the patients of a CSV as it comes, and compare with their labels where it has them.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, lacks a column, or holds no row that can be used.
    """
    survey = survey_patients(path)
    records = [patient.record for patient in survey.patients]
    scores = _scores(detector, survey)
    labelled = np.array([patient.has_disease is not None for patient in survey.patients], dtype=np.bool_)
    has_disease = np.array([bool(patient.has_disease) for patient in survey.patients], dtype=np.bool_)[labelled]
    interval = partial(by_bootstrap, seed=seed, resamples=resamples)
    judged = _Judged(scores[labelled], has_disease, detector.thresholds, interval)
    return ExternalValidation(
        model_version=detector.model_version,
        patients=len(records),
        left_out=survey.left_out,
        extrapolated=sum(bool(record.extrapolated()) for record in records),
        gaps=_gaps(survey),
        disease_free=int((~has_disease).sum()),
        with_disease=int(has_disease.sum()),
        score_quantiles=dict(zip(QUANTILES, np.quantile(scores[:, 1], QUANTILES).tolist(), strict=True)),
        alarms=_alarms(scores[:, 1], detector.thresholds, interval),
        separation=judged.separation(),
        groups=judged.groups(matrix_of(records)[labelled]),
        confusion=judged.confusion(),
    )


def _scores(detector: Detector, survey: Survey) -> FloatArray:
    """Return raw score and anomaly score of each patient, shape (n, 2)."""
    answers = detector.assess([patient.record for patient in survey.patients])
    return np.array([(said.raw_score, said.anomaly_score) for said in answers])


def _gaps(survey: Survey) -> dict[str, Gaps]:
    imputed = [patient.record.imputed() for patient in survey.patients]
    counted = {name: sum(name in fields for fields in imputed) for name in FIELDS}
    return {FIELDS[name].csv_column: Gaps(n, survey.zeros.get(name, 0)) for name, n in counted.items() if n}


def _alarms(anomaly_scores: FloatArray, thresholds: Thresholds, interval: _Interval) -> dict[str, Estimate]:
    levels = {"medium_or_higher": thresholds.medium, "high": thresholds.high}
    return {name: _share_of(anomaly_scores >= threshold, interval) for name, threshold in levels.items()}


def _share_of(is_so: BoolArray, interval: _Interval) -> Estimate:
    return interval(lambda rows: share(is_so[rows]), np.ones(is_so.size, dtype=np.bool_))


class _Judged:
    """Labelled patients with their raw and anomaly scores, shape (n, 2), and what follows from the labels."""

    def __init__(self, scores: FloatArray, has_disease: BoolArray, thresholds: Thresholds, interval: _Interval) -> None:
        self._raw, self._anomaly = scores[:, 0], scores[:, 1]
        self._has_disease = has_disease
        self._thresholds = thresholds
        self._interval = interval

    def separation(self) -> dict[str, Estimate]:
        figures: dict[str, Callable[[BoolArray, FloatArray], float]] = {
            "AUROC": roc_auc_score,
            "AUPRC": average_precision_score,
            f"sensitivity at {SPECIFICITY:.0%} specificity": lambda y, raw: sensitivity_at(SPECIFICITY, y, raw),
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
        return self._interval(lambda rows: float(figure(self._has_disease[rows], self._raw[rows])), self._has_disease)

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
            false_alarm_rate=_share_of(is_alarm[members & ~self._has_disease], self._interval),
            sensitivity=_share_of(is_alarm[members & self._has_disease], self._interval),
        )
