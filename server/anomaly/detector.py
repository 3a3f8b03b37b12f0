"""The detector: patient records in, scores that are made of their explanations out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from config.messages import RiskLevel, Thresholds
from config.patient import PatientRecord
from server.anomaly.attribution import ForestExplainer, divide_among_fields
from server.anomaly.calibration import Calibration, risk_level
from server.anomaly.dataset import COLUMNS, matrix_of
from server.anomaly.preprocessing import OneSidedRiskFactors


@dataclass(frozen=True)
class Assessment:
    """What the detector says of one patient.

    ``anomaly_score`` (0 to 1) is the calibrated share of disease-free patients who are less anomalous; ``raw_score``
    (0 to 1) the forest's own score. ``contributions`` holds the 13 fields in order, in log2 score units, positive
    toward anomalous: they and ``base_value`` add up to log2 of ``raw_score``.
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
        calibration: Calibration,
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
        complete = self.preprocessor.impute(matrix_of(records))
        by_factor = self._explainer.contributions(self.preprocessor.factors(complete))
        by_field = divide_among_fields(by_factor, self.preprocessor.field_effects(complete))
        raw_scores = np.exp2(self._explainer.base_value + by_field.sum(axis=1))
        anomaly_scores = self.calibration.score(raw_scores)
        answers = zip(raw_scores.tolist(), anomaly_scores.tolist(), by_field.tolist(), strict=True)
        return [self._assessment(*answer) for answer in answers]

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
    """A model that was loaded and verified: what it says, and what is known about it.

    ``metrics`` is the held-out evaluation, ``manifest`` what may be shown of the manifest; both are plain JSON.
    """

    model: AnomalyModel
    model_version: str
    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def thresholds(self) -> Thresholds:
        return self.model.thresholds

    @property
    def typical(self) -> Mapping[str, float]:
        """Medians of the disease-free training patients by wire name; what stands in for a value not measured."""
        return self.model.typical

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one call, in their order."""
        return self.model.assess(records)
