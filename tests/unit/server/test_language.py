"""What a language model is told, and the language of true texts that it is held to: nothing false belongs to it."""

import hashlib
import re
import time
from dataclasses import replace
from random import Random

import pytest

from common.messages import LEVELS, RiskLevel, Thresholds
from common.patient import FIELDS
from server.explanation.facts import Facts
from server.explanation.language import FACTORS, WithheldError, checked, fact_forms, is_true
from server.explanation.prompt import PROMPT_VERSION, grammar_of, prompt_of, sentences
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, TYPICAL, factor, facts
from tests.support.true_texts import FACTOR_TOKENS, OPPOSITE, random_facts, random_tokens, untruths, written

OPENING = (
    "The risk level is High: the anomaly score ([[anomaly_score]]) is at or above the High threshold of [[threshold]]."
)
A, B, C = "The ST depression ([[st_depression]])", "the thallium scan", "the maximum heart rate ([[max_heart_rate]])"
MANY = pytest.mark.parametrize(
    "number", [100, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]
)


def withheld(known: Facts, draft: str) -> str | None:
    """Return why a draft is withheld, if it is."""
    try:
        checked(known, draft)
    except WithheldError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "rest",
    [
        f"{A} and {B} raise the score. {C} lowers it.",
        f"{A} raises the score. [[st_depression_meaning]] {B} also raises the score. [[thallium_scan_meaning]] "
        f"However, {C} lowers the score.",
        f"The anomaly score is raised by {A}, {B} and the resting ECG and lowered by {C}.",
        f"The following factors raise the score: {A}, {B}. In contrast, {C} lowers the score.",
        f"The ST depression ([[st_depression]] mm) raises the score. {B} (reversible defect) increases the score. "
        f"A reversible defect is reduced uptake after stress that recovers at rest. {C} reduces the score.",
    ],
)
def test_what_is_true_is_accepted_and_every_slot_is_filled(rest: str) -> None:
    text = checked(facts(), f"{OPENING} {rest}".replace(" ", " \n "))
    assert text.startswith(
        "The risk level is High: the anomaly score (0.98) is at or above the High threshold of 0.95. "
    )
    assert "3.5 mm" in text
    assert not re.search(r"\[\[|mm mm|  |\n|defectalso", text)
    assert checked(facts(), GOOD_TEXT) == GOOD_TEXT_FILLED


@pytest.mark.parametrize(("limit", "shown"), [("[[threshold]]", "0.80"), ("0.80", "0.80"), ("0.8", "0.8")])
def test_a_threshold_is_shown_with_two_digits_and_accepted_with_one(limit: str, shown: str) -> None:
    rest = f"{A} and {B} raise the score. {C} lowers it."
    text = f"The risk level is Low: the anomaly score is [[anomaly_score]], below the threshold of {limit}. {rest}"
    assert f"below the threshold of {shown}." in checked(facts(RiskLevel.LOW, 0.4), text)


HIGH, LOW = facts(), facts(RiskLevel.LOW, 0.4)
GAPS = facts(not_measured=("st_slope",), extrapolated=("cholesterol",))
GAP, OUTSIDE = "The ST slope was not measured and is taken as typical.", "The cholesterol is outside the model's range."
NO_ANGINA = facts(RiskLevel.LOW, 0.1, factors=(factor("exercise_angina", 0, "lowers"),))
IS_LOW = "The risk level is Low: the anomaly score is [[anomaly_score]], below the threshold."
ABOVE = GOOD_TEXT.replace("against a threshold of", "above the threshold of")
B_RAISES = f"{B} raises the score."
BOTH = f"{A} and {B} raise the score. {C} lowers it."
BELOW = f"The anomaly score ([[anomaly_score]]) is below the threshold for the Medium risk level. {BOTH}"


