"""The words an explanation may be made of, and what each of them means; everything else is unknown.

The words of the fields, their codes and units come from the field descriptions; the rest is listed here. Nothing
clinical beyond the fields can be said with these words, nor advice, certainty, or reassurance.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from config.patient import FIELDS
from server.narrative.facts import OLDER
from server.narrative.vocabulary import WORDS


class Kind(StrEnum):
    """What a word or phrase is."""

    FIELD = "field"
    VALUE = "value"
    NUMBER = "number"
    UNIT = "unit"
    SHARE = "share"
    SCORE = "score"
    THRESHOLD = "threshold"
    LEVEL = "level"
    RISK = "risk"
    RAISES = "raises"
    LOWERS = "lowers"
    CONTRIBUTES = "contributes"
    OPPOSES = "opposes"
    ABSENT = "absent"
    OUTSIDE = "outside"
    TYPICAL = "typical"
    RELATION = "relation"
    UNUSUAL = "unusual"
    POPULATION = "population"
    FIRST = "first"
    FIRST_OF_ALL = "first_of_all"
    LESSER = "lesser"
    SEQUENCE = "sequence"
    CONTRAST = "contrast"
    AND = "and"
    BRACKET = "bracket"
    WORD = "word"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Token:
    """One word or phrase of a sentence, in lower case; ``detail`` is its canonical meaning within its kind."""

    kind: Kind
    text: str
    detail: str = ""


_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "age": ("aged", "patient's age"),
    "chest_pain_type": ("type of chest pain", "chest pain"),
    "resting_bp": (
        "resting systolic blood pressure",
        "systolic blood pressure",
        "blood pressure at rest",
        "blood pressure",
        "resting bp",
        "bp",
    ),
    "cholesterol": ("serum cholesterol level", "cholesterol level", "cholesterol"),
    "fasting_blood_sugar_high": (
        "fasting blood sugar above 120 mg/dl",
        "fasting blood glucose",
        "fasting blood sugar",
        "fasting glucose",
    ),
    "resting_ecg": ("resting electrocardiogram", "resting ekg", "electrocardiogram", "ecg", "ekg"),
    "max_heart_rate": (
        "maximum heart rate achieved",
        "maximal heart rate",
        "highest heart rate",
        "peak heart rate",
        "max heart rate",
        "max hr",
    ),
    "exercise_angina": (
        "exercise induced angina",
        "angina induced by exercise",
        "angina during exercise",
        "angina on exercise",
        "angina on exertion",
        "exertional angina",
        "exercise angina",
    ),
    "st_depression": ("st-segment depression", "st segment depression", "depression of the st segment"),
    "st_slope": (
        "slope of the st-segment",
        "slope of st segment",
        "st-segment slope",
        "st segment slope",
        "st slope",
        "st segment",
    ),
    "major_vessels": (
        "number of major vessels coloured by fluoroscopy",
        "major vessels coloured by fluoroscopy",
        "major vessels on fluoroscopy",
        "major vessel on fluoroscopy",
        "number of major vessels",
        "major vessel",
    ),
    "thallium_scan": ("thallium scan result", "thallium stress test", "thallium test", "thallium"),
}

_OTHER_VALUES: Mapping[str, str] = {
    "upsloping": "up",
    "downsloping": "down",
    "st-t wave abnormality": "ST-T abnormality",
    "present": "yes",
    "absent": "no",
    "absence of": "no",
    "man": "male",
    "woman": "female",
}

DISTINCTIVE_VALUES: Mapping[str, str] = {
    word: name
    for name in ("sex", "chest_pain_type", "resting_ecg", "thallium_scan")
    for word in FIELDS[name].codes.values()
    if word != "normal"
}
"""Values that tell by themselves which field they belong to."""

_UNITS: Mapping[str, str] = {
    "mm Hg": r"mm ?hg",
    "mg/dL": r"mg ?(?:/|per) ?dl",
    "beats/min": r"beats ?(?:/|per) ?min(?:ute)?|bpm",
    "years": r"years?(?: old| of age)?",
    "mm": r"mm|millimet(?:re|er)s?",
}

_COUNTING = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
"""
_COUNTING_IN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = _COUNTING.split()
_TENS = dict(zip(_COUNTING_IN_TENS.split(), range(20, 100, 10), strict=True))
_NUMBER_WORDS = {word: number for number, word in enumerate(_ONES)} | _TENS
_NUMBER_WORDS |= {
    f"{ten}-{one}": _TENS[ten] + number for ten in _TENS for number, one in enumerate(_ONES[:10]) if number
}


def _names() -> dict[str, str]:
    names = {name.lower(): field for field, others in _OTHER_NAMES.items() for name in others}
    return names | {description.label.lower(): name for name, description in FIELDS.items()}


