"""The words an explanation may be made of, and what each of them means; everything else is unknown.

The words of the fields, their codes and units come from the field descriptions; the rest is listed. Nothing clinical
beyond the fields can be said with these words, nor advice, certainty, or reassurance.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from server.explanation.facts import OLDER
from server.explanation.kinds import PHRASE, Kind, Token
from server.explanation.naming import FIELD_OF_NAME, NUMBER_WORDS, UNITS, VALUE_OF_WORD
from server.explanation.phrases import LEVELS, PHRASES, SYMBOLS, WORDS_FIRST
from server.explanation.rephrasing import plainly
from server.explanation.vocabulary import WORDS

_RELATIONS: Mapping[str, str] = {
    "at or below": "<=",
    "not above": "<=",
    "not at or above": "<",
    "not lower than": ">=",
    "no lower than": ">=",
    "smaller than": "<",
    "not over": "<=",
    "not below": ">=",
    "not under": ">=",
    "no less than": ">=",
    "at least": ">=",
    "not as high as": "<",
    "at least at": ">=",
    "falls short of": "<",
    "short of": "<",
    "does not exceed": "<=",
    "did not exceed": "<=",
    "do not exceed": "<=",
    "does not surpass": "<=",
    "did not surpass": "<=",
    "do not surpass": "<=",
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
    words = [_group("f", at, rf"(?<![\w-])(?:{pattern})(?![\w-])") for at, (_, pattern) in enumerate(WORDS_FIRST)]
    symbols = [_group("s", at, pattern) for at, (_, pattern) in enumerate(SYMBOLS)]
    phrases = [_group("p", at, rf"(?<![\w-])(?:{pattern})(?![\w-])") for at, (_, pattern) in enumerate(PHRASES)]
    # A share and a number come before the phrases, but for names of fields that hold one.
    order = [*words, *symbols, *phrases, r"(?P<word>[a-z]\w*(?:'[a-z]+)?)", r"(?P<end>\.(?=\s*$))"]
    return re.compile("|".join([*order, r"(?P<unknown>\S)"]))


def _group(prefix: str, at: int, pattern: str) -> str:
    return f"(?P<{prefix}{at}>{pattern})"


def tokens_of(sentence: str) -> list[Token]:
    """Split a sentence into words and phrases; what is not listed is ``UNKNOWN``."""
    return [_token(match) for match in _tokenizer().finditer(plainly(sentence))]


def _token(match: re.Match[str]) -> Token:
    group, text = str(match.lastgroup), match.group()
    if group in {"word", "end", "unknown"}:
        return Token(Kind.WORD if group == "end" or text in WORDS else Kind.UNKNOWN, text)
    kind = {"f": WORDS_FIRST, "s": SYMBOLS, "p": PHRASES}[group[0]][int(group[1:])][0]
    return Token(kind, text, _detail(kind, text))


def _detail(kind: Kind, text: str) -> str:
    readers: Mapping[Kind, Callable[[str], str]] = {
        Kind.FIELD: _field,
        Kind.VALUE: lambda word: VALUE_OF_WORD.get(word, OLDER),
        Kind.NUMBER: _digits,
        Kind.UNIT: _unit,
        Kind.SHARE: _share,
        Kind.THRESHOLD: _level_in,
        Kind.LEVEL: _level_in,
        Kind.RELATION: _relation,
        Kind.COUNT: _count,
        Kind.PASSED: _passed,
    }
    if kind in readers:
        return readers[kind](text)
    return PHRASE if kind is Kind.WORD else ""


def _field(text: str) -> str:
    return FIELD_OF_NAME.get(text) or FIELD_OF_NAME[text.rpartition(" ")[0]]


def _digits(text: str) -> str:
    return str(NUMBER_WORDS.get(text, text))


def _unit(text: str) -> str:
    return next((unit for unit, pattern in UNITS.items() if re.fullmatch(pattern, text)), "years")


def _share(text: str) -> str:
    if text == "most":
        return text
    *opening, number = re.sub(r" ?(%|percent|per cent)$", "", text).rsplit(" ", 1)
    return " ".join([*opening, _digits(number), "%"])


def _level_in(text: str) -> str:
    found = re.search(LEVELS, text)
    return found.group() if found else ""


def _relation(text: str) -> str:
    if text in _RELATIONS:
        return _RELATIONS[text]
    if " not " in text or text.startswith("fail"):
        return "<=" if text.endswith(("exceeded", "surpassed")) else "<"
    return ">=" if text.startswith(("reach", "me", "attain")) or " or " in text else ">"


def _count(text: str) -> str:
    return str(NUMBER_WORDS[text.rpartition(" ")[2]])


def _passed(text: str) -> str:
    """Return how a score stands to a threshold that *is reached*, or *is not exceeded*."""
    is_reached = "reached" in text or "met" in text
    if "not" in text:
        return "<" if is_reached else "<="
    return ">=" if is_reached else ">"
