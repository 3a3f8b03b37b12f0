"""The detector: patient records in, scores that are made of their explanations out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from common.messages import RiskLevel, Thresholds
from common.patient import PatientRecord
from server.anomaly.attribution import Attribution
from server.anomaly.calibration import CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, FloatArray, rows_of, values_of
from server.anomaly.manifest import Manifest
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.anomaly.reference import Reference

# How far base value and contributions may be from log2 of the raw score for an explanation to be believed: rounding
# comes to about 1e-14, and what is beyond this comes from an error.
ADDITIVITY = 1e-9


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

    Contributions that do not add up to the score are not shown, and nothing else is taken away. It logs nothing, and
    tells instead: ``explains`` is whether contributions can be had, as far as the last patients show; ``unexplained``
    counts the patients whose contributions failed so far, and ``trouble`` is why the last did.
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
        self.unexplained = 0
        self.trouble: str | None = None
        self.explains = True
        self._attribution = Attribution(preprocessor, forest)
        self._may_explain = True

    def stop_explaining(self, reason: str) -> None:
        """Give no contributions from now on; an earlier trouble stays the reason."""
        self.explains = self._may_explain = False
        self.trouble = self.trouble or reason

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients; the answers are in the order of the records."""
        answers = [self.assessment(values_of(record)) for record in records]
        if answers and self._may_explain:
            unexplained = sum(not said.contributions for said in answers)
            self.explains = unexplained < len(answers)
            if unexplained:
                self.unexplained += unexplained
                self.trouble = "the contributions do not add up to the score"
        return answers

    def anomaly_scores(self, values: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13)."""
        return np.array([self.assessment(row).anomaly_score for row in rows_of(values)], dtype=np.float64)

    def assessment(self, values: Sequence[float | None]) -> Assessment:
        """Score and explain one patient by the 13 fields in order, ``None`` where a value was not measured."""
        by_field, log2_score = self._attribution.of(values)
        raw_score = 2.0**log2_score
        anomaly_score = self.calibration.of(values).score(raw_score)
        adds_up = abs(self._attribution.base_value + sum(by_field) - log2_score) <= ADDITIVITY
        return Assessment(
            raw_score=raw_score,
            anomaly_score=anomaly_score,
            risk_level=risk_level(anomaly_score, self.thresholds),
            base_value=self._attribution.base_value,
            contributions=dict(zip(COLUMNS, by_field, strict=True)) if adds_up and self._may_explain else {},
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
        """The held-out figures that matter most, plain JSON; ``None`` where there is none.

        A recalibrated model has no rates by level: those of the evaluation belong to the earlier calibration.
        """
        # AUROC stays after a recalibration, which reorders patients at most between missingness patterns.
        evaluation = self.manifest.evaluation
        recalibrated = self.manifest.recalibrated_from is not None
        kinds = ("false_alarm_rate", "sensitivity")
        rates = {
            level: {kind: None if recalibrated else evaluation.value(f"{kind}_{level}") for kind in kinds}
            for level in ("medium_or_higher", "high")
        }
        return rates | {
            "auroc": evaluation.value("auroc"),
            "patients": evaluation.disease_free + evaluation.with_disease,
            "disease_free": evaluation.disease_free,
            "with_disease": evaluation.with_disease,
            "recalibrated_on": self.manifest.calibration_data.disease_free if recalibrated else None,
        }

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one call, in their order."""
        return self.model.assess(records)
