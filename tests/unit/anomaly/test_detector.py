"""Scores and their explanations: they cannot disagree, and they point the right way."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings

from common.messages import RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.attribution import FieldShares
from server.anomaly.dataset import COLUMNS, matrix_of
from server.anomaly.detector import Detector
from server.anomaly.fitting import average_path_length
from server.anomaly.preprocessing import FACTORS
from server.anomaly.shapley import CellTables
from server.registry.artifact import load_detector
from tests.support.patients import real_patients, records, typical_patient

WORST = {
    "chest_pain_type": 4,
    "resting_bp": 200.0,
    "cholesterol": 600.0,
    "fasting_blood_sugar_high": 1,
    "resting_ecg": 2,
    "max_heart_rate": 60.0,
    "exercise_angina": 1,
    "st_depression": 6.0,
    "st_slope": 3,
    "major_vessels": 3,
    "thallium_scan": 7,
}


ONE_STEP_WORSE = {
    "chest_pain_type": 1,
    "resting_bp": 20,
    "cholesterol": 40,
    "fasting_blood_sugar_high": 1,
    "max_heart_rate": -15,
    "exercise_angina": 1,
    "st_depression": 1,
    "st_slope": 1,
    "major_vessels": 1,
}

COMMON_ALONE = {"fasting_blood_sugar_high", "resting_ecg"}
"""Findings that many disease-free patients have too, so that one of them isolates nobody."""


def real_records() -> list[PatientRecord]:
    rows = real_patients().frame(np.arange(60)).to_dict("records")
    whole = {name for name, field in FIELDS.items() if field.codes} | {"age"}
    return [
        PatientRecord.check(
            {name: None if math.isnan(v) else int(v) if name in whole else v for name, v in row.items()}
        )
        for row in rows
    ]


@given(record=records)
@settings(max_examples=60, deadline=None)
def test_base_value_and_contributions_add_up_to_the_score(detector: Detector, record: PatientRecord) -> None:
    (said,) = detector.assess([record])
    assert list(said.contributions) == list(FIELDS)
    assert said.base_value + sum(said.contributions.values()) == pytest.approx(math.log2(said.raw_score), abs=1e-9)
    assert 0 < said.raw_score < 1
    assert 0 < said.anomaly_score < 1


@given(record=records)
@settings(max_examples=40, deadline=None)
def test_the_contributions_of_a_factors_own_fields_add_up_to_the_factors(
    detector: Detector, record: PatientRecord
) -> None:
    complete = detector.model.preprocessor.impute(matrix_of([record]))[0].tolist()
    contributions = np.linspace(-1, 1, len(FACTORS))
    for factor, alone in zip(FACTORS.values(), np.diag(contributions).tolist(), strict=True):
        by_field = FieldShares(list(detector.typical.values())).divide(alone, complete)
        assert sum(by_field) == pytest.approx(sum(alone), abs=1e-12)
        assert {COLUMNS[place] for place in np.flatnonzero(by_field)} <= set(factor.fields)


def test_no_patients_get_no_answers(detector: Detector) -> None:
    assert detector.assess([]) == []


def test_answers_are_plain_numbers_that_any_json_writer_takes(detector: Detector) -> None:
    (said,) = detector.assess(real_records()[:1])
    assert orjson.loads(orjson.dumps(asdict(said)))["contributions"] == dict(said.contributions)
    assert orjson.loads(orjson.dumps(detector.typical)) == dict(detector.typical)
    assert orjson.loads(orjson.dumps(detector.metrics)) == dict(detector.metrics)


def test_a_value_not_measured_is_scored_as_the_typical_one(detector: Detector) -> None:
    typical = dict(detector.typical)
    measured = typical_patient(typical, major_vessels=2)
    unmeasured = typical_patient(typical, major_vessels=2, thallium_scan=None, cholesterol=None, max_heart_rate=None)
    (gaps,), (whole,) = detector.assess([unmeasured]), detector.assess([measured])
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


def one_step_worse(record: PatientRecord) -> list[PatientRecord]:
    """The patient with one finding worse, for every finding that can be."""
    worse = []
    for field, step in ONE_STEP_WORSE.items():
        value = getattr(record, field)
        if value is not None and (not FIELDS[field].codes or value + step in FIELDS[field].codes):
            worse.append(PatientRecord.check(record.model_dump() | {field: value + step}))
    return worse


def test_a_worse_finding_hardly_ever_lowers_the_score_and_then_by_little(detector: Detector) -> None:
    """A forest is not monotone by construction: 1.7 % of such steps lower this small one's score, by at most 1.2 %."""
    records = real_records()
    before = zip(records, [said.raw_score for said in detector.assess(records)], strict=True)
    steps = [(worse, raw_score) for record, raw_score in before for worse in one_step_worse(record)]
    after = [said.raw_score for said in detector.assess([worse for worse, _ in steps])]
    gains = np.array(after) / np.array([raw_score for _, raw_score in steps]) - 1
    assert gains.size > 400
    assert (gains < -1e-9).mean() < 0.03
    assert gains.min() > -0.02


