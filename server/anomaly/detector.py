"""The detector: patient records in, scores that are made of their explanations out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from config.messages import RiskLevel, Thresholds
from config.patient import PatientRecord
from server.anomaly.attribution import ForestExplainer, divide_among_fields
from server.anomaly.calibration import CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, FloatArray, matrix_of
from server.anomaly.drift import Reference
from server.anomaly.manifest import Manifest
from server.anomaly.preprocessing import OneSidedRiskFactors


@dataclass(frozen=True)
class Assessment:
    """What the detector says of one patient.

    ``anomaly_score`` (0 to 1) is the calibrated share of disease-free patients who, with the same fields not measured,
    are less anomalous; ``raw_score`` (0 to 1) the forest's own score. ``contributions`` holds the 13 fields in order,
    in log2 score units, positive toward anomalous: they and ``base_value`` add up to log2 of ``raw_score``.
    """

    raw_score: float
    anomaly_score: float
    risk_level: RiskLevel
    base_value: float
    contributions: Mapping[str, float]


class AnomalyModel:
    """The fitted parts at work: preprocessor, forest, calibration and thresholds."""

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
        self._explainer = ForestExplainer(forest)

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one TreeSHAP call; the answers are in the order of the records."""
        if not records:
            return []
        values = matrix_of(records)
        by_field, raw_scores = self._explained(values)
        anomaly_scores = self.calibration.score(values, raw_scores)
        answers = zip(raw_scores.tolist(), anomaly_scores.tolist(), by_field.tolist(), strict=True)
        return [self._assessment(*answer) for answer in answers]

    def anomaly_scores(self, values: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13)."""
        _, raw_scores = self._explained(values)
        return self.calibration.score(values, raw_scores)

    def _explained(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the contributions by field, shape (n, 13), and the raw scores that they add up to, shape (n,)."""
        complete = self.preprocessor.impute(values)
        by_factor = self._explainer.contributions(self.preprocessor.factors(complete))
        by_field = divide_among_fields(by_factor, self.preprocessor.field_effects(complete))
        return by_field, np.exp2(self._explainer.base_value + by_field.sum(axis=1))

    def _assessment(self, raw_score: float, anomaly_score: float, contributions: list[float]) -> Assessment:
        return Assessment(
            raw_score=raw_score,
            anomaly_score=anomaly_score,
            risk_level=risk_level(anomaly_score, self.thresholds),
            base_value=self._explainer.base_value,
            contributions=dict(zip(COLUMNS, contributions, strict=True)),
        )


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
        """The held-out figures that matter most, plain JSON; ``None`` where there is none."""
        evaluation = self.manifest.evaluation
        rates = {
            level: {rate: evaluation.value(f"{rate}_{level}") for rate in ("false_alarm_rate", "sensitivity")}
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
