"""The detector rebuilt from docs/detector.md alone: it says the same of a thousand random patients with gaps."""

import csv
from collections.abc import Callable, Mapping
from functools import cache
from math import ceil, exp, log

import numpy as np
import pytest
import shap
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import KFold

from common.patient import FIELDS
from server.anomaly.dataset import FloatArray, rows_of
from server.anomaly.detector import Detector
from server.evaluation.folds import random_values
from tests.support.patients import DATA, small_training

Values = Mapping[str, float]
Patient = Mapping[str, float | None]

NAMES = list(FIELDS)
NOT_CODED = {"age", "resting_bp", "cholesterol", "max_heart_rate", "st_depression"}

FACTORS: list[tuple[list[str], Callable[[Values], float]]] = [
    (["age", "sex"], lambda v: v["age"] + 10 * v["sex"]),
    (["chest_pain_type"], lambda v: v["chest_pain_type"]),
    (
        ["resting_bp", "cholesterol", "fasting_blood_sugar_high", "resting_ecg"],
        lambda v: (
            max(v["resting_bp"] - 120, 0) / 20
            + max(v["cholesterol"] - 200, 0) / 40
            + v["fasting_blood_sugar_high"]
            + (1 if v["resting_ecg"] > 0 else 0)
        ),
    ),
    (["max_heart_rate", "age"], lambda v: 1 - v["max_heart_rate"] / (220 - v["age"])),
    (["exercise_angina"], lambda v: v["exercise_angina"]),
    (["st_depression", "st_slope"], lambda v: max(v["st_depression"], 0) + v["st_slope"] - 1),
    (["major_vessels"], lambda v: v["major_vessels"]),
    (["thallium_scan"], lambda v: {3: 0, 6: 1, 7: 2}[int(v["thallium_scan"])]),
]

SETTINGS = small_training()
"""The page names the defaults; these take a second."""


class Rebuilt:
    """Sections 1 to 4: typical values, factors, forest and contributions."""

    def __init__(self, training: list[Patient]) -> None:
        self.typical = {}
        for name in NAMES:
            measured = sorted(value for patient in training if (value := patient[name]) is not None)
            middle = [measured[(len(measured) - 1) // 2], measured[len(measured) // 2]]
            self.typical[name] = sum(middle) / 2 if name in NOT_CODED else middle[0]
        directed = [[factor(self.complete(patient)) for _, factor in FACTORS] for patient in training]
        self.medians = np.median(directed, axis=0)
        self.forest = IsolationForest(
            n_estimators=SETTINGS.n_estimators, max_samples=SETTINGS.max_samples, random_state=0
        )
        self.forest.fit(np.maximum(directed - self.medians, 0))

    def complete(self, patient: Patient) -> Values:
        return {name: self.typical[name] if (value := patient[name]) is None else value for name in NAMES}

    def factors(self, patients: list[Patient]) -> FloatArray:
        directed = [[factor(self.complete(patient)) for _, factor in FACTORS] for patient in patients]
        return np.maximum(directed - self.medians, 0)

    def raw_scores(self, patients: list[Patient]) -> FloatArray:
        return -np.asarray(self.forest.score_samples(self.factors(patients)), dtype=np.float64)

    def contributions(self, patients: list[Patient]) -> tuple[float, list[dict[str, float]]]:
        samples = SETTINGS.max_samples
        scale = 2 * (log(samples - 1) + np.euler_gamma) - 2 * (samples - 1) / samples
        explainer = shap.TreeExplainer(self.forest)
        by_factor = -explainer.shap_values(self.factors(patients).astype(np.float32)) / scale
        divided = [self.divide(row, self.complete(patient)) for row, patient in zip(by_factor, patients, strict=True)]
        return float(np.ravel(-explainer.expected_value / scale)[0]), divided

    def divide(self, by_factor: FloatArray, patient: Values) -> dict[str, float]:
        by_field = dict.fromkeys(NAMES, 0.0)
        for contribution, (names, factor) in zip(by_factor.tolist(), FACTORS, strict=True):
            effects = [factor({**self.typical, name: patient[name]}) - factor(self.typical) for name in names]
            same_sign = [abs(effect) if effect * contribution > 0 else 0 for effect in effects]
            for name, size in zip(names, same_sign, strict=True):
                by_field[name] += contribution * (size / sum(same_sign) if any(same_sign) else 1 / len(names))
        return by_field


class RebuiltCalibration:
    """Section 5."""

    def __init__(self, training: list[Patient]) -> None:
        self.training = training
        folds = KFold(SETTINGS.calibration_folds, shuffle=True, random_state=0).split(training)
        self.folds = [(Rebuilt([training[i] for i in others]), held_out) for others, held_out in folds]

    @cache  # noqa: B019
    def scores(self, pattern: frozenset[str]) -> list[float]:
        scores: dict[int, float] = {}
        for detector, held_out in self.folds:
            blanked: list[Patient] = [
                {n: None if n in pattern else self.training[i][n] for n in NAMES} for i in held_out
            ]
            scores |= dict(zip(held_out.tolist(), detector.raw_scores(blanked).tolist(), strict=True))
        whole = [i for i in scores if all(self.training[i][n] is not None for n in NAMES if n not in pattern)]
        return sorted(scores[i] for i in (whole if len(whole) >= 19 else scores))

    def anomaly_score(self, patient: Patient, raw: float) -> float:
        c = self.scores(frozenset(name for name in NAMES if patient[name] is None))
        n = len(c)
        if raw < c[0]:
            return raw / c[0] / (n + 1)
        if raw > c[-1]:
            tail = c[-ceil(n / 10) :]
            b = float(np.mean(tail)) - tail[0] or c[-1] - c[0] or c[-1]
            return 1 - exp(-(raw - c[-1]) / b) / (n + 1)
        points = {score: (i + 1) / (n + 1) for i, score in enumerate(c)}
        return float(np.interp(raw, list(points), list(points.values())))


@pytest.fixture(scope="module")
def training() -> list[Patient]:
    with DATA.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Heart Disease"] == "Absence"]
    columns = {name: field.csv_column for name, field in FIELDS.items()}
    return [{name: float(row[column]) if row[column] else None for name, column in columns.items()} for row in rows]


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [dict(zip(NAMES, row, strict=True)) for row in rows_of(random_values(300, seed=11))]


def test_raw_scores_and_contributions_are_those_of_the_page(
    detector: Detector, training: list[Patient], patients: list[Patient]
) -> None:
    rebuilt = Rebuilt(training)
    base_value, contributions = rebuilt.contributions(patients)
    said = detector.model.assessments([list(patient.values()) for patient in patients])
    np.testing.assert_allclose([each.raw_score for each in said], rebuilt.raw_scores(patients), rtol=0, atol=1e-9)
    assert said[0].base_value == pytest.approx(base_value, abs=1e-9)
    told, expected = (
        [list(each.values()) for each in those] for those in ([s.contributions for s in said], contributions)
    )
    np.testing.assert_allclose(told, expected, rtol=0, atol=1e-9)


def test_anomaly_scores_are_those_of_the_page(
    detector: Detector, training: list[Patient], patients: list[Patient]
) -> None:
    calibration = RebuiltCalibration(training)
    said = detector.model.assessments([list(patient.values()) for patient in patients[:40]])
    expected = [calibration.anomaly_score(p, s.raw_score) for p, s in zip(patients, said, strict=False)]
    assert [each.anomaly_score for each in said] == pytest.approx(expected, abs=1e-9)
