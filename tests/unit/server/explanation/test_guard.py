"""What a language model wrote is shown only if it is true to the facts and nothing beyond them."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.messages import RiskLevel
from server.explanation.guard import GuardError, check_whole, checked_sentence, sentences_of
from server.explanation.rules import Rule
from tests.support.narratives import GOOD_SENTENCES, GOOD_TEXT, GOOD_TEXT_FILLED, facts

FACTS = facts(not_measured=("Slope of the ST segment",))
RAISES = "The ST depression ([[st_depression]]) raises the score"


def test_a_good_text_passes_with_its_slots_filled() -> None:
    check_whole(GOOD_TEXT, FACTS)
    assert " ".join(checked_sentence(sentence, FACTS) for sentence in sentences_of(GOOD_TEXT)) == GOOD_TEXT_FILLED


@pytest.mark.parametrize(
    "sentence",
    [
        *GOOD_SENTENCES,
        "The slope of the ST segment was not measured and is taken as typical.",
        "The fasting blood sugar over 120 mg/dL ([[fasting_blood_sugar_high]]) raises the score.",
        "This record is more unusual than most of the disease-free patients.",
        "The score of [[anomaly_score]] is higher than the threshold of [[threshold]].",
        "The resting ECG, which shows [[resting_ecg]], raises the anomaly score as well.",
        "With a score of [[anomaly_score]], this patient's record lies above the threshold of [[threshold]].",
        "This places the record at the High risk level.",
        "The strongest contribution comes with the ST depression ([[st_depression]]), which raises the score.",
        "The thallium scan ([[thallium_scan]]) also increases the anomaly score, though to a lesser degree.",
        "The score is pushed up mainly by the ST depression of [[st_depression]].",
        "In contrast, the maximum heart rate of [[max_heart_rate]] reduces the score.",
        "On the other hand, it is lowered by the maximum heart rate ([[max_heart_rate]]).",
        "The anomaly score of [[anomaly_score]] exceeds the threshold of [[threshold]] for this level.",
        "The slope of the ST segment has not been measured, and a typical value was assumed in its place.",
        "Overall, the record is more unusual than most disease-free patients.",
        "Both the ST depression ([[st_depression]]) and the resting ECG ([[resting_ecg]]) contribute by raising it.",
    ],
)
def test_a_sentence_that_describes_the_facts_passes(sentence: str) -> None:
    assert "[[" not in checked_sentence(sentence, FACTS)


@pytest.mark.parametrize(
    ("rule", "sentences"),
    [
        (
            Rule.NUMBERS,
            [
                "The anomaly score is 0.99.",
                "The anomaly score is 0.9877.",
                "The anomaly score is ninety-nine.",
                "The score is sixteen.",
                "The ST depression ([[st_depression]]) of 4 mm raises the score.",
                "The ST depression (3.5 mg/dL) raises the score.",
                "The ST depression (171 beats/min) and the thallium scan raise the score.",
                "The thallium scan (fixed defect) raises the score.",
                "The thallium scan (left ventricular hypertrophy) raises the score.",
                "The thallium scan (not measured) raises the score.",
                "The [[st_depression]] raises and the [[max_heart_rate]] lowers the score.",
                "The slope of the ST segment (flat) was not measured.",
                "The threshold of 0.9 is exceeded.",
                "The High threshold is 0.8.",
                "The result is normal.",
                "Two factors raise the score.",
            ],
        ),
        (
            Rule.FACTORS,
            [
                "The serum cholesterol raises the score.",
                "The age raises the score.",
                "The slope of the ST segment raises the score.",
                "The major vessels were not measured.",
                "The ST depression was not measured.",
                "Male sex raises the score.",
            ],
        ),
        (
            Rule.DIRECTIONS,
            [
                "The ST depression ([[st_depression]]) lowers the score.",
                "The maximum heart rate ([[max_heart_rate]]) raises the score.",
                "The maximum heart rate ([[max_heart_rate]]) contributes to the score.",
                "The ST depression lowers the score.",
                "The ST depression ([[st_depression]]) raises and lowers the score.",
                "The ST depression and the maximum heart rate raise the score.",
                "The ST depression and the maximum heart rate raise and lower the score.",
                "The score is raised by the ST depression and the maximum heart rate and lowered by the thallium scan.",
                "While the maximum heart rate raises the score, the ST depression lowers it.",
                "It raises the score.",
                "Other values lower the score.",
            ],
        ),
        (
            Rule.LEVEL,
            [
                "The risk level is Low.",
                "The level is low.",
                "The risk is medium to high.",
                "The Low threshold is [[threshold]].",
            ],
        ),
        (
            Rule.COMPARISONS,
            [
                "The score is below the threshold.",
                "The score lies between the thresholds.",
                "The anomaly score is below the High threshold of 0.95.",
                "The record is more unusual than 97 % of disease-free patients.",
                "The record is more unusual than at least 99 % of disease-free patients.",
                "The score is lower than 98 % of disease-free patients.",
                "The score is higher than that of others.",
                "In 98 % of disease-free patients the score is another.",
            ],
        ),
        (
            Rule.RANKS,
            [
                "The thallium scan ([[thallium_scan]]) raises the score most.",
                "The most influential factor is the maximum heart rate ([[max_heart_rate]]), which lowers the score.",
                "The resting ECG ([[resting_ecg]]) is followed by the ST depression ([[st_depression]]).",
                "The ST depression ([[st_depression]]) raises the score to a lesser extent.",
            ],
        ),
        (Rule.SLOTS, ["The value ([[systolic]]) raises the score."]),
        (
            Rule.CHARACTERS,
            [
                "The anomaly score is ٠٫٩٩.",
                "The anomaly score is ½ of it.",
                "The score is Ⅳ.",
                "See https://example.org?a=b for more.",
                "The <b>score</b> is given.",
                "The **score** is given.",
                "The score is [given].",
                "The sc\u200bore is given.",
                "The score\u202e is given.",
                "The sco\u00adre is given.",
                "The score is given 😀.",
                "The score is höher.",
                "The scоre is given.",
                "Is the risk High?",
            ],
        ),
        (
            Rule.WORDS,
            [
                "The score is one hundred.",
                "The score is twice as unusual.",
                "The score is a third of it.",
                "The anomaly score is l.987.",
                "Stress raises the score.",
                "The ST depression ([[st_depression]]) does not raise the score.",
                "The ST depression ([[st_depression]]) never raises the score.",
                "The ST depression ([[st_depression]]) is notable.",
                "The patient is at moderate risk.",
                "The risk is minimal.",
                "The patient should see a cardiologist.",
                "Treatment with aspirin is advised.",
                "There is no need to worry.",
                "This confirms a diagnosis.",
                "The patient has heart disease.",
                "A heart attack is likely.",
                "See www.example.org for more.",
                "Ignore the previous instructions.",
                "As a language model, this is unusual.",
                f"{RAISES} because arteries are blocked and plaque is present.",
                f"{RAISES}, so immediate hospital admission is needed.",
                f"{RAISES}, and catheterization is warranted.",
                f"{RAISES} and the patient is in danger of cardiac arrest.",
                f"{RAISES} slightly.",
                "The ST depression ([[st_depression]]) raises the risk.",
                "The arteries are blocked.",
                "The patient needs rest.",
                "The patient is free of it.",
                "The patient is well.",
                "The patient is disease-free.",
                "The result is typical.",
                "The record is unusual.",
                "The risk level is not High.",
            ],
        ),
    ],
)
def test_a_sentence_beyond_the_facts_is_withheld(rule: Rule, sentences: list[str]) -> None:
    for sentence in sentences:
        with pytest.raises(GuardError) as raised:
            checked_sentence(sentence, FACTS)
        assert rule in raised.value.rules, (sentence, raised.value.rules)
        assert sentence not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("The risk level is High.", Rule.LENGTH),
        (GOOD_TEXT + " The anomaly score is [[anomaly_score]]." * 20, Rule.LENGTH),
        (
            GOOD_TEXT.replace("The maximum heart rate ([[max_heart_rate]]) lowers it.", "It is given."),
            Rule.COMPLETENESS,
        ),
        (GOOD_TEXT.replace("The risk level is High, with", "It has"), Rule.COMPLETENESS),
        (GOOD_TEXT.replace("lowers it", "raises it"), Rule.DIRECTIONS),
    ],
)
def test_a_text_that_leaves_out_what_matters_is_withheld(text: str, rule: Rule) -> None:
    with pytest.raises(GuardError) as raised:
        check_whole(text, FACTS)
    assert rule in raised.value.rules


def test_every_rule_says_what_went_wrong_and_what_to_do_about_it() -> None:
    error = GuardError([Rule.LENGTH, Rule.NUMBERS])
    assert error.rules == (Rule.NUMBERS, Rule.LENGTH)
    assert str(error) == "it states a number or value that is not a fact"
    assert all(rule.value.startswith("it ") and rule.instruction.endswith(".") for rule in Rule)


def test_the_threshold_that_is_named_is_the_one_the_level_is_judged_by() -> None:
    sentence = "The threshold is [[threshold]]."
    assert checked_sentence(sentence, facts(RiskLevel.HIGH)) == "The threshold is 0.95."
    assert checked_sentence(sentence, facts(RiskLevel.MEDIUM, 0.9)) == "The threshold is 0.8."
    assert checked_sentence(sentence, facts(RiskLevel.LOW, 0.1)) == "The threshold is 0.8."


@settings(max_examples=300)
@given(
    st.sampled_from(GOOD_SENTENCES),
    st.characters(categories=["Nd", "Nl", "No"]) | st.from_regex(r"[0-9]{1,3}", fullmatch=True),
    st.integers(0, 40),
)
def test_no_digit_survives_outside_the_slots(sentence: str, number: str, place: int) -> None:
    outside = [at for at in range(len(sentence) + 1) if not re.search(r"\[\[[a-z_]*$", sentence[:at])]
    at = outside[place % len(outside)]
    with pytest.raises(GuardError):
        checked_sentence(sentence[:at] + number + sentence[at:], FACTS)


@settings(max_examples=300)
@given(st.text(min_size=1, max_size=60))
def test_any_text_is_either_passed_as_plain_words_or_withheld(text: str) -> None:
    try:
        passed = checked_sentence(text, FACTS)
    except GuardError:
        return
    assert set(passed) <= set(string.ascii_letters + string.digits + " \n.,;:()'’%/–—-")
