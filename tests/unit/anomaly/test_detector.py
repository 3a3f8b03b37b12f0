"""Scores and their explanations: they cannot disagree, and they point the right way."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from common.messages import RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import Detector
from server.anomaly.shapley import CellTables
from server.registry.artifact import load_detector
from tests.support.any_patients import records
from tests.support.patients import typical_patient

WORST = {name: max(field.codes) for name, field in FIELDS.items() if field.codes and name != "sex"} | {
    "resting_bp": 200.0, "cholesterol": 600.0, "max_heart_rate": 60.0, "st_depression": 6.0,
}  # fmt: skip

# Many disease-free patients have them too, so that one of them isolates nobody.
COMMON_ALONE = {"fasting_blood_sugar_high", "resting_ecg"}


@given(record=records)
@settings(max_examples=60, deadline=None)
def test_base_value_and_contributions_add_up_to_the_score(detector: Detector, record: PatientRecord) -> None:
    (said,) = detector.assess([record])
    assert list(said.contributions) == list(FIELDS)
    assert said.base_value + sum(said.contributions.values()) == pytest.approx(math.log2(said.raw_score), abs=1e-9)
    assert 0 < said.raw_score < 1
    assert 0 < said.anomaly_score < 1


def test_a_value_not_measured_is_scored_as_the_typical_one(detector: Detector) -> None:
    measured = typical_patient(dict(detector.typical), major_vessels=2)
    unmeasured = measured.model_copy(update=dict.fromkeys(["thallium_scan", "cholesterol", "max_heart_rate"]))
    gaps, whole = detector.assess([unmeasured, measured])
    assert (gaps.raw_score, gaps.contributions) == (whole.raw_score, whole.contributions)
    assert gaps.anomaly_score > whole.anomaly_score  # others without these three stand out less


@pytest.mark.parametrize(("field", "value"), [item for item in WORST.items() if item[0] not in COMMON_ALONE])
def test_a_planted_finding_pulls_toward_anomalous_by_its_own_field(
    detector: Detector, field: str, value: float
) -> None:
    typical = dict(detector.typical)
    normal, planted = detector.assess([typical_patient(typical), typical_patient(typical, **{field: value})])
    assert planted.raw_score >= normal.raw_score
    gained = {name: planted.contributions[name] - normal.contributions[name] for name in FIELDS}
    assert max(gained, key=gained.__getitem__) == field
    assert planted.contributions[field] > 0


LookUp = Callable[[CellTables, Sequence[float]], tuple[list[float], float]]

honest = CellTables.look_up


def nothing(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    contributions, log2_score = honest(tables, factors)
    return [math.nan] * len(contributions), log2_score


def a_little_more(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    contributions, log2_score = honest(tables, factors)
    return [contribution * 1.001 for contribution in contributions], log2_score


def to_others(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    """Each factor's contribution given to its neighbor, so that the sum stays."""
    contributions, log2_score = honest(tables, factors)
    return contributions[1:] + contributions[:1], log2_score


@pytest.mark.parametrize("broken", [nothing, a_little_more])
def test_contributions_that_do_not_add_up_are_taken_away_from_that_patient_and_nothing_else(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, broken: LookUp
) -> None:
    detector = load_detector(detector_dir)
    patients = [typical_patient(dict(detector.typical)), typical_patient(dict(detector.typical), **WORST)]
    before = detector.assess(patients)
    ways = iter([honest, broken])

    def by_turns(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
        return next(ways)(tables, factors)

    monkeypatch.setattr(CellTables, "look_up", by_turns)
    assert detector.assess(patients) == [before[0], replace(before[1], contributions={})]
    assert detector.model.explains


@pytest.mark.parametrize("broken", [nothing, a_little_more, to_others])
def test_a_model_that_does_not_reproduce_its_known_contributions_scores_without_and_logs_nothing(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: LookUp
) -> None:
    """What is loaded beside green threads must not take the locks of the log."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(CellTables, "look_up", broken)
    detector = load_detector(detector_dir)
    assert caplog.records == []
    assert not detector.model.explains
    assert detector.model.trouble is not None
    monkeypatch.setattr(CellTables, "look_up", honest)
    (said,) = detector.assess([typical_patient(dict(detector.typical), **WORST)])
    assert (said.risk_level, said.contributions) == (RiskLevel.HIGH, {})
