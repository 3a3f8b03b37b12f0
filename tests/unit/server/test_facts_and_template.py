"""The deterministic explanation states facts, all of them facts, and nothing that was not measured."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.messages import LEVELS, Interval, MissingTests, NotEnough, Outcome, RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.calibration import risk_level
from server.anomaly.detector import Detector
from server.explanation.facts import (
    facts_of,
    facts_of_stored,
    of_100_in_words,
    score_in_words,
    threshold_in_words,
    value_in_words,
)
from server.explanation.meanings import MEANINGS, RANGES, meaning_of
from server.explanation.template import describe
from tests.support.any_patients import records
from tests.support.made_requests import prediction, request
from tests.support.narratives import THRESHOLDS, factor, facts
from tests.support.patients import real_patients, typical_patient

SHARES = Path(__file__).parents[1] / "shares_in_words.json"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@given(st.floats(0, 1))
def test_a_score_is_cut_not_rounded(score: float) -> None:
    assert Decimal(score_in_words(score)) <= Decimal(repr(score)) < Decimal(score_in_words(score)) + Decimal("0.01")
    assert score_in_words(0.29) == "0.29"  # 0.29 * 100 is 28.999999999999996


@pytest.mark.parametrize(("share", "said"), json.loads(SHARES.read_text(encoding="utf-8")))
def test_a_share_is_said_in_the_text_as_on_the_pages(share: float, said: str) -> None:
    """The pages' own tests read the same file."""
    assert of_100_in_words(float(share)) == said.replace("less", "fewer").replace("%", "of 100")


@pytest.mark.parametrize(
    ("score", "interval", "said"),
    [
        (0.1234, (), "Low: the anomaly score is 0.12, below the Medium threshold of 0.80."),
        (0.9499, (), "Medium: the anomaly score is 0.94, between the Medium threshold of 0.80 and the High "),
        (0.95, (), "High: the anomaly score is 0.95, at or above the High threshold of 0.95."),
        (0.78, (0.71, 0.8), "Low, close to Medium: the anomaly score is 0.78 (95 % interval 0.71 to 0.80), below"),
        (0.9, (0.79, 0.96), "Medium, close to Low and High: the anomaly score is 0.90 (95 % interval 0.79 to 0.96),"),
        (0.96, (0.9499, 0.99), "High, close to Medium: the anomaly score is 0.96 (95 % interval 0.94 to 0.99), at or"),
    ],
)
def test_level_and_score_are_stated_with_the_threshold_and_the_levels_that_the_interval_reaches_into(
    score: float, interval: tuple[float, ...], said: str
) -> None:
    known = facts(risk_level(score, THRESHOLDS), score)
    if interval:
        known = replace(known, interval=Interval(low=interval[0], high=interval[1]))
    assert describe(known).text.startswith(f"Risk level {said}")


def test_what_missing_tests_could_show_is_one_sentence_and_too_little_for_a_level_says_what_is_needed() -> None:
    low, high = (Outcome(anomaly_score=score, risk_level=risk_level(score, THRESHOLDS)) for score in (0.1299, 0.97))
    shown = MissingTests(lowest=low, highest=high, most_informative="thallium_scan", is_sampled=False)
    known = facts(not_measured=("thallium_scan", "st_slope"))
    said = "The result could be Low (0.12) to High (0.97) once measured; measuring thallium scan would narrow the range"
    assert said in describe(replace(known, outlook=shown)).text
    shown = shown.model_copy(update={"highest": low.model_copy(update={"anomaly_score": 0.5})})
    said = "The level would stay Low (score 0.12 to 0.50) whatever the missing tests show; measuring thallium scan"
    assert said in describe(replace(known, outlook=shown)).text
    assert "once measured" not in describe(facts()).text
    why = NotEnough(needed=["chest_pain_type", "max_heart_rate", "thallium_scan"], extreme=["st_depression"])
    text = describe(replace(known, level=RiskLevel.INDETERMINATE, outlook=why)).text
    assert text.endswith(
        "Needed: chest pain type, maximum heart rate or thallium scan. Extreme on its own: ST depression (3.5 mm)."
    )
    assert not re.search("Low|Medium|High|unusual", text)


def test_factors_gaps_and_meanings_are_said_in_plain_sentences() -> None:
    text = describe(facts(not_measured=("st_slope",), extrapolated=("cholesterol",))).text
    for said in (
        "raised most by ST depression (3.5 mm), thallium scan (reversible defect) and resting ECG (left",
        "lowered most by maximum heart rate (171 beats/min).",
        "taken as typical: slope of the ST segment.",
        "less certain: serum cholesterol.",
        "98 of 100 patients without coronary disease with the same tests not measured look less unusual.",
        "This is not the chance of disease.",
        "A reversible defect is reduced uptake after stress that recovers at rest.",
        "An ST depression of 1 mm or more beyond that at rest counts as abnormal",
    ):
        assert said in text
    nothing_moved = describe(facts(RiskLevel.LOW, 0.2, factors=())).text
    assert not re.search("raised|lowered", nothing_moved)