@pytest.mark.parametrize(
    ("known", "draft", "why"),
    [
        (HIGH, f"{OPENING} {A} and {B} raise the score.", "it leaves out the maximum heart rate"),
        (HIGH, f"{OPENING} {A} raises the score and {B}, and {C} lowers it.", "its sentence 2 says what"),
        (HIGH, f"{OPENING} {A} raises the score. [[thallium_scan_meaning]] {B_RAISES} {C} lowers it.", "explains the"),
        (HIGH, f"{OPENING} {A} raises the score. {B} raises it most. {C} lowers it.", "its sentence 3 says what"),
        (HIGH, f"{OPENING} {BOTH} The patient should rest.", "its sentence 4 says what"),
        (HIGH, f"{OPENING} {BOTH} And", "its end is no sentence"),
        (HIGH, f"{OPENING} {BOTH} " + "x" * 2500, "it is too long"),
        (HIGH, f"{OPENING} The \ue041.", "its sentence 2 says what"),
        (LOW, BELOW, "leaves out the risk level"),
        (LOW, f"The risk level is Low. {BELOW}", None),
        (GAPS, GOOD_TEXT, "slope of the ST segment, which was not measured"),
        (GAPS, f"{GOOD_TEXT} {GAP}", "serum cholesterol, which is outside"),
        (GAPS, f"{GOOD_TEXT} {GAP} {OUTSIDE}", None),
        (GAPS, f"{GOOD_TEXT} The cholesterol was not measured. The slope is outside the model's range.", "sentence 4"),
        (NO_ANGINA, f"{IS_LOW} The exercise-induced angina lowers the score.", "sentence 2"),  # there was none
        (NO_ANGINA, f"{IS_LOW} The exercise-induced angina ([[exercise_angina]]) lowers the score.", None),
        (facts(score=0.9504), ABOVE, "sentence 1"),  # shown as 0.95
        (facts(score=0.961), ABOVE, None),
    ],
)
def test_a_draft_is_withheld_with_the_rule_that_it_breaks(known: Facts, draft: str, why: str | None) -> None:
    said = withheld(known, draft)
    assert said is None if why is None else why in (said or "")


@pytest.mark.parametrize(
    "text",
    [
        "The risk level is Low, with an anomaly score of [[anomaly_score]].",
        f"{OPENING} {C} raises the score.",
        f"{OPENING} {A} raises the score, as does {C}.",
        f"{OPENING} {B} raises the score most.",
        OPENING.replace("at or above", "below"),
    ],
)
def test_the_simple_reader_finds_untruths(text: str) -> None:
    assert untruths(text, facts())


@MANY
def test_whatever_the_language_can_say_is_true_and_no_factor_of_the_other_direction_fits(number: int) -> None:
    random = Random(number)
    for _ in range(number):
        known = random_facts(random)
        tokens, forms = random_tokens(known, random), fact_forms(known)
        text = written(tokens, forms, random)
        assert untruths(text, known) == [], text
        places = [at for at, token in enumerate(tokens) if token in FACTOR_TOKENS]
        if places and len({factor.direction for factor in known.factors[1:]}) > 1:
            at = random.choice(places)
            way = next(way for way, both in FACTORS.items() if tokens[at] in both)
            text = written(tokens[:at] + FACTORS[OPPOSITE[way]][0] + tokens[at + 1 :], forms, random)
            # Where one list ends and the next begins is a matter of reading: then the reader decides.
            assert not is_true(known, text) or not untruths(text, known), text


