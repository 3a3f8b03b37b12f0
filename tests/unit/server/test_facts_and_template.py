"""The deterministic explanation states facts, all of them facts, and nothing that was not measured."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.messages import RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import Detector
from server.explanation.facts import Facts, facts_of, facts_of_stored, score_in_words, share_in_words
from server.explanation.meanings import MEANINGS, meaning_of
from server.explanation.template import describe
from tests.support.made_requests import prediction, request
from tests.support.narratives import factor, facts
from tests.support.patients import records, typical_patient

SHARES = Path(__file__).parents[1] / "shares_in_words.json"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def facts_about(record: PatientRecord, detector: Detector) -> Facts:
    (assessment,) = detector.assess([record])
    return facts_of(record, assessment, detector.thresholds)


@pytest.mark.parametrize(
    ("level", "score", "said"),
    [
        (RiskLevel.LOW, 0.1234, "Low: the anomaly score is 0.123, below the Medium threshold of 0.8."),
        (RiskLevel.MEDIUM, 0.9499, "Medium: the anomaly score is 0.949, between the Medium threshold of 0.8 and the "),
        (RiskLevel.HIGH, 0.95, "High: the anomaly score is 0.950, at or above the High threshold of 0.95."),
    ],
)
def test_level_and_score_are_stated_with_their_threshold(level: RiskLevel, score: float, said: str) -> None:
    assert describe(facts(level, score)).text.startswith(f"Risk level {said}")


@given(st.floats(0, 1))
def test_a_score_is_cut_not_rounded(score: float) -> None:
    assert Decimal(score_in_words(score)) <= Decimal(repr(score)) < Decimal(score_in_words(score)) + Decimal("0.001")
    assert score_in_words(0.57) == "0.570"  # 0.57 * 1000 is 569.9999999999999


@pytest.mark.parametrize(("share", "said"), json.loads(SHARES.read_text(encoding="utf-8")))
def test_a_share_is_said_in_the_text_as_on_the_pages(share: float, said: str) -> None:
    """The pages' own tests read the same file."""
    assert share_in_words(float(share)) == said


def test_factors_gaps_and_meanings_are_said_in_plain_sentences() -> None:
    text = describe(facts(not_measured=("st_slope",), extrapolated=("cholesterol",))).text
    for said in (
        "raised most by ST depression (3.5 mm), thallium scan (reversible defect) and resting ECG (left",
        "lowered most by maximum heart rate (171 beats/min).",
        "taken as typical: slope of the ST segment.",
        "less certain: serum cholesterol.",
        "A reversible defect is reduced uptake under stress that recovers at rest.",
        "An ST depression of 1 mm or more counts as abnormal",
    ):
        assert said in text
    nothing_moved = describe(facts(RiskLevel.LOW, 0.2, factors=())).text
    assert not re.search("raised|lowered", nothing_moved)


@pytest.mark.parametrize(("age", "said"), [(89, "89 years"), (90, "90 or older"), (120, "90 or older")])
def test_an_age_above_89_is_not_stated(detector: Detector, age: int, said: str) -> None:
    stated = facts_about(typical_patient(dict(detector.typical), age=age, sex=1), detector).factors
    assert [factor.value for factor in stated if factor.name == "age"] == [said]


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_every_statement_of_the_text_is_a_fact(detector: Detector, record: PatientRecord) -> None:
    (assessment,) = detector.assess([record])
    known = facts_of(record, assessment, detector.thresholds)
    text = describe(known).text
    allowed = {score_in_words(known.anomaly_score), *NUMBER.findall(share_in_words(known.anomaly_score))}
    allowed |= {f"{threshold:g}" for threshold in (known.thresholds.medium, known.thresholds.high)}
    for name, field in FIELDS.items():
        value = getattr(record, name)
        allowed |= set(NUMBER.findall(field.label))
        if value is not None:
            allowed |= set(NUMBER.findall(meaning_of(name, record) or ""))
            allowed |= set(NUMBER.findall("90" if name == "age" and value > 89 else field.in_words(value)))
    assert set(NUMBER.findall(text)) <= allowed
    assert {factor.name for factor in known.factors}.isdisjoint(record.imputed())
    assert ("Not measured, taken as typical" in text) == bool(record.imputed())
    sizes = [assessment.contributions[factor.name] for factor in known.factors]
    assert [factor.direction for factor in known.factors] == ["raises" if size > 0 else "lowers" for size in sizes]
    assert sorted(sizes, key=abs, reverse=True) == sizes
    assert 0 not in sizes
    assert len(sizes) <= 5


def test_the_facts_of_a_stored_prediction_are_those_it_was_made_with(detector: Detector) -> None:
    record = typical_patient(dict(detector.typical), age=70, sex=1, major_vessels=3, cholesterol=None)
    (assessment,) = detector.assess([record])
    made = prediction(request(1))
    contributions = [
        part.model_copy(update={"contribution": assessment.contributions[part.field]}) for part in made.contributions
    ]
    said = {name: getattr(assessment, name) for name in ("raw_score", "anomaly_score", "risk_level", "base_value")}
    changes = {"record": record, "contributions": contributions, "thresholds": detector.thresholds, **said}
    stored = type(made).model_validate_json(made.model_copy(update=changes).model_dump_json())
    assert facts_of_stored(stored) == facts_about(record, detector)


def test_each_code_has_a_meaning_that_neither_diagnoses_nor_advises_nor_reassures() -> None:
    for name, field in FIELDS.items():
        assert set(MEANINGS.get(name, field.codes)) == set(field.codes)
        assert bool(field.codes) == (name in {*MEANINGS, "sex"})
    for meaning in [meaning for codes in MEANINGS.values() for meaning in codes.values()]:
        assert meaning.endswith(".")
        assert not re.search(r"\b(should|must|need|treat|therapy|safe|harmless|benign|reassur|probably|you)", meaning)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("resting_bp", 140, "140 mm Hg or more"),
        ("resting_bp", 139, None),
        ("resting_bp", 89, "below 90 mm Hg"),
        ("cholesterol", 240, "classified as high"),
        ("cholesterol", 239.5, "borderline high"),
        ("cholesterol", 199, None),
        ("max_heart_rate", 142, "below 85 % of 220 minus age"),
        ("max_heart_rate", 143, None),  # 85 % of 220 - 52 is 142.8
        ("st_depression", 1, "1 mm or more"),
        ("st_depression", 0.9, None),
        ("st_depression", -0.1, "elevation"),
        ("age", 80, None),
    ],
)
def test_a_quantity_beyond_its_usual_range_has_a_meaning(name: str, value: float, said: str | None) -> None:
    meaning = factor(name, value, "raises").meaning
    assert (meaning is None) == (said is None)
    assert (said or "") in (meaning or "")