@pytest.mark.parametrize(("age", "said"), [(89, "89 years"), (90, "90 or older"), (120, "90 or older")])
def test_an_age_above_89_is_not_stated(detector: Detector, age: int, said: str) -> None:
    record = typical_patient(dict(detector.typical), age=age, sex=1)
    (assessment,) = detector.assess([record])
    stated = facts_of(record, assessment, detector.thresholds, None).factors
    assert [factor.value for factor in stated if factor.name == "age"] == [said]


@settings(max_examples=60, deadline=None)
@given(record=records)
def test_every_statement_of_the_text_is_a_fact_and_what_is_stored_has_the_same_facts(
    detector: Detector, record: PatientRecord
) -> None:
    (assessment,) = detector.assess([record])
    outlook = detector.outlook(record, assessment.risk_level)
    known = facts_of(record, assessment, detector.thresholds, outlook)
    text = describe(known).text
    missing = outlook if isinstance(outlook, MissingTests) else None
    scores = [known.anomaly_score, *(vars(known.interval).values() if known.interval else [])]
    scores += [missing.lowest.anomaly_score, missing.highest.anomaly_score] if missing else []
    said = ["95, 100", of_100_in_words(known.anomaly_score), *map(score_in_words, scores)]
    said += map(threshold_in_words, vars(known.thresholds).values())
    for name, field in FIELDS.items():
        said.append(field.label)
        if (value := getattr(record, name)) is not None:
            said += [value_in_words(name, value), meaning_of(name, record) or ""]
    assert set(NUMBER.findall(text)) <= set(NUMBER.findall(", ".join(said)))
    assert {factor.name for factor in known.factors}.isdisjoint(record.imputed())
    assert ("Not measured, taken as typical" in text) == bool(record.imputed() and assessment.risk_level in LEVELS)
    sizes = [assessment.contributions[factor.name] for factor in known.factors]
    assert [factor.direction for factor in known.factors] == ["raises" if size > 0 else "lowers" for size in sizes]
    assert sorted(sizes, key=abs, reverse=True) == sizes
    assert 0 not in sizes
    assert len(sizes) <= 5
    made = prediction(request(1))
    by_field = assessment.contributions
    contributions = [part.model_copy(update={"contribution": by_field[part.field]}) for part in made.contributions]
    changes = {"record": record, "thresholds": detector.thresholds, **vars(assessment), "contributions": contributions}
    changes |= {"missing_tests": missing, "not_enough": None if missing else outlook}
    assert facts_of_stored(made.model_copy(update=changes)) == known


def test_each_code_has_a_meaning_and_no_meaning_diagnoses_advises_or_reassures() -> None:
    for name, field in FIELDS.items():
        assert set(MEANINGS.get(name, map(str, field.codes))) == {*map(str, field.codes)}
        assert bool(field.codes) == (name in {*MEANINGS, "sex"})
    meanings = [meaning for said in MEANINGS.values() for meaning in said.values()]
    for meaning in meanings + [one["meaning"] for said in RANGES.values() for one in said]:
        assert re.fullmatch(r"[A-Z]([^.]|[.]\d)+[.]", meaning)  # one sentence
        assert not re.search(
            r"(?i)\b(should|must|need|diagnos|treat|therap|safe|harmless|benign|reassur|probably|healthy|you)", meaning
        )


def test_the_counts_that_a_meaning_states_are_those_of_the_shipped_data() -> None:
    data = real_patients()
    is_asymptomatic = data.values[:, list(FIELDS).index("chest_pain_type")] == 4
    counted = f"{(is_asymptomatic & data.has_disease).sum()} of the {is_asymptomatic.sum()} patients of this type"
    assert counted in MEANINGS["chest_pain_type"]["4"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("resting_bp", 140, "US and European guidelines classify as high"),
        ("resting_bp", 130, "high by US guidelines but not by the 2018 European guideline"),
        ("resting_bp", 129.5, None),
        ("resting_bp", 89, "below 90 mm Hg"),
        ("cholesterol", 240, "classified as high by the National"),
        ("cholesterol", 239.5, "borderline high"),
        ("max_heart_rate", 142, "below 85 % of 220 minus age"),
        ("max_heart_rate", 143, None),  # 85 % of 220 - 52 is 142.8
        ("st_depression", 1, "1 mm or more"),
        ("st_depression", -0.1, "stood higher during exercise than at rest"),
    ],
)
def test_a_quantity_beyond_its_usual_range_has_a_meaning(name: str, value: float, said: str | None) -> None:
    meaning = factor(name, value, "raises").meaning
    assert (meaning is None) == (said is None)
    assert (said or "") in (meaning or "")
