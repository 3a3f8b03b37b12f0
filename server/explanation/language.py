"""The language of all texts that are true of one prediction: a draft is shown if the whole of it belongs to it.

It is a regular language, matched in three steps, each of which only replaces what it knows by a token: facts (a factor
with its value, the score, a clinical meaning), statements made of such tokens, and their arrangement. A raising factor
has another token than a lowering one, so that no statement can turn it round. What nobody put in cannot be said, and
each step takes time in proportion to the draft's length.

Forms are written as regular expressions of a few means: text, ``(a|b)``, ``(a)?`` and ``(a)*``; case does not matter.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import Direction, Factor, Facts, label_in_sentence, score_in_words, threshold_in_words

MAX_CHARACTERS: Final = 2000

Forms = Mapping[str, str]
"""How each token may be written, by token; of two forms that begin alike, the longer one comes first."""

# Tokens of facts: the factor that moved the score most has its own, for nothing else is said to do so.
SCORE, THRESHOLD, MEANING, GAPS, OUTSIDE = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
FACTORS: Final[Mapping[Direction, str]] = {"raises": "\ue010\ue011", "lowers": "\ue020\ue021"}
# Tokens of statements: the opening; and of factors in full, with "it" for the score, with "also", of both directions.
OPENING = "\ue030"
STATEMENTS: Final = {"raises": "\ue040\ue041\ue042\ue043", "lowers": "\ue050\ue051\ue052\ue053"}

_NAMES: Final[Mapping[str, str]] = {
    "age": "age( of the patient)?",
    "sex": "sex( of the patient)?",
    "chest_pain_type": "(chest pain type|type of chest pain)",
    "resting_bp": "(resting (systolic )?(blood pressure|BP)|blood pressure at rest)",
    "cholesterol": "(serum )?cholesterol( level)?",
    "fasting_blood_sugar_high": "fasting blood sugar( over 120 mg/dL)?",
    "resting_ecg": "(resting ECG( result| finding)?|ECG at rest)",
    "max_heart_rate": "(maximum|max|maximal) heart rate( reached)?",
    "exercise_angina": "(exercise-induced angina|exercise angina|angina induced by exercise)",
    "st_depression": "ST( segment)? depression( value)?",
    "st_slope": "(slope of the ST[ -]segment|ST( segment)? slope)",
    "major_vessels": "(number of )?major vessels?( count)?",
    "thallium_scan": "thallium (scan|result)( result| finding)?",
}
_VERBS: Final = {"raises": "(raises?|increases?)", "lowers": "(lowers?|decreases?|reduces?)"}
_PASSIVES: Final = {"raises": "(raised|increased)", "lowers": "(lowered|decreased|reduced)"}
_OPPOSITE: Final[Mapping[Direction, Direction]] = {"raises": "lowers", "lowers": "raises"}
_SCORE: Final = "(the anomaly score|the score)"


class WithheldError(Exception):
    """A draft is not shown; the message is a clause without any word of it that says why."""


def fact_forms(facts: Facts) -> Forms:
    """Return how the facts may be written in a draft."""
    # A slot and the value itself are one: models write either, and both are filled or checked alike.
    forms = {
        SCORE: either_of(("[[anomaly_score]]", score_in_words(facts.anomaly_score))),
        THRESHOLD: either_of(
            ("[[threshold]]", *dict.fromkeys((threshold_in_words(facts.threshold), f"{facts.threshold:g}")))
        ),
        MEANING: "|".join(map(_meaning, facts.factors)),
    }
    if facts.not_measured:
        listed, be = _enumeration(_named(facts.not_measured)), "(is|are|was|were)"
        taken = "(taken as|assumed to be|treated as) typical"
        forms[GAPS] = (
            f"{listed}(, which)? {be} not measured(,? and|, which|,| and so|;)?( it| they)?( {be})? {taken}"
            f"|{listed} {be} not measured|not measured(,? and)?(,? {taken})?: {listed}"
        )
    if facts.extrapolated:
        listed, where = _enumeration(_named(facts.extrapolated)), "outside the model's range"
        forms[OUTSIDE] = (
            f"{listed} (is|are|lies?) {where}(, so the result is less certain)?|{where}(, less certain)?: {listed}"
        )
    for at, factor in enumerate(facts.factors):
        token = FACTORS[factor.direction][at == 0]
        forms[token] = "|".join(filter(None, [forms.get(token), f"{_named([factor.name])}{_value(factor)}"]))
    return {token: form for token, form in forms.items() if form}


def either_of(texts: Iterable[str]) -> str:
    """Return the form of a choice of texts."""
    # Not re.escape: the engines of other servers know no escaped space.
    return "(" + "|".join(re.sub(r"([][(){}.*+?|^$\\])", r"\\\1", text) for text in texts) + ")"


def _named(names: Iterable[str]) -> str:
    """Return the form of one of these fields."""
    return f"(the patient's |the )?({'|'.join(_NAMES[name] for name in names)})"


def _list(one: str) -> str:
    # Stricter than an enumeration: "A raises the score and B, and C lowers it" would read as if A raised B.
    return f"{one}(( (and|as well as) {one})*|(, {one})*, {one},? (and|as well as) {one})"


def _enumeration(one: str) -> str:
    return f"{one}((,|,? and| as well as) {one})*"


def _value(factor: Factor) -> str:
    unit = FIELDS[factor.name].unit
    slot = re.escape(f"[[{factor.name}]]") + (f"( {unit})?" if unit else "")
    said = f"({slot}|{re.escape(factor.value)})"
    # "Exercise-induced angina lowers the score" would be misread where there was none: then the value has to be said.
    return rf"( \({said}\)| (of|at) {said}| {slot}|, {said},)" + ("" if factor.value == "no" else "?")


def _meaning(factor: Factor) -> str:
    slot = re.escape(f"[[{factor.name}_meaning]]") + "[.]?"
    return f"{slot}|{re.escape(factor.meaning)}" if factor.meaning else slot


def statement_forms(facts: Facts) -> Forms:
    """Return how the statements may be written with tokens of facts."""
    level = facts.level
    # Low has no threshold of its own: it is what stays below that of Medium.
    own = RiskLevel.MEDIUM if level is RiskLevel.LOW else level
    places, verbs = ("at or above", "(reaches|meets|meets or exceeds|reaches or exceeds)")
    if level is RiskLevel.LOW:
        places, verbs = "(below|under|lower than|less than)", "(does not reach|stays below|falls below)"
    elif float(score_in_words(facts.anomaly_score)) > facts.threshold:  # above it as it is shown, too
        places, verbs = f"({places}|above|over|higher than|greater than)", f"({verbs}|exceeds)"
    names = f"the {own} (risk )?threshold|the threshold for (the {own} risk level|{own} risk)|(the|its|a) threshold"
    threshold = rf"({names})( (of )?{THRESHOLD}| \({THRESHOLD}\))?"
    threshold += "(,? (and|but) below the High threshold)?" if level is RiskLevel.MEDIUM else ""
    place = f"{places} {threshold}"
    score, number = "((the|its|this|the patient's) )?anomaly score", rf"( (of )?{SCORE}| \({SCORE}\))"
    stated = (
        f"({score}{number}? ((is|lies|stands) {place}|{verbs} {threshold})"
        f"|{score}( is|:) {SCORE}((, which is|,| and is| and) {place}|(, which| and) {verbs} {threshold})?)"
    )
    with_score = (
        f",? (with|based on) an anomaly score{number}"
        f"((, which is|,| that is)? {place}|, which {verbs} {threshold}| against {threshold})?"
    )
    who = "(the|this) (patient|record|result)"
    risk = (
        f"((the |the patient's )?risk level( of (the|this) patient)?( is|:) {level}"
        f"|{who} (has|is at) (a|the) {level} risk level|{who} has a risk level of {level}"
        f"|the (anomaly )?detector (reports|assigns|gives|indicates) a {level} risk level)"
    )
    opening = (
        f"{risk}[.] {score}( is|:) {SCORE}[.] it is {place}[.]|{risk}(:|[.]|;|,|,? (because|as|since|and)) {stated}[.]"
        f"|{stated}(, so|,? and|;|[.]) {risk}[.]|{risk}({with_score})?[.]|{stated}[.]"
    )
    return {OPENING: opening, **_of_factors("raises"), **_of_factors("lowers")}


def _of_factors(by: Direction) -> Forms:
    # The first factor's token is the second of its pair; a class of both is any factor of this direction.
    first, one, passive, verb = FACTORS[by][1], f"[{FACTORS[by]}]", _PASSIVES[by], _VERBS[by]
    listed, opposite = _list(one), _list(f"[{FACTORS[_OPPOSITE[by]]}]")
    full, short, also, both = tuple(STATEMENTS[by])
    alike = f"(,? as (does|do) {listed})?"
    return {
        also: f"{listed} also {verb} ({_SCORE}|it)|{listed} {verb} ({_SCORE}|it)( as well|,? too)"
        f"|({_SCORE}|it) is also {passive} by {listed}",
        both: f"{_SCORE} is {passive} by {listed},? (and|but) {_PASSIVES[_OPPOSITE[by]]} by {opposite}",
        full: f"{first} {verb} {_SCORE} most|{_SCORE} is {passive} most by {first}"
        f"|(both {one} and {one}|{listed}) {verb} {_SCORE}{alike}"
        f"|(the following|these) factors {verb} {_SCORE}: {_enumeration(one)}"
        f"|{_SCORE} is {passive} by {listed}",
        short: f"{first} {verb} it most|{listed} {verb} it{alike}|it is {passive} by {listed}",
    }


def _run(by: Direction, start: str, turns: int) -> str:
    """Return the form of a statement, ``start``, whose last factors go in one direction, and of all that may follow."""
    full, short, also, _ = tuple(STATEMENTS[by])
    turned, turned_short, _, back = tuple(STATEMENTS[_OPPOSITE[by]])
    # No two of these begin alike and go on alike: a draft of many statements would be tried in as many ways otherwise.
    stop, joined = f"[.]( {MEANING})* ((in addition|additionally), )?", "(,|;|,? and) "
    contrary = f"[.]( {MEANING})* (in contrast|however|conversely), "
    contrast = "(; (in contrast|however|conversely), |,? (while|whereas|but) )"
    same = f"({joined}|[.;] similarly, )[{full}{short}{also}]"
    run = f"{start}({stop}[{full}{also}]|[.] {short}|{same})*"
    if not turns:
        return run
    turn = f"(({stop}|{contrary}){turned}|[.] {turned_short}|({joined}|{contrast})[{turned}{turned_short}])"
    return f"{run}({_run(_OPPOSITE[by], turn, turns - 1)}|{_run(by, stop + back, turns - 1)})?"


_RUNS: Final = [_run(by, start, 3) for by in _OPPOSITE for start in (STATEMENTS[by][0], STATEMENTS[_OPPOSITE[by]][3])]
TEXT: Final = f"{OPENING}(( {MEANING})* ({'|'.join(_RUNS)})[.])?( ({GAPS}[.]|{OUTSIDE}[.]|{MEANING}))*"
"""The form of all texts over tokens of statements, and of all their beginnings that end with a sentence.