def test_the_typical_patient_is_low_and_one_with_every_finding_high(detector: Detector) -> None:
    typical = dict(detector.typical)
    low, high = detector.assess([typical_patient(typical), typical_patient(typical, age=75, **WORST)])
    assert (low.risk_level, high.risk_level) == (RiskLevel.LOW, RiskLevel.HIGH)
    assert low.anomaly_score < 0.5
    assert high.anomaly_score > 0.99


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (2, 1), (16, 4.6955), (256, 10.2448)])
def test_the_average_path_length_is_that_of_the_paper(n: int, expected: float) -> None:
    assert average_path_length(n) == pytest.approx(expected, abs=1e-4)


def shares_of(detector: Detector, contribution: float, **changes: float) -> dict[str, float]:
    """How the fields share a contribution of the risk factors, in a typical patient but for some fields."""
    alone = [contribution * (name == "risk_factors") for name in FACTORS]
    patient = list((dict(detector.typical) | changes).values())
    by_field = FieldShares(list(detector.typical.values())).divide(alone, patient)
    return {name: share for name, share in zip(FIELDS, by_field, strict=True) if share}


def test_an_equal_share_goes_to_every_field_where_none_differs(detector: Detector) -> None:
    assert shares_of(detector, -0.4) == pytest.approx(dict.fromkeys(FACTORS["risk_factors"].fields, -0.1))


def test_a_share_goes_only_to_fields_that_point_the_contributions_way(detector: Detector) -> None:
    changes = {"resting_bp": 170.0, "cholesterol": 150.0, "resting_ecg": 2}
    assert shares_of(detector, 0.6, **changes) == pytest.approx({"resting_bp": 0.4, "resting_ecg": 0.2})
    assert shares_of(detector, -0.3, **changes) == pytest.approx({"cholesterol": -0.3})


LookUp = Callable[[CellTables, Sequence[float]], tuple[list[float], float]]

honest = CellTables.look_up


def nothing(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    contributions, log2_score = honest(tables, factors)
    return [math.nan] * len(contributions), log2_score


def a_little_more(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    contributions, log2_score = honest(tables, factors)
    return [contribution * 1.001 for contribution in contributions], log2_score


def to_others(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
    """Each factor's contribution given to its neighbour, so that the sum stays."""
    contributions, log2_score = honest(tables, factors)
    return contributions[1:] + contributions[:1], log2_score


@pytest.mark.parametrize("broken", [nothing, a_little_more])
def test_contributions_that_do_not_add_up_are_taken_away_and_nothing_else(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, broken: LookUp
) -> None:
    detector = load_detector(detector_dir)
    patients = [typical_patient(dict(detector.typical)), typical_patient(dict(detector.typical), **WORST)]
    before = detector.assess(patients)
    monkeypatch.setattr(CellTables, "look_up", broken)
    assert detector.assess(patients) == [replace(said, contributions={}) for said in before]
    assert (detector.model.explains, detector.model.unexplained) == (False, 2)
    assert detector.model.trouble == "the contributions do not add up to the score"
    monkeypatch.setattr(CellTables, "look_up", honest)
    assert detector.assess(patients) == before
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


def test_only_the_patient_whose_contributions_do_not_add_up_goes_without(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = iter([honest, a_little_more, honest])

    def by_turns(tables: CellTables, factors: Sequence[float]) -> tuple[list[float], float]:
        return next(ways)(tables, factors)

    monkeypatch.setattr(CellTables, "look_up", by_turns)
    first, second, third = detector.assess([typical_patient(dict(detector.typical), **WORST)] * 3)
    assert list(first.contributions) == list(third.contributions) == list(FIELDS)
    assert second.contributions == {}
