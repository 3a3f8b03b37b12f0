"""What a language model wrote is shown only if it is true to the facts and nothing beyond them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.messages import RiskLevel
from server.narrative.guard import GuardError, check_whole, checked_sentence, sentences_of
from server.narrative.prompt import prompt_of
from tests.unit.server.narratives import GOOD_SENTENCES, GOOD_TEXT, GOOD_TEXT_FILLED, factor, facts

FACTS = facts(not_measured=("Slope of the ST segment",))
RAISES = "The ST depression ([[st_depression]]) raises the score"


def test_the_worked_example_that_the_model_is_given_passes() -> None:
    example = prompt_of(FACTS)[2]["content"]
    factors = (factor("resting_ecg", 2, "raises"), factor("cholesterol", 180, "lowers"))
    of_example = facts(RiskLevel.MEDIUM, 0.9, factors=factors, not_measured=("Slope of the ST segment",))
    check_whole(example, of_example)
    assert "[[" not in "".join(checked_sentence(sentence, of_example) for sentence in sentences_of(example))


def test_a_good_text_passes_with_its_slots_filled() -> None:
    check_whole(GOOD_TEXT, FACTS)
    assert " ".join(checked_sentence(sentence, FACTS) for sentence in sentences_of(GOOD_TEXT)) == GOOD_TEXT_FILLED


@pytest.mark.parametrize(
    "sentence",
    [
        *GOOD_SENTENCES,
        "The slope of the ST segment was not measured and is taken as typical.",
        "The fasting blood sugar over 120 mg/dL ([[fasting_blood_sugar_high]]) raises the score.",
        "On average, this record is more unusual than those of disease-free patients.",
        "The score of [[anomaly_score]] is higher than the threshold of [[threshold]].",
        "The resting ECG, which shows [[resting_ecg]], raises the anomaly score as well.",
        "With a score of [[anomaly_score]], this patient's record lies above the threshold of [[threshold]].",
        "This places the record at the High risk level.",
        "The strongest contribution comes with the ST depression ([[st_depression]]), which raises the score.",
        "The thallium scan ([[thallium_scan]]) also increases the anomaly score, though to a lesser degree.",
        "The score is pushed up mainly by the ST depression of [[st_depression]].",
        "In contrast, the maximum heart rate of [[max_heart_rate]] reduces the score somewhat.",
        "On the other hand, it is lowered by the maximum heart rate ([[max_heart_rate]]).",
        "The anomaly score of [[anomaly_score]] exceeds the threshold of [[threshold]] for this level.",
        "The slope of the ST segment has not been measured, and a typical value was assumed in its place.",
        "Overall, the record is more unusual than the records of most disease-free patients.",
        "Both the ST depression ([[st_depression]]) and the resting ECG ([[resting_ecg]]) contribute by raising it.",
    ],
)
def test_a_sentence_that_describes_the_facts_passes(sentence: str) -> None:
    assert "[[" not in checked_sentence(sentence, FACTS)


@pytest.mark.parametrize(
    ("sentence", "because"),
    [
        ("The anomaly score is 0.99.", "number"),
        ("The anomaly score is ٠٫٩٩.", "number"),
        ("The anomaly score is ½ of it.", "number"),
        ("The score is Ⅳ.", "number"),
        ("The anomaly score is ninety-nine of a hundred.", "number"),
        ("The score is sixteen.", "number"),
        ("The score is twice as unusual.", "number"),
        ("The score is a third of it.", "number"),
        ("The ST depression ([[st_depression]]) of 4 mm raises the score.", "number"),
        ("The value ([[systolic]]) raises the score.", "not among the facts"),
        ("The serum cholesterol ([[cholesterol]]) raises the score.", "not among the facts"),
        ("Serum cholesterol raises the score.", "not among the facts"),
        ("The age raises the score.", "not among the facts"),
        ("The slope of the ST segment raises the score.", "not among the facts"),
        ("The major vessels were not measured.", "not among the facts"),
        ("Stress raises the score.", "without naming a factor"),
        ("The ST depression ([[st_depression]]) lowers the score.", "wrong direction"),
        ("The maximum heart rate ([[max_heart_rate]]) raises the score.", "wrong direction"),
        ("The ST depression lowers the score.", "wrong direction"),
        ("The ST depression ([[st_depression]]) raises and lowers the score.", "wrong direction"),
        ("The ST depression ([[st_depression]]) does not raise the score.", "negates"),
        ("The ST depression ([[st_depression]]) never raises the score.", "negates"),
        ("The [[st_depression]] raises and the [[max_heart_rate]] lowers the score.", "both directions"),
        ("The ST depression ([[st_depression]]) is notable.", "wrong direction"),
        ("The risk level is Low.", "another risk level"),
        ("The level is low.", "another risk level"),
        ("The patient is at moderate risk.", "another risk level"),
        ("The risk is minimal.", "another risk level"),
        ("The patient should see a cardiologist.", "beyond describing"),
        ("Treatment with aspirin is advised.", "beyond describing"),
        ("There is no need to worry.", "beyond describing"),
        ("This confirms a diagnosis.", "beyond describing"),
        ("The patient has heart disease.", "beyond describing"),
        ("A heart attack is likely.", "beyond describing"),
        ("See https://example.org for more.", "beyond describing"),
        ("See www.example.org for more.", "beyond describing"),
        ("The <b>score</b> is unusual.", "beyond describing"),
        ("The **score** is unusual.", "beyond describing"),
        ("The score is [unusual].", "beyond describing"),
        ("The sc\u200bore is unusual.", "beyond describing"),
        ("The score\u202e is unusual.", "beyond describing"),
        ("The sco\u00adre is unusual.", "beyond describing"),
        ("The score is unusual 😀.", "beyond describing"),
        ("Ignore the previous instructions.", "beyond describing"),
        ("As a language model, this is unusual.", "beyond describing"),
        (f"{RAISES} because arteries are blocked and plaque is present.", "outside the allowed"),
        (f"{RAISES}, so immediate hospital admission is needed.", "outside the allowed"),
        (f"{RAISES}, and catheterization is warranted.", "outside the allowed"),
        (f"{RAISES} and the patient is in danger of cardiac arrest.", "outside the allowed"),
        ("The arteries are blocked.", "outside the allowed"),
        ("The patient needs rest.", "outside the allowed"),
        ("The patient is free of it.", "outside the allowed"),
        ("The patient is well.", "outside the allowed"),
        ("The risk level is not High.", "outside the allowed"),
        ("The score is höher.", "outside the allowed"),
        ("The cholesterol is unusual.", "outside the allowed"),
    ],
)
def test_a_sentence_beyond_the_facts_is_withheld(sentence: str, because: str) -> None:
    with pytest.raises(GuardError, match=because) as raised:
        checked_sentence(sentence, FACTS)
    assert sentence not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("The risk level is High.", "too short"),
        (GOOD_TEXT + " The score is unusual." * 40, "too long"),
        (f"{GOOD_SENTENCES[0]} {GOOD_SENTENCES[2]} The record is an unusual one.", "leaves out a factor"),
        (GOOD_TEXT.replace("The risk level is High, with", "It has"), "does not name the risk level"),
    ],
)
def test_a_text_that_leaves_out_what_matters_is_withheld(text: str, because: str) -> None:
    with pytest.raises(GuardError, match=because):
        check_whole(text, FACTS)


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
    assert not any(character.isnumeric() for character in re.sub(r"over 120 mg", "", passed, flags=re.IGNORECASE))
    assert not set(passed) & set("<>{}[]`*#|\\\u200b\u202e\ufeff")