*Also* comes after a statement of the same direction, *but* and *while* after one of the other. *It* comes right after a
statement about the score, so that it can be nothing else.
"""


@lru_cache(maxsize=64)  # statements have five forms, and one draft is matched some ten times
def compiled(form: str) -> re.Pattern[str]:
    """Return a form as Python matches it."""
    return re.compile(re.sub(r"(?<!\\)\((?!\?)", "(?:", form), re.IGNORECASE | re.ASCII)


def _finder(forms: Forms) -> re.Pattern[str]:
    """Return an expression that finds what is written for a token, in a group named after it."""
    # No letter, digit or point may touch what is found: "0.8" is not within "0.85", nor "age" within "dosage".
    groups = "|".join(f"(?P<t{ord(token)}>{form})" for token, form in forms.items())
    return compiled(rf"(?<![\w.])(?:{groups})(?!\w|[.]\d)")


def _token(found: re.Match[str]) -> str:
    return chr(int((found.lastgroup or "")[1:]))


def checked(facts: Facts, draft: str) -> str:
    """Return a draft with every slot filled.

    Raises
    ------
    WithheldError
        When it does not belong to the language of these facts, or leaves out what is required.
    """
    text = " ".join(re.sub("[\ue000-\uf8ff]", "?", draft).split())  # a draft brings no token of its own
    if len(text) > MAX_CHARACTERS:
        raise WithheldError("it is too long")
    if not is_true(facts, text):
        raise WithheldError(_first_strange(facts, text))
    if missing := _missing(facts, text):
        raise WithheldError(f"it leaves out the {missing[0]}")
    for factor in facts.factors:
        said = [found.start() for found in compiled(_meaning(factor)).finditer(text)]
        named = compiled(rf"\b{_NAMES[factor.name]}\b").search(text)
        if said and (len(said) > 1 or named is None or named.start() > said[0]):
            raise WithheldError(f"it explains the {label_in_sentence(factor.name)} twice, or before naming it")
    return _filled(facts, text)


def is_true(facts: Facts, text: str) -> bool:
    """Tell whether a text, or the beginning of one, belongs to the language."""
    for forms in (fact_forms(facts), statement_forms(facts)):
        text = _finder(forms).sub(_token, text)
    return compiled(TEXT).fullmatch(text) is not None


def _first_strange(facts: Facts, text: str) -> str:
    """Name the first sentence with which a draft leaves the language: what begins truly does so up to there."""
    ends = [found.end() for found in re.finditer(r"[.](?= |$)|_meaning\]\](?![.])", text)]
    at = bisect_left(ends, True, key=lambda end: not is_true(facts, text[:end]))
    if at == len(ends):
        return "its end is no sentence about the facts"
    return f"its sentence {at + 1} says what is not among the facts, or in words that cannot be checked"


def _missing(facts: Facts, text: str) -> list[str]:
    """Name what is required and not said; whatever is named in a true text is said truly of it."""
    found = [*_finder(fact_forms(facts)).finditer(text)]

    def said(tokens: str) -> str:
        return " ".join(fact[0] for fact in found if _token(fact) in tokens)

    level = rf"{facts.level} risk level|risk level( of (the|this) patient| of)?( is|:)? {facts.level}"
    required = [("risk level", level, text), ("anomaly score", ".", said(SCORE))]
    # In what was found as facts alone: elsewhere the name of one field could stand within that of another.
    names = [(factor.name, "", said("".join(FACTORS.values()))) for factor in facts.stated]
    names += [(name, ", which was not measured", said(GAPS)) for name in facts.not_measured]
    names += [(name, ", which is outside the model's range", said(OUTSIDE)) for name in facts.extrapolated]
    required += [(label_in_sentence(name) + which, _NAMES[name], where) for name, which, where in names]
    return [what for what, form, where in required if not compiled(form).search(where)]


def _filled(facts: Facts, text: str) -> str:
    """Put the values, and the meanings that there are, in the place of their slots."""
    values = {"anomaly_score": score_in_words(facts.anomaly_score), "threshold": threshold_in_words(facts.threshold)}
    for factor in facts.factors:
        values |= {factor.name: factor.value, f"{factor.name}_meaning": factor.meaning or ""}
    # A value brings its unit, and a meaning its full stop; a draft may have them after the slot as well.
    units = "|".join(field.unit for field in FIELDS.values() if field.unit)
    slot = rf"\[\[(\w+)\]\]( ({units})\b|(?<=_meaning\]\])[.])?"
    return " ".join(re.sub(slot, lambda found: values[found[1].lower()], text, flags=re.IGNORECASE).split())