def _values() -> dict[str, str]:
    coded = [field for name, field in FIELDS.items() if field.codes and name != "major_vessels"]
    return {**_OTHER_VALUES} | {word.lower(): word for field in coded for word in field.codes.values()}


_FIELD_OF_NAME = _names()
_VALUE_OF_WORD = _values()


def _any(phrases: Iterable[str]) -> str:
    return "|".join(re.escape(phrase.lower()) for phrase in sorted(phrases, key=len, reverse=True))


_DIGITS = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=$|[\s,;:)%]|\.(?:\s|$)|-year-old|mm|mg|bpm)"
_NUMBER = rf"(?:{_DIGITS}|{_any(_NUMBER_WORDS)})"
_THRESHOLD = r"(?:thresholds?|cut-?offs?)"
_LEVELS = r"(?:low|medium|high)"

_POPULATION = (
    r"disease[- ]free(?: reference| training)?"
    r"(?: patients| individuals| people| adults| persons| group| population| records)?"
)
_PHRASES: tuple[tuple[Kind, str], ...] = (
    (Kind.FIELD, _any(_FIELD_OF_NAME)),
    (Kind.SHARE, r"most(?= (?:of (?:the )?)?disease-free)"),
    (Kind.VALUE, r"90 (?:years )?or (?:older|over|above)"),
    (
        Kind.WORD,
        r"on the (?:one|other) hand|as well|all of (?:which|them|these)|c[ao]mes? back|"
        r"on account of|one (?:after|by) (?:one|another)|one of|notable for|"
        r"(?:please )?note that|i\.e\.",
    ),
    (Kind.UNKNOWN, r"(?:is|are|was|were|has|have|had) to(?: be)?"),
    (Kind.UNIT, "|".join(_UNITS.values())),
    (Kind.ABSENT, r"not (?:been )?(?:measured|available|recorded|obtained)|unmeasured|unavailable|missing"),
    (Kind.OUTSIDE, r"outside (?:the|its) (?:model's )?range(?: (?:that )?the model was made for)?|less certain"),
    (Kind.VALUE, _any(_VALUE_OF_WORD)),
    (
        Kind.TYPICAL,
        rf"(?:taken|assumed|set|considered|regarded)(?: as| to be| to)? typical(?: (?:of|for) {_POPULATION})?|"
        rf"typical values?(?: (?:of|for) {_POPULATION})?",
    ),
    (Kind.THRESHOLD, rf"{_LEVELS}(?:[- ]risk)? {_THRESHOLD}"),
    (Kind.THRESHOLD, rf"{_THRESHOLD} (?:for|of) (?:a |the )?{_LEVELS}(?: risk)?(?: level)?"),
    (Kind.THRESHOLD, _THRESHOLD),
    (Kind.LEVEL, rf"{_LEVELS}(?:-risk)?"),
    (Kind.SCORE, r"anomaly scores?|scores?|scored|scoring"),
    (Kind.RISK, r"risk"),
    (Kind.UNUSUAL, r"more (?:unusual|anomalous|atypical)"),
    (Kind.POPULATION, _POPULATION),
    (Kind.WORD, r"how (?:unusual|anomalous|atypical)"),
    (Kind.FIRST_OF_ALL, r"most (?:influential|important|relevant)|above all|matters? most"),
    (
        Kind.RELATION,
        r"at or above|at or below|at(?= (?:a |the |its )?(?:(?:low|medium|high)[- ])?(?:risk )?(?:threshold|cut))|"
        r"between|above|over|exceed(?:s|ed|ing)?|(?:higher|greater) than|surpass(?:es|ed|ing)?|"
        r"reach(?:es|ed|ing)?|meets?|met|below|under|beneath|(?:lower|less) than",
    ),
    (
        Kind.RAISES,
        r"rais(?:e|es|ed|ing)|increas(?:e|es|ed|ing)|elevat(?:es|ing)|lift(?:s|ed|ing)?|boost(?:s|ed|ing)?|"
        r"add(?:s|ed|ing)? to|upwards?|higher|up|elevated by|inflat(?:es|ed|ing)|heighten(?:s|ed|ing)?|"
        r"augment(?:s|ed|ing)?|amplif(?:y|ies|ied)|positive(?:ly)?|rises?|rising|elevation",
    ),
    (
        Kind.LOWERS,
        r"lower(?:s|ed|ing)?|reduc(?:e|es|ed|ing|tion)|decreas(?:e|es|ed|ing)|diminish(?:es|ed|ing)?|downwards?|down|"
        r"drop(?:s|ped)?|lessen(?:s|ed|ing)?|dampen(?:s|ed|ing)?|"
        r"negative(?:ly)?",
    ),
    (
        Kind.CONTRIBUTES,
        r"contribut(?:e|es|ed|ing)|driv(?:e|es|en|ing|ers?)|support(?:s|ed|ing)?|explain(?:s|ed|ing)?|"
        r"account(?:s|ed|ing)? for",
    ),
    (
        Kind.OPPOSES,
        r"offsets?|offsetting|counter(?:s|ed|ing)?|counteract(?:s|ed|ing)?|counterbalance[sd]?|compensated?",
    ),
    (Kind.LESSER, r"to a (?:lesser|smaller) (?:extent|degree)|less strongly|lesser|smaller"),
    (
        Kind.SEQUENCE,
        r"followed by|first(?:ly)?|second(?:ly)?|third(?:ly)?(?! of)|next|then|finally|lastly|subsequently",
    ),
    (
        Kind.FIRST,
        r"most(?:ly)?|main(?:ly)?|largely|chief(?:ly)?|largest|strongest|biggest|greatest|primar(?:y|ily)|principal(?:ly)?|"
        r"dominant|leading(?! to)|foremost|especially|particularly|key|top|important|major(?! vessel)",
    ),
    (Kind.CONTRAST, r"while|whilst|whereas|but|although|though|yet|however|(?:in|by) contrast|conversely|despite"),
    (Kind.AND, "and"),
)

