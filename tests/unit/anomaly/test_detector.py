"""Scores and their explanations: they cannot disagree, and they point the right way."""

import math
from dataclasses import asdict

import numpy as np
import orjson
import pytest
from hypothesis import given, settings

from common.messages import RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.attribution import divide_among_fields
from server.anomaly.dataset import matrix_of
from server.anomaly.detector import Detector
from server.anomaly.fitting import average_path_length
from server.anomaly.preprocessing import FACTORS, MEMBERSHIP
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


def test_the_raw_score_is_scikit_learns_turned_around(detector: Detector) -> None:
    model, patients = detector.model, real_records()
    factors = model.preprocessor.factors(model.preprocessor.impute(matrix_of(patients)))
    raw_scores = [said.raw_score for said in detector.assess(patients)]
    assert raw_scores == pytest.approx(-model.forest.score_samples(factors), abs=1e-12)


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
    preprocessor = detector.model.preprocessor
    by_factor = np.linspace(-1, 1, len(FACTORS))[np.newaxis, :]
    effects = preprocessor.field_effects(preprocessor.impute(matrix_of([record])))
    alone = [divide_among_fields(by_factor * unit, effects)[0] for unit in np.eye(len(FACTORS))]
    for factor, by_field in enumerate(alone):
        assert by_field.sum() == pytest.approx(by_factor[0, factor], abs=1e-12)
        assert (by_field[~MEMBERSHIP[:, factor]] == 0).all()


def test_a_batch_says_what_each_patient_alone_would_be_told(detector: Detector) -> None:
    patients = real_records()[:16]
    together = detector.assess(patients)
    for record, said in zip(patients, together, strict=True):
        (alone,) = detector.assess([record])
        assert alone.contributions == pytest.approx(said.contributions, abs=1e-12)
        assert alone.raw_score == pytest.approx(said.raw_score, abs=1e-12)
        assert alone.risk_level is said.risk_level


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


def test_an_equal_share_goes_to_every_field_where_none_differs() -> None:
    by_factor = np.zeros((1, 8))
    by_factor[0, list(FACTORS).index("risk_factors")] = -0.4
    by_field = divide_among_fields(by_factor, np.zeros((1, 13, 8)))[0]
    shares = dict(zip(FIELDS, by_field.tolist(), strict=True))
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        dict.fromkeys(FACTORS["risk_factors"], -0.1)
    )


def test_a_share_goes_only_to_fields_that_point_the_contributions_way(detector: Detector) -> None:
    preprocessor = detector.model.preprocessor
    record = typical_patient(dict(detector.typical), resting_bp=170.0, cholesterol=150.0, resting_ecg=2)
    effects = preprocessor.field_effects(preprocessor.impute(matrix_of([record])))
    by_factor = np.zeros((1, 8))
    by_factor[0, list(FACTORS).index("risk_factors")] = 0.6
    shares = dict(zip(FIELDS, divide_among_fields(by_factor, effects)[0].tolist(), strict=True))
    assert shares["resting_bp"] == pytest.approx(0.6 * 2 / 3)
    assert shares["resting_ecg"] == pytest.approx(0.6 * 1 / 3)
    assert shares["cholesterol"] == 0
