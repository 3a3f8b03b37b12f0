"""Untrue texts made of true ones: each mutation makes one kind of mistake, as language models do or are made to.

A mutation returns ``None`` where the text offers no place for its mistake.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import OLDER, Factor, Facts, score_in_words, share_in_words
from tests.support.explanation import forbidden
from tests.support.explanation.phrasings import PHRASINGS
from tests.support.explanation.random_facts import random_facts
from tests.support.explanation.wording import capital, the

Mutation = Callable[[Random, Facts, str], str | None]

FLIPPED = {"raises": "lowers", "raise": "lower", "raising": "lowering", "raised": "lowered", "increased": "decreased"}
FLIPPED |= {"increases": "reduces", "increase": "reduce", "higher": "lower", "Upward": "Downward", "upward": "downward"}
FLIPPED |= {"Positive": "Negative", "up": "down"}
FLIPPED |= {new: old for old, new in FLIPPED.items() if old != "higher"}
_DIRECTION = re.compile(rf"\b({'|'.join(FLIPPED)})\b(?![)\w])")
_SLOPE = re.compile(r"\((?:up|down)\)|that is (?:up|down)")
_NUMBER_WORDS = ("four", "eleven", "sixty-one", "seventy-seven", "ninety-nine", "a hundred", "two hundred", "half")
_HOMOGLYPHS = {
    "0": "Oо٠０",
    "1": "lI١１",
    "2": "Ƨ٢２",
    "3": "З٣３",
    "4": "Ꮞ٤４",
    "5": "Ƽ٥５",
    "6": "б٦６",
    "7": "٧７",
    "8": "Ȣ٨８",
    "9": "٩９",
}


def _quantities(facts: Facts, text: str) -> list[tuple[Factor, str]]:
    """Return the quantities whose number stands in the text exactly once."""
    numbers = [(factor, factor.value.split(" ")[0]) for factor in facts.factors[:3] if factor.value[:1].isdigit()]
    return [(factor, number) for factor, number in numbers if len(_places(number, text)) == 1]


def _places(number: str, text: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", text))


def _put(text: str, place: re.Match[str], new: str) -> str:
    return text[: place.start()] + new + text[place.end() :]


def _inserted(random: Random, text: str, sentence: str) -> str:
    """Put a sentence at the beginning, at the end or between two."""
    sentences = re.split(r"(?<=\.) (?=[A-Z0-9])", text)
    sentences.insert(random.randint(0, len(sentences)), sentence)
    return " ".join(sentences)


def _wrong(factor: Factor) -> str:
    return "lowers" if factor.direction == "raises" else "raises"


def wrong_value(random: Random, facts: Facts, text: str) -> str | None:
    found = _quantities(facts, text)
    if not found:
        return None
    _, number = random.choice(found)
    other = float(number) + random.choice([-20, -3, -1, -0.1, 0.1, 1, 2, 10, 35])
    return _put(text, _places(number, text)[0], f"{other:.4g}")


def swapped_values(random: Random, facts: Facts, text: str) -> str | None:
    found = _quantities(facts, text)
    if len(found) < 2 or found[0][1] == found[1][1]:
        return None
    (_, first), (_, second) = found[:2]
    text = _put(text, _places(first, text)[0], "\0")
    return _put(text, _places(second, text)[0], first).replace("\0", second)


def wrong_category(random: Random, facts: Facts, text: str) -> str | None:
    found = [f for f in facts.factors[:3] if FIELDS[f.name].codes and not f.imputed and f"({f.value})" in text]
    if not found:
        return None
    factor = random.choice(found)
    others = [word for word in FIELDS[factor.name].codes.values() if word != factor.value]
    place = re.search(rf"{re.escape(factor.label[1:])} \({re.escape(factor.value)}\)", text)
    return _put(text, place, f"{factor.label[1:]} ({random.choice(others)})") if place else None


def wrong_unit(random: Random, facts: Facts, text: str) -> str | None:
    units = [unit for unit in ("mm Hg", "mmHg", "mg/dL", "beats/min", "bpm", "years", "mm") if f" {unit}" in text]
    places = [p for unit in units for p in re.finditer(rf"(?<=\d )(?<!over 120 ){unit}(?![\w ]*Hg)\b", text)]
    if not places:
        return None
    place = random.choice(places)
    wrong = [
        unit for unit in ("mm Hg", "mg/dL", "beats/min", "years", "cm", "kg", "mmol/L", "%") if unit != place.group()
    ]
    if place.group() in {"mmHg", "bpm"}:
        wrong = [unit for unit in wrong if unit not in {"mm Hg", "beats/min"}]
    return _put(text, place, random.choice(wrong))


def wrong_rounding(random: Random, facts: Facts, text: str) -> str | None:
    found = [number for _, number in _quantities(facts, text) if "." in number and not number.endswith(".0")]
    score = score_in_words(facts.anomaly_score)
    numbers = [*found, *([score] if len(_places(score, text)) == 1 else [])]
    if not numbers:
        return None
    number = random.choice(numbers)
    digits = random.randint(0, len(number.partition(".")[2]) - 1)
    rounded = f"{float(number):.{digits}f}"
    return _put(text, _places(number, text)[0], rounded) if rounded != number else None


def wrong_score(random: Random, facts: Facts, text: str) -> str | None:
    score = score_in_words(facts.anomaly_score)
    places = _places(score, text)
    other = f"{random.random():.3f}"
    return _put(text, places[0], other) if places and other != score else None


def number_words(random: Random, facts: Facts, text: str) -> str | None:
    found = _quantities(facts, text)
    if not found:
        return None
    _, number = random.choice(found)
    word = random.choice([w for w in _NUMBER_WORDS if (w, number) not in {("four", "4"), ("eleven", "11")}])
    known = {"61": "sixty-one", "77": "seventy-seven", "99": "ninety-nine"}
    return None if known.get(number) == word else _put(text, _places(number, text)[0], word)


def homoglyph_digit(random: Random, facts: Facts, text: str) -> str:
    place = random.choice(list(re.finditer(r"\d", text)))
    return _put(text, place, random.choice(_HOMOGLYPHS[place.group()]))


def _directions(text: str) -> list[re.Match[str]]:
    """Return the words that give a direction, and not the slope of the ST segment."""
    slopes = [place.span() for place in _SLOPE.finditer(text)]
    places = [
        place
        for place in _DIRECTION.finditer(text)
        if place.group() != "higher" or "than" not in text[place.end() :][:6]
    ]
    return [place for place in places if not any(start <= place.start() < end for start, end in slopes)]


def flipped_direction(random: Random, facts: Facts, text: str) -> str | None:
    places = _directions(text)
    if not places:
        return None
    place = random.choice(places)
    return _put(text, place, FLIPPED[place.group()])


def negation(random: Random, facts: Facts, text: str) -> str | None:
    places = [place for place in _directions(text) if place.group() in {"raises", "lowers", "increased", "decreased"}]
    if not places:
        return None
    place = random.choice(places)
    verb = place.group()
    if verb.endswith("d"):
        return _put(text, place, f"{random.choice(['not', 'never', 'hardly', 'neither'])} {verb}")
    negations = [
        f"does not {verb[:-1]}",
        f"doesn't {verb[:-1]}",
        f"never {verb}",
        f"fails to {verb[:-1]}",
        f"hardly {verb}",
    ]
    negations += [f"no longer {verb}", f"cannot {verb[:-1]}", f"neither changes nor {verb}"]
    return _put(text, place, random.choice(negations))


def passive_voice(random: Random, facts: Facts, text: str) -> str:
    factor = random.choice(facts.factors)
    verb = {"raises": ["raised", "increased", "pushed up"], "lowers": ["lowered", "reduced", "pulled down"]}[
        _wrong(factor)
    ]
    sentences = [
        f"The score is {random.choice(verb)} by {the(factor)}.",
        f"The anomaly score was {random.choice(verb)}, owing to {the(factor)}.",
        f"It is {the(factor)} by which the score is {random.choice(verb)}.",
    ]
    return _inserted(random, text, random.choice(sentences))


def two_factors_with_one_verb(random: Random, facts: Facts, text: str) -> str | None:
    raising = [factor for factor in facts.factors if factor.direction == "raises"]
    lowering = [factor for factor in facts.factors if factor.direction == "lowers"]
    if not raising or not lowering:
        return None
    pair = [random.choice(raising), random.choice(lowering)]
    random.shuffle(pair)
    verb = random.choice(["raise", "lower", "both raise", "both lower", "increase", "reduce"])
    return _inserted(random, text, f"{capital(the(pair[0]))} and {the(pair[1])} {verb} the score.")


def wrong_level(random: Random, facts: Facts, text: str) -> str | None:
    other = random.choice(
        [str(level) for level in RiskLevel if level is not facts.level] + ["moderate", "severe", "very high"]
    )
    draft = re.sub(rf"\b{facts.level}\b(?! threshold)", other, text, flags=re.IGNORECASE)
    return draft if draft != text else None


def wrong_level_added(random: Random, facts: Facts, text: str) -> str:
    other = random.choice([level for level in RiskLevel if level is not facts.level])
    sentences = (
        f"The risk is {other}.",
        f"This places the patient at {other} risk.",
        f"Overall, this is a {other} level.",
    )
    return _inserted(random, text, random.choice(sentences))


def wrong_threshold(random: Random, facts: Facts, text: str) -> str | None:
    thresholds = [f"{facts.thresholds.medium:g}", f"{facts.thresholds.high:g}"]
    found = [number for number in thresholds if len(_places(number, text)) == 1]
    if not found:
        return None
    number = random.choice(found)
    others = [other for other in ("0.5", "0.85", "0.99", "1", *thresholds) if other != number]
    return _put(text, _places(number, text)[0], random.choice(others))


def wrong_comparison(random: Random, facts: Facts, text: str) -> str | None:
    flipped = {"at or above": "below", "below": random.choice(["at or above", "above"]), "more unusual": "less unusual"}
    places = list(re.finditer("at or above|below|more unusual", text))
    if not places:
        return None
    place = random.choice(places)
    return _put(text, place, flipped[place.group()])


def wrong_share(random: Random, facts: Facts, text: str) -> str:
    others = [f"{random.randint(1, 98)} %", "at least 99 %", "less than 1 %", "all", "almost none", "99.9 %", "half"]
    wrong = random.choice([share for share in others if share != share_in_words(facts.anomaly_score)])
    sentences = (
        f"The record is more unusual than {wrong} of disease-free patients.",
        f"The score is higher than that of {wrong} of disease-free patients.",
    )
    return _inserted(random, text, random.choice(sentences))


def invented_field(random: Random, facts: Facts, text: str) -> str:
    known = {factor.name for factor in facts.factors}
    name = random.choice([name for name in FIELDS if name not in known])
    factor = Factor(name, FIELDS[name].label, "", "raises", imputed=False)
    bare = the(factor).replace(" ()", "")
    sentences = (
        f"{capital(bare)} {random.choice(['raises', 'lowers'])} the score.",
        f"The score is raised by {bare}.",
        f"It also reflects {bare}.",
    )
    return _inserted(random, text, random.choice(sentences))


def invented_finding(random: Random, facts: Facts, text: str) -> str:
    finding = random.choice(forbidden.FINDINGS)
    sentences = (
        f"{capital(finding)} raises the score.",
        f"The record also shows {finding}.",
        f"The score is lowered by {finding}.",
    )
    return _inserted(random, text, random.choice(sentences))


def unmeasured_given_a_value(random: Random, facts: Facts, text: str) -> str | None:
    labels = {field.label: name for name, field in FIELDS.items()}
    if not facts.not_measured:
        return None
    label = random.choice(facts.not_measured)
    field = FIELDS[labels[label]]
    bounds = field.model_range or (0, 0)
    value = field.in_words(random.choice(sorted(field.codes)) if field.codes else round(random.uniform(*bounds)))
    factor = Factor(field.name, label, value, "raises", imputed=False)
    sentences = (
        f"{capital(the(factor))} {random.choice(['raises', 'lowers'])} the score.",
        f"{capital(the(factor))} was not measured.",
        f"{capital(the(factor).replace(' (', ' was ').replace(')', ''))}.",
    )
    return _inserted(random, text, random.choice(sentences))


def measured_called_unmeasured(random: Random, facts: Facts, text: str) -> str | None:
    measured = [factor for factor in facts.factors if not factor.imputed]
    if not measured:
        return None
    name = the(random.choice(measured)).split(" (")[0]
    sentences = (f"{capital(name)} was not measured.", f"{capital(name)} (not measured) is taken as typical.")
    return _inserted(random, text, random.choice(sentences))


def absent_finding_made_present(random: Random, facts: Facts, text: str) -> str | None:
    for absent, present in (("angina (no)", "angina"), ("no exercise-induced angina", "exercise-induced angina")):
        if absent in text:
            return text.replace(absent, random.choice([present, present + " (yes)"]))
    return text.replace("mg/dL (no)", "mg/dL") if "mg/dL (no)" in text else None


def exact_age_above_89(random: Random, facts: Facts, text: str) -> str | None:
    age = str(random.randint(90, 104))
    return text.replace(OLDER, random.choice([age, f"{age} years"])) if OLDER in text else None


def swapped_factors(random: Random, facts: Facts, text: str) -> str | None:
    """Exchange the names of two factors, one of them a quantity, so that the values at least are wrong."""
    found = [f for f, _ in _quantities(facts, text)]
    others = [f for f in facts.factors[:3] if found and f is not found[0] and f.value != found[0].value]
    if not found or not others:
        return None
    first, second = found[0].label[1:], random.choice(others).label[1:]
    if text.count(first) != 1 or text.count(second) != 1:
        return None
    return text.replace(first, "\0").replace(second, first).replace("\0", second)


def wrong_rank(random: Random, facts: Facts, text: str) -> str | None:
    later = [
        factor
        for place, factor in enumerate(facts.factors)
        if factor.direction in {other.direction for other in facts.factors[:place]}
    ]
    if not later:
        return None
    factor = random.choice(later)
    sentences = (
        f"{capital(the(factor))} {factor.direction} the score most.",
        f"The strongest factor is {the(factor)}, which {factor.direction} the score.",
    )
    return _inserted(random, text, random.choice(sentences))


def dropped_factor(random: Random, facts: Facts, text: str) -> str | None:
    if len(facts.factors) < 4:
        return None
    place = random.randrange(3)
    fewer = replace(facts, factors=facts.factors[:place] + facts.factors[place + 1 :])
    return random.choice(PHRASINGS)(fewer)


def dropped_level(random: Random, facts: Facts, text: str) -> str:
    return re.sub(rf"\b{facts.level}\b(?! threshold)", "given", text)


def another_case(random: Random, facts: Facts, text: str) -> str:
    return random.choice(PHRASINGS)(random_facts(random))


def too_long(random: Random, facts: Facts, text: str) -> str:
    return " ".join([text] * (120 // len(text.split()) + 1))


def _adds(sentences: tuple[str, ...]) -> Mutation:
    """Return a mutation that puts one of these sentences somewhere, about one of the factors where it has a place."""

    def mutate(random: Random, facts: Facts, text: str) -> str:
        factor = the(random.choice(facts.factors))
        return _inserted(random, text, random.choice(sentences).replace("{factor}", factor))

    return mutate


def _spoils(spoilers: tuple[str, ...]) -> Mutation:
    """Return a mutation that puts one of these somewhere within the text."""

    def mutate(random: Random, facts: Facts, text: str) -> str:
        place = random.randint(0, len(text))
        return text[:place] + random.choice(spoilers) + text[place:]

    return mutate


MUTATIONS: dict[str, Mutation] = {
    "wrong value": wrong_value,
    "swapped values": swapped_values,
    "wrong category": wrong_category,
    "wrong unit": wrong_unit,
    "wrong rounding": wrong_rounding,
    "wrong score": wrong_score,
    "number words": number_words,
    "homoglyph digit": homoglyph_digit,
    "flipped direction": flipped_direction,
    "negation": negation,
    "passive voice": passive_voice,
    "two factors with one verb": two_factors_with_one_verb,
    "wrong level": wrong_level,
    "wrong level added": wrong_level_added,
    "wrong threshold": wrong_threshold,
    "wrong comparison": wrong_comparison,
    "wrong share": wrong_share,
    "invented field": invented_field,
    "invented finding": invented_finding,
    "unmeasured factor given a value": unmeasured_given_a_value,
    "measured factor called unmeasured": measured_called_unmeasured,
    "absent finding made present": absent_finding_made_present,
    "exact age above 89": exact_age_above_89,
    "swapped factors": swapped_factors,
    "wrong rank": wrong_rank,
    "dropped factor": dropped_factor,
    "dropped level": dropped_level,
    "text of another case": another_case,
    "too long": too_long,
    "diagnosis": _adds(forbidden.DIAGNOSES),
    "treatment": _adds(forbidden.TREATMENTS),
    "dose": _adds(forbidden.DOSES),
    "advice": _adds(forbidden.ADVICE),
    "certainty": _adds(forbidden.CERTAINTY),
    "reassurance": _adds(forbidden.REASSURANCE),
    "causal claim": _adds(forbidden.CAUSES),
    "injection echo": _adds(forbidden.INSTRUCTIONS),
    "address": _adds(forbidden.ADDRESSES),
    "markup": _spoils(forbidden.MARKUP),
    "invisible character": _spoils(forbidden.INVISIBLE),
}