_SYMBOLS: tuple[tuple[Kind, str], ...] = (
    (Kind.SHARE, rf"(?<![\w.])(?:less than |at least )?{_NUMBER} ?(?:%|percent\b|per cent\b)"),
    (Kind.NUMBER, rf"(?<![\w.]){_NUMBER}(?!\w)|(?<![\w.]){_DIGITS}"),
    (Kind.UNIT, rf"(?<=\d)(?:{'|'.join(_UNITS.values())})\b|-year-old"),
    (Kind.CONTRAST, ";"),
    (Kind.AND, "[,:–—]"),
    (Kind.BRACKET, r"[()]"),
)

_RELATIONS: Mapping[str, str] = {
    "at or above": ">=",
    "at or below": "<=",
    "at": "=",
    "between": "between",
    "below": "<",
    "under": "<",
    "beneath": "<",
    "lower than": "<",
    "less than": "<",
}
"""The sense of a comparison; those of reaching are ``>=``, and every other one is ``>``."""


@cache
def _tokenizer() -> re.Pattern[str]:
    phrases = [rf"(?P<p{at}>(?<![\w-])(?:{pattern})(?![\w-]))" for at, (_, pattern) in enumerate(_PHRASES)]
    symbols = [rf"(?P<s{at}>{pattern})" for at, (_, pattern) in enumerate(_SYMBOLS)]
    # A share and a number come first, but for names of fields that hold one.
    order = [*phrases[:4], *symbols, *phrases[4:], r"(?P<word>[a-z]\w*(?:'[a-z]+)?)", r"(?P<end>\.(?=\s*$))"]
    return re.compile("|".join([*order, r"(?P<unknown>\S)"]))


def tokens_of(sentence: str) -> list[Token]:
    """Split a sentence into words and phrases; what is not listed is ``UNKNOWN``."""
    plain = sentence.lower().replace("’", "'")
    return [_token(match) for match in _tokenizer().finditer(plain)]


def _token(match: re.Match[str]) -> Token:
    group, text = str(match.lastgroup), match.group()
    if group in {"word", "end", "unknown"}:
        return Token(Kind.WORD if group == "end" or text in WORDS else Kind.UNKNOWN, text)
    kind = (_PHRASES if group[0] == "p" else _SYMBOLS)[int(group[1:])][0]
    return Token(kind, text, _detail(kind, text))


def _detail(kind: Kind, text: str) -> str:
    readers: Mapping[Kind, Callable[[str], str]] = {
        Kind.FIELD: _FIELD_OF_NAME.__getitem__,
        Kind.VALUE: lambda word: _VALUE_OF_WORD.get(word, OLDER),
        Kind.NUMBER: _digits,
        Kind.UNIT: _unit,
        Kind.SHARE: _share,
        Kind.THRESHOLD: _level_in,
        Kind.LEVEL: _level_in,
        Kind.RELATION: _relation,
    }
    return readers[kind](text) if kind in readers else ""


def _digits(text: str) -> str:
    return str(_NUMBER_WORDS.get(text, text))


def _unit(text: str) -> str:
    return next((unit for unit, pattern in _UNITS.items() if re.fullmatch(pattern, text)), "years")


def _share(text: str) -> str:
    if text == "most":
        return text
    *opening, number = re.sub(r" ?(%|percent|per cent)$", "", text).rsplit(" ", 1)
    return " ".join([*opening, _digits(number), "%"])


def _level_in(text: str) -> str:
    found = re.search(_LEVELS, text)
    return found.group() if found else ""


def _relation(text: str) -> str:
    return _RELATIONS.get(text, ">=" if text.startswith(("reach", "me")) else ">")
