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
from server.explanation.facts import Facts, facts_of, score_in_words, share_in_words
from server.explanation.meanings import MEANINGS, meaning_of
from server.explanation.template import describe
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
        (RiskLevel.LOW, 0.1234, "Risk level Low: the anomaly score is 0.123, below the Medium threshold of 0.8."),
        (
            RiskLevel.MEDIUM,
            0.9499,
            "Risk level Medium: the anomaly score is 0.949, "
            "between the Medium threshold of 0.8 and the High threshold of 0.95.",
        ),
        (RiskLevel.HIGH, 0.95, "Risk level High: the anomaly score is 0.950, at or above the High threshold of 0.95."),
    ],
)
def test_level_and_score_are_stated_with_their_threshold(level: RiskLevel, score: float, said: str) -> None:
    assert describe(facts(level, score)).text.startswith(said)


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (0.9499, "0.949"),
        (0.94999999999, "0.949"),
        (0.95, "0.950"),
        (0.57, "0.570"),  # 0.57 * 1000 is 569.9999999999999
        (0.0, "0.000"),
        (1e-7, "0.000"),
        (0.9996, "0.999"),
        (1.0, "1.000"),
    ],
)
def test_a_score_is_cut_not_rounded(score: float, shown: str) -> None:
    assert score_in_words(score) == shown


@pytest.mark.parametrize(("share", "said"), json.loads(SHARES.read_text(encoding="utf-8")))
def test_a_share_is_said_in_the_text_as_on_the_pages(share: float, said: str) -> None:
    """The pages' own tests read the same file."""
    assert share_in_words(float(share)) == said


@given(st.floats(0, 1))
def test_a_shown_score_never_exceeds_the_score(score: float) -> None:
    assert Decimal(score_in_words(score)) <= Decimal(repr(score)) < Decimal(score_in_words(score)) + Decimal("0.001")


def test_labels_keep_their_abbreviations_within_a_sentence() -> None:
    text = describe(facts(not_measured=("st_slope",), extrapolated=("cholesterol",))).text
    assert "raised most by ST depression (3.5 mm), thallium scan (reversible defect) and resting ECG (left" in text
    assert "lowered most by maximum heart rate (171 beats/min)." in text
    assert "taken as typical: slope of the ST segment." in text
    assert "less certain: serum cholesterol." in text


def test_nothing_is_said_of_factors_where_none_moved_the_score() -> None:
    text = describe(facts(RiskLevel.LOW, 0.2, factors=())).text
    assert "raised" not in text
    assert "lowered" not in text


@pytest.mark.parametrize(
    ("age", "said"),
    [(89, "89 years"), (90, "90 or older"), (97, "90 or older"), (120, "90 or older")],
)
def test_an_age_above_89_is_not_stated(detector: Detector, age: int, said: str) -> None:
    stated = facts_about(typical_patient(dict(detector.typical), age=age, sex=1), detector).factors
    assert [factor.value for factor in stated if factor.name == "age"] == [said]


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_every_number_of_the_text_is_a_fact(detector: Detector, record: PatientRecord) -> None:
    known = facts_about(record, detector)
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


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_what_was_not_measured_is_said_so_and_never_as_a_value(detector: Detector, record: PatientRecord) -> None:
    known = facts_about(record, detector)
    text = describe(known).text
    assert {factor.name for factor in known.factors}.isdisjoint(record.imputed())
    assert "(not measured)" not in text
    assert ("Not measured, taken as typical" in text) == bool(record.imputed())


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_a_factor_is_stated_in_the_direction_of_its_contribution(detector: Detector, record: PatientRecord) -> None:
    (assessment,) = detector.assess([record])
    for stated in facts_of(record, assessment, detector.thresholds).factors:
        assert (stated.direction == "raises") == (assessment.contributions[stated.name] > 0)


def test_factors_are_ordered_by_size_and_ties_by_field_order(detector: Detector) -> None:
    (assessment,) = detector.assess([typical_patient(dict(detector.typical), age=70, sex=1, major_vessels=3)])
    stated = facts_of(typical_patient(dict(detector.typical)), assessment, detector.thresholds).factors
    sizes = [abs(assessment.contributions[factor.name]) for factor in stated]
    assert sizes == sorted(sizes, reverse=True)
    assert len(stated) <= 5
    assert 0 not in sizes


def test_each_code_has_a_meaning_and_says_it_after_the_factors() -> None:
    for name, field in FIELDS.items():
        assert set(MEANINGS.get(name, field.codes)) == set(field.codes)
        assert bool(field.codes) == (name in {*MEANINGS, "sex"})
    text = describe(facts()).text
    assert "A reversible defect is reduced uptake under stress that recovers at rest." in text
    assert "An ST depression of 1 mm or more counts as abnormal" in text


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
        ("sex", 1, None),
    ],
)
def test_a_quantity_beyond_its_usual_range_has_a_meaning(name: str, value: float, said: str | None) -> None:
    meaning = factor(name, value, "raises").meaning
    assert (meaning is None) == (said is None)
    assert (said or "") in (meaning or "")


def test_no_meaning_diagnoses_advises_or_reassures() -> None:
    for meaning in [meaning for codes in MEANINGS.values() for meaning in codes.values()]:
        assert meaning.endswith(".")
        assert not re.search(r"\b(should|must|need|treat|therapy|safe|harmless|benign|reassur|probably|you)", meaning)
