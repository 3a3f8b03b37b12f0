"""The detector: patient records in, scores that are made of their explanations out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from traceback import format_tb
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from common.messages import RiskLevel, Thresholds
from common.patient import PatientRecord
from server.anomaly.attribution import ForestExplainer, divide_among_fields
from server.anomaly.calibration import CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, matrix_of
from server.anomaly.manifest import Manifest
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.anomaly.reference import Reference
from server.anomaly.scoring import ForestScorer

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


@dataclass(frozen=True)
class ExplainerTrouble:
    """Why contributions are not shown, and where in the program it was found; no message of it, which holds values."""

    reason: str
    where: str = ""


class AnomalyModel:
    """The fitted parts at work: preprocessor, forest, calibration and thresholds.

    The forest scores without the explainer, so that a failing explainer takes the contributions away and nothing else.
    It logs nothing, and tells instead: ``explains`` is whether contributions can be had, as far as the last patients
    show; ``unexplained`` counts the patients whose contributions failed so far, and ``trouble`` is why the last did.
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
        self.trouble: ExplainerTrouble | None = None
        self.explains = True
        self._scorer = ForestScorer(forest)
        self._explainer = self._made_explainer()

    def stop_explaining(self, reason: str) -> None:
        """Give no contributions from now on; an earlier trouble stays the reason."""
        self._explainer = None
        self.explains = False
        self.trouble = self.trouble or ExplainerTrouble(reason)

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one call; the answers are in the order of the records."""
        if not records:
            return []
        values = matrix_of(records)
        complete = self.preprocessor.impute(values)
        factors = self.preprocessor.factors(complete)
        raw_scores = self._scorer.raw_scores(factors)
        by_field, is_explained = self._contributions(factors, complete, raw_scores)
        anomaly_scores = self.calibration.score(values, raw_scores)
        answers = zip(
            raw_scores.tolist(), anomaly_scores.tolist(), by_field.tolist(), is_explained.tolist(), strict=True
        )
        return [self._assessment(*answer) for answer in answers]

    def anomaly_scores(self, values: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13)."""
        factors = self.preprocessor.factors(self.preprocessor.impute(values))
        return self.calibration.score(values, self._scorer.raw_scores(factors))

    def _contributions(
        self, factors: FloatArray, complete: FloatArray, raw_scores: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Return the contributions by field, shape (n, 13), and for which patients they add up, shape (n,)."""
        nothing = np.full(complete.shape, np.nan), np.zeros(len(complete), dtype=np.bool_)
        if self._explainer is None:
            return nothing
        try:
            by_factor = self._explainer.contributions(factors)
            by_field = divide_among_fields(by_factor, self.preprocessor.field_effects(complete))
        except _EXPLAINER_FAILURES as error:
            self._note(nothing[1], _trouble_of(error))
            return nothing
        gaps = np.abs(self._scorer.base_value + by_field.sum(axis=1) - np.log2(raw_scores))
        is_explained: BoolArray = gaps <= ADDITIVITY
        self._note(is_explained, ExplainerTrouble("the contributions do not add up to the score"))
        return by_field, is_explained

    def _note(self, is_explained: BoolArray, trouble: ExplainerTrouble) -> None:
        self.explains = bool(is_explained.any())
        if not is_explained.all():
            self.unexplained += int((~is_explained).sum())
            self.trouble = trouble

    def _made_explainer(self) -> ForestExplainer | None:
        try:
            return ForestExplainer(self.forest)
        except _EXPLAINER_FAILURES as error:
            self.explains, self.trouble = False, _trouble_of(error)
            return None

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


def _trouble_of(error: Exception) -> ExplainerTrouble:
    return ExplainerTrouble(f"{type(error).__name__} in the explainer", "".join(format_tb(error.__traceback__)))


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
            "recalibrated_on": self.manifest.calibration_data.disease_free if self.manifest.recalibrated_from else None,
        }

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients in one call, in their order."""
        return self.model.assess(records)