def mutations(draft: str, known: Facts, random: Random) -> list[str]:
    """Return texts that differ from a true one in one thing each, all false or not of the language."""
    first, *others = known.factors
    changes = [
        (r"\braise", "lower"), (r"\blower(?!( than))", "raise"), (r"\bincreas", "decreas"), (r"\bdecreas", "increas"),
        (rf"\b{known.level}\b(?= risk level)", random.choice([level for level in LEVELS if level != known.level])),
        (r"(?<=risk level is )\w+", "Unknown"), (r"\[\[anomaly_score\]\]", "[[threshold]]"),
        (r"at or above|\babove|exceeds", "below"), (r"\bbelow|\bunder\b", "above"), (r"(?<=score) is\b", " is not"),
        (r"raises?|lowers?", "does not raise"), (r"(?=the score)", "strongly "), (r"\[\[\w+\]\]", "12345"),
        (r"\.$", " by 12 points."), (r"$", " The patient should rest."), (r" score\b", " risk"),
        *((re.escape(f"[[{first.name}]]"), f"[[{one.name}]]") for one in others if one.direction != first.direction),
    ]  # fmt: skip
    found = [(random.choice(places), new) for was, new in changes if (places := list(re.finditer(was, draft)))]
    return [draft[: place.start()] + new + draft[place.end() :] for place, new in found]


@MANY
def test_what_may_be_decoded_under_the_grammar_is_accepted_and_no_mutation_of_it(number: int) -> None:
    random, tried = Random(number), 0
    while tried < number:
        known = random_facts(random)
        draft, grammar = "".join(map(random.choice, sentences(known))), grammar_of(known)
        assert withheld(known, draft) is None
        assert untruths(draft, known) == []
        assert re.fullmatch(str(grammar["guided_regex"]), draft)
        assert str(grammar["grammar"]).startswith('root ::= ("The risk level is')
        for false in mutations(draft, known, random):
            tried += 1
            assert withheld(known, false), false


WORDS = (", ", " and ", ". ", " ", "the ", "not measured", "[[", "(", "raises the score", " is raised by ")


@MANY
def test_a_hostile_draft_is_decided_in_50_ms(number: int) -> None:
    random, worst, known = Random(number), 0.0, GAPS
    forms = fact_forms(known)
    withheld(known, OPENING)  # what is compiled once is compiled now
    pieces = [*WORDS, *(written(token, forms, random) for token in forms)]
    for _ in range(number):
        some = random.choices(pieces, k=random.choice([2, 3, 200]))
        draft = (f"The risk level is {known.level}. " + "".join(some) * 200)[:2000]
        began = time.process_time()
        withheld(known, draft)
        worst = max(worst, time.process_time() - began)
    assert worst < 0.05


DIGEST_OF_VERSION = {"4": "5146f970ef8de626"}


def test_a_change_of_what_is_told_has_another_version() -> None:
    known = facts(not_measured=("st_slope",))
    told = repr([prompt_of(facts(level), broken="it is too long") for level in LEVELS] + [prompt_of(known)])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert {PROMPT_VERSION: digest}.items() <= DIGEST_OF_VERSION.items(), "raise PROMPT_VERSION, and add its digest"


def test_no_value_of_the_patient_is_told_and_the_examples_are_true_and_of_other_factors() -> None:
    random = Random(3)
    for _ in range(200):
        known = random_facts(random)
        messages = prompt_of(known)
        factors = tuple(replace(stated, value="another value", meaning=None) for stated in known.factors)
        others = replace(known, factors=factors, anomaly_score=0.123456, thresholds=Thresholds(medium=0.5, high=0.6))
        assert messages == prompt_of(others)
        slots = re.findall(r"\[\[(\w+?)(?:_meaning)?\]\]", messages[2]["content"] + messages[4]["content"])
        assert not set(slots) & {factor.name for factor in known.stated}
        for told, text in ((messages[1], messages[2]), (messages[3], messages[4])):
            checked(told_facts(told["content"]), text["content"])


def told_facts(told: str) -> Facts:
    """Return facts of which an example's list is true."""
    level = RiskLevel(told.partition("\n")[0].removeprefix("Risk level: "))
    said = re.findall(r"\[\[(\w+)\]\]: (raises|lowers)", told)
    factors = tuple(factor(name, TYPICAL[name], way) for name, way in said)
    gaps = tuple(name for name, field in FIELDS.items() if f"Not measured: {field.label}" in told)
    return facts(level, {"High": 0.99, "Low": 0.1}[level], factors=factors, not_measured=gaps)
