"""The detector: patient records in, scores that are made of their explanations out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from common.messages import LEVELS, Interval, MissingTests, NotEnough, Outcome, PredictiveValue, RiskLevel, Thresholds
from common.patient import FIELDS, PatientRecord
from server.anomaly.calibration import CalibrationByPattern, risk_level
from server.anomaly.dataset import COLUMNS, FloatArray, rows_of, values_of
from server.anomaly.evaluation_figures import RATES, by_level
from server.anomaly.manifest import Manifest
from server.anomaly.missing_tests import missing_tests
from server.anomaly.preprocessing import FACTORS, PLACES, OneSidedRiskFactors, directed
from server.anomaly.shapley import CellTables
from server.anomaly.sufficiency import Sufficiency

# How far base value and contributions may be from log2 of the raw score for an explanation to be believed: rounding
# comes to about 1e-14, and what is beyond this comes from an error.
ADDITIVITY = 1e-9

# Patients from which on looking them up together costs less than one after the other.
_MANY = 64


@dataclass(frozen=True)
class Assessment:
    """What the detector says of one patient.

    ``anomaly_score`` (0 to 1) is the calibrated share of disease-free patients who, with the same fields not measured,
    are less anomalous, ``score_interval`` its 95 % interval by the size of the calibration set, and ``raw_score`` (0 to
    1) the forest's own score. ``contributions`` holds the 13 fields in order, in log2 score units, positive toward
    anomalous: they and ``base_value`` add up to log2 of ``raw_score``. They are empty where they could not be worked
    out, or do not add up: nothing replaces them.
    """

    raw_score: float
    anomaly_score: float
    score_interval: Interval | None
    risk_level: RiskLevel
    base_value: float
    contributions: Mapping[str, float]


class Attribution:
    """A fitted preprocessor and forest; ``base_value`` and a patient's contributions add up to log2 of the raw score.

    It takes patients as Python numbers: an operation on a small numpy array takes longer than all that is done with one
    patient's 13.
    """

    def __init__(self, preprocessor: OneSidedRiskFactors, forest: IsolationForest) -> None:
        self.typical: list[float] = preprocessor.typical_.tolist()
        self._medians: list[float] = preprocessor.factor_medians_.tolist()
        self._tables = CellTables(forest)
        self.base_value = self._tables.base_value

    def of(self, patients: Iterable[Sequence[float | None]]) -> Iterator[tuple[list[float], float]]:
        """Yield the signed contributions of each patient's 13 fields in order, and log2 of the raw score.

        Both are in log2 score units, and positive contributions pull toward anomalous; ``None`` was not measured.
        """
        complete = [
            [usual if value is None else value for value, usual in zip(values, self.typical, strict=True)]
            for values in patients
        ]
        looked_up = self._look_up([self.factors(row) for row in complete])
        for row, (by_factor, log2_score) in zip(complete, looked_up, strict=True):
            yield divided(by_factor, row, self.typical), log2_score

    def factors(self, complete: Sequence[Any]) -> list[float]:
        """Return the one-sided factors of 13 fields that were all measured, or taken as typical."""
        return [max(x - median, 0.0) for x, median in zip(directed(complete), self._medians, strict=True)]

    def raw_scores(self, factors: Sequence[Sequence[float]]) -> list[float]:
        """Return the raw scores (0 to 1) of patients by their one-sided factors."""
        return [2.0**log2_score for _, log2_score in self._look_up(factors)]

    def _look_up(self, factors: Sequence[Sequence[float]]) -> Iterable[tuple[list[float], float]]:
        if len(factors) >= _MANY:
            return self._tables.look_up_all(np.array(factors))
        return [self._tables.look_up(of_patient) for of_patient in factors]


def divided(by_factor: Sequence[float], complete: Sequence[float], typical: Sequence[float]) -> list[float]:
    """Divide the contributions of the eight factors among the 13 fields; every factor's sum is kept.

    Each field of a factor gets a share in proportion to how far it alone takes the directed factor from the typical
    patient's in the direction of the contribution; where none does, all its fields get the same.
    """
    by_field = [0.0] * len(COLUMNS)
    for contribution, factor, places in zip(by_factor, FACTORS.values(), PLACES, strict=True):
        if len(places) == 1:
            by_field[places[0]] += contribution
            continue
        usual = [typical[place] for place in places]
        at_usual = factor.directed(*usual)
        weights = []
        for number, place in enumerate(places):
            # Its effect on the typical patient and not on this one: what the other fields are must not matter.
            alone = usual.copy()
            alone[number] = complete[place]
            effect = factor.directed(*alone) - at_usual
            weights.append(abs(effect) if effect * contribution > 0 else 0.0)
        total = sum(weights)
        for place, weight in zip(places, weights, strict=True):
            by_field[place] += contribution * (weight / total if total else 1 / len(weights))
    return by_field


@dataclass(eq=False)
class AnomalyModel:
    """The fitted parts at work: preprocessor, forest, calibration, thresholds, and what is enough for a level.

    Contributions that do not add up to the score are not shown, and nothing else is taken away. It logs nothing:
    ``explains`` is whether there were contributions for any of the last patients, and ``trouble`` why some had none.
    """

    preprocessor: OneSidedRiskFactors
    forest: IsolationForest
    calibration: CalibrationByPattern
    thresholds: Thresholds
    sufficiency: Sufficiency

    def __post_init__(self) -> None:
        self.trouble: str | None = None
        self.explains = True
        self._may_explain = True
        self._attribution = Attribution(self.preprocessor, self.forest)
        self.typical: Mapping[str, float] = dict(zip(COLUMNS, self._attribution.typical, strict=True))

    def stop_explaining(self, reason: str) -> None:
        """Give no contributions from now on."""
        self.explains = self._may_explain = False
        self.trouble = reason

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        """Score and explain patients; the answers are in the order of the records."""
        answers = self.assessments([values_of(record) for record in records])
        if answers and self._may_explain:
            explained = [bool(said.contributions) for said in answers]
            self.explains = any(explained)
            if not all(explained):
                self.trouble = "the contributions do not add up to the score"
        return answers

    def anomaly_scores(self, values: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13)."""
        return np.array([said.anomaly_score for said in self.assessments(rows_of(values))], dtype=np.float64)

    def counted_scores(self, values: FloatArray) -> FloatArray:
        """Return the same with NaN where too little was measured for a level: these count nowhere."""
        return np.where(self.sufficiency.are_enough(values), self.anomaly_scores(values), np.nan)

    def complete_scores(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        """Return the anomaly scores (0 to 1) of patients of whom all 13 fields were measured."""
        # Findings up to the disease-free median are all alike: of a grid of them half need not be looked up.
        factors = [tuple(self._attribution.factors(row)) for row in rows]
        different = list(dict.fromkeys(factors))
        raw_scores = dict(zip(different, self._attribution.raw_scores(different), strict=True))
        return [self.calibration.of(row).score(raw_scores[found]) for row, found in zip(rows, factors, strict=True)]

    def outcome(self, score: float) -> Outcome:
        """Return an anomaly score (0 to 1) with its level, of a patient of whom enough was measured."""
        return Outcome(anomaly_score=score, risk_level=risk_level(score, self.thresholds))

    def not_enough(self, values: Sequence[float | None]) -> NotEnough:
        """Say what is missing for a level, and what was measured that is extreme on its own.

        It is where it would be High had nothing else been measured of a patient of typical age and sex. (As part of a
        complete record no single value could be: the disease-free differ in 13 fields.)
        """
        unknown = [self.typical[name] if field.required else None for name, field in FIELDS.items()]
        extreme = []
        for column, (name, field) in enumerate(FIELDS.items()):
            if values[column] is not None and not field.required:
                # All but age and sex not measured, so that it is compared with others of whom only this is known.
                (alone,) = self.assessments([[*unknown[:column], values[column], *unknown[column + 1 :]]])
                extreme += [name] if alone.anomaly_score >= self.thresholds.high else []
        return NotEnough(needed=self.sufficiency.needed(values), extreme=extreme)

    def assessments(self, patients: Sequence[Sequence[float | None]]) -> list[Assessment]:
        """Score and explain patients by the 13 fields in order, ``None`` where a value was not measured."""
        looked_up = zip(patients, self._attribution.of(patients), strict=True)
        return [self._assessment(values, by_field, log2_score) for values, (by_field, log2_score) in looked_up]

    def _assessment(self, values: Sequence[float | None], by_field: list[float], log2_score: float) -> Assessment:
        raw_score = 2.0**log2_score
        calibration = self.calibration.of(values)
        anomaly_score = calibration.score(raw_score)
        low, high = calibration.interval(raw_score)
        adds_up = abs(self._attribution.base_value + sum(by_field) - log2_score) <= ADDITIVITY
        return Assessment(
            raw_score=raw_score,
            anomaly_score=anomaly_score,
            score_interval=Interval(low=low, high=high),
            risk_level=(
                risk_level(anomaly_score, self.thresholds)
                if self.sufficiency.is_enough(values)
                else RiskLevel.INDETERMINATE
            ),
            base_value=self._attribution.base_value,
            contributions=dict(zip(COLUMNS, by_field, strict=True)) if adds_up and self._may_explain else {},
        )


@dataclass(eq=False)
class Detector:
    """A model that was loaded and verified: what it says, and what is recorded of it.

    ``typical`` holds the medians of the disease-free training patients by wire name, which replace what was not
    measured; ``reference`` the patients that drift is measured from, as counts alone. ``predictive_value`` is that of
    High at the prevalence of the training file; ``None`` where it was not measured, as after a recalibration.
    """

    model: AnomalyModel
    manifest: Manifest

    def __post_init__(self) -> None:
        self.assess, self.thresholds, self.typical = self.model.assess, self.model.thresholds, self.model.typical
        self.model_version, self.reference = self.manifest.model_version, self.manifest.reference
        self.predictive_value = _predictive_value(self.manifest)

    def outlook(self, record: PatientRecord, level: RiskLevel) -> MissingTests | NotEnough | None:
        """Say what the tests that were not measured could still show, or what is missing for a level if there is none.

        It is ``None`` where all was measured.
        """
        values = values_of(record)
        if level not in LEVELS:
            return self.model.not_enough(values)
        return missing_tests(values, self.manifest.possible_values, self.model.complete_scores, self.model.outcome)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The held-out figures that matter most, plain JSON; ``None`` where there is none.

        A recalibrated model has no rates by level: those of the evaluation belong to the earlier calibration.
        """
        # AUROC stays after a recalibration, which reorders patients at most between missingness patterns.
        evaluation = self.manifest.evaluation
        recalibrated = self.manifest.recalibrated_from is not None
        return {
            **{
                level: {rate: None if recalibrated else evaluation.estimate(f"{rate}_{level}").value for rate in RATES}
                for level in by_level(self.thresholds)
            },
            "auroc": evaluation.estimate("auroc").value,
            "patients": evaluation.disease_free + evaluation.with_disease,
            "disease_free": evaluation.disease_free,
            "with_disease": evaluation.with_disease,
            "recalibrated_on": self.manifest.calibration_data.disease_free if recalibrated else None,
        }


def _predictive_value(manifest: Manifest) -> PredictiveValue | None:
    found = manifest.predictive_value
    if found is None or found.value is None or found.low is None or found.high is None:
        return None
    prevalence = manifest.evaluation.prevalence
    return PredictiveValue(value=found.value, low=found.low, high=found.high, prevalence=prevalence)
