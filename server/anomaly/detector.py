"""The detector: patient records in, scores that are made of their explanations out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from config.messages import RiskLevel, Thresholds
from config.patient import PatientRecord
from server.anomaly.attribution import ForestExplainer, divide_among_fields
from server.anomaly.calibration import CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, matrix_of
from server.anomaly.drift import Reference
from server.anomaly.manifest import Manifest
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.anomaly.scoring import ForestScorer

log = logging.getLogger(__name__)

ADDITIVITY = 1e-9
"""How far base value and contributions may be from log2 of the raw score for an explanation to be believed."""

_EXPLAINER_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Assessment:
    """What the detector says of one patient.

    ``anomaly_score`` (0 to 1) is the calibrated share of disease-free patients who, with the same fields not measured,
    are less anomalous; ``raw_score`` (0 to 1) the forest's own score. ``contributions`` holds the 13 fields in order,
    in log2 score units, positive toward anomalous: they and ``base_value`` add up to log2 of ``raw_score``. They are
    empty where they could not be worked out, or do not add up: nothing stands in for them.
    """

    raw_score: float
    anomaly_score: float
    risk_level: RiskLevel
    base_value: float
    contributions: Mapping[str, float]


class AnomalyModel:
    """The fitted parts at work: preprocessor, forest, calibration and thresholds.

    The forest scores without the explainer, so that a failing explainer takes the contributions away and nothing else.
    """

    def __init__(
        self,
        preprocessor: OneSidedRiskFactors,
        forest: IsolationForest,
        calibration: CalibrationByPattern,
        thresholds: Thresholds,
    ) -> None:
        self.preprocessor = preprocessor
        self.forest = forest
        self.calibration = calibration
        self.thresholds = thresholds
        self.typical: Mapping[str, float] = dict(zip(COLUMNS, preprocessor.typical_.tolist(), strict=True))
        self._scorer = ForestScorer(forest)
        self._explainer = _explainer_of(forest)

    @property
    def explains(self) -> bool:
        """Whether contributions can be had at all."""
        return self._explainer is not None

    def stop_explaining(self) -> None:
        """Give no contributions from now on, because they were found to be wrong."""
        self._explainer = None

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one TreeSHAP call; the answers are in the order of the records."""
        if not records:
            return []
        values = matrix_of(records)
        complete = self.preprocessor.impute(values)
        factors = self.preprocessor.factors(complete)
        raw_scores = self._scorer.raw_scores(factors)
        by_field = self._contributions(factors, complete)
        is_explained = self._adds_up(by_field, raw_scores)
        anomaly_scores = self.calibration.score(values, raw_scores)
        answers = zip(
            raw_scores.tolist(), anomaly_scores.tolist(), by_field.tolist(), is_explained.tolist(), strict=True
        )
        return [self._assessment(*answer) for answer in answers]

    def anomaly_scores(self, values: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13)."""
        factors = self.preprocessor.factors(self.preprocessor.impute(values))
        return self.calibration.score(values, self._scorer.raw_scores(factors))

    def _contributions(self, factors: FloatArray, complete: FloatArray) -> FloatArray:
        """Return the contributions by field, shape (n, 13), NaN where they cannot be had."""
        if self._explainer is not None:
            try:
                by_factor = self._explainer.contributions(factors)
                return divide_among_fields(by_factor, self.preprocessor.field_effects(complete))
            except _EXPLAINER_FAILURES as error:
                log.error("contributions could not be worked out: %s", type(error).__name__)  # noqa: TRY400
        return np.full(complete.shape, np.nan)

    def _adds_up(self, by_field: FloatArray, raw_scores: FloatArray) -> BoolArray:
        gaps = np.abs(self._scorer.base_value + by_field.sum(axis=1) - np.log2(raw_scores))
        is_explained: BoolArray = gaps <= ADDITIVITY
        if self.explains and not is_explained.all():
            log.error("contributions of %d patients do not add up and are not shown", (~is_explained).sum())
        return is_explained

    def _assessment(
        self, raw_score: float, anomaly_score: float, contributions: list[float], is_explained: bool
    ) -> Assessment:
        return Assessment(
            raw_score=raw_score,
            anomaly_score=anomaly_score,
            risk_level=risk_level(anomaly_score, self.thresholds),
            base_value=self._scorer.base_value,
            contributions=dict(zip(COLUMNS, contributions, strict=True)) if is_explained else {},
        )


def _explainer_of(forest: IsolationForest) -> ForestExplainer | None:
    try:
        return ForestExplainer(forest)
    except _EXPLAINER_FAILURES as error:
        log.error("the explainer cannot be made: %s", type(error).__name__)  # noqa: TRY400
        return None


@dataclass(frozen=True)
class Detector:
    """A model that was loaded and verified: what it says, and what is recorded of it."""

    model: AnomalyModel
    manifest: Manifest

    @property
    def model_version(self) -> str:
        return self.manifest.model_version

    @property
    def thresholds(self) -> Thresholds:
        return self.model.thresholds

    @property
    def typical(self) -> Mapping[str, float]:
        """Medians of the disease-free training patients by wire name; what stands in for a value not measured."""
        return self.model.typical

    @property
    def reference(self) -> Reference:
        """The patients that drift is measured from, in aggregates alone."""
        return self.manifest.reference

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The held-out figures that matter most, plain JSON; ``None`` where there is none.

        A recalibrated model has no rates by level: those of the evaluation belong to the earlier calibration.
        """
        evaluation = self.manifest.evaluation
        known = {} if self.manifest.recalibrated_from else evaluation.values()
        rates = {
            level: {rate: known.get(f"{rate}_{level}") for rate in ("false_alarm_rate", "sensitivity")}
            for level in ("medium_or_higher", "high")
        }
        disease_free, with_disease = evaluation.disease_free, evaluation.with_disease
        return rates | {
            "auroc": evaluation.value("auroc"),
            "patients": disease_free + with_disease,
            "disease_free": disease_free,
            "with_disease": with_disease,
        }

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one call, in their order."""
        return self.model.assess(records)
