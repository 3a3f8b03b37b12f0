"""Whether a sentence moves, compares and rates what it may: the score and the risk level, but no factor or person."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from server.narrative.facts import Facts
from server.narrative.lexicon import Kind, Token
from server.narrative.reading import Sentence
from server.narrative.values import not_measured
from server.narrative.vocabulary import ORDERS

_DETERMINERS: Final = frozenset(["the", "a", "an", "this", "that", "his", "her", "their", "patient's", "overall"])
_COPULAS: Final = frozenset(["is", "are", "was", "were", "be", "been", "being", "has", "have", "had"])
_BEFORE_AN_ORDER: Final = frozenset(["", "so", "therefore", "thus", "hence"])
_RATINGS: Final = frozenset(["level", "levels", "category", "rating", "group", "class"])
_MOVES: Final = frozenset([Kind.RAISES, Kind.LOWERS])
_OF_A_FACTOR: Final = frozenset([Kind.FIELD, Kind.VALUE, Kind.UNIT, Kind.NUMBER, Kind.BRACKET])
_WITHIN_A_LINK: Final = _OF_A_FACTOR | {Kind.WORD, Kind.ABSENT, Kind.FIRST, Kind.LESSER}
_JOINING_WORDS: Final = "of with together along alongside plus as well as both by from to in on at for like besides"
_JOINING: Final = frozenset([*_JOINING_WORDS.split(), *_DETERMINERS, "as well", "on account of", "its", "each"])
_START: Final = Token(Kind.WORD, "")


def is_about_the_score(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether the sentence gives no order, and nothing but the score is raised, lowered, compared or typical."""
    tokens = sentence.tokens
    return not (
        _gives_an_order(tokens)
        or _moves_something_else(tokens)
        or _rates_a_factor(tokens)
        or _compares_something_else(tokens)
        or _relates_factors(sentence)
        or (sentence.has(Kind.RISK) and not sentence.has(Kind.LEVEL, Kind.THRESHOLD))
        or not _only_the_unmeasured_is_typical(sentence, facts)
    )


def _gives_an_order(tokens: Sequence[Token]) -> bool:
    return any(
        before.text in _BEFORE_AN_ORDER and after.text in ORDERS
        for before, after in pairwise([_START, *(token for token in tokens if token.text not in _DETERMINERS)])
    )


def _moves_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether the risk, a level or a factor is raised or lowered: no cause is known, and no value is judged."""
    bare = [token for token in tokens if token.text not in _DETERMINERS]
    objects = [after for token, after in pairwise(bare) if token.kind in _MOVES]
    if any(after.kind in {Kind.RISK, Kind.FIELD} or after.text in _RATINGS for after in objects):
        return True
    moves = [at for at, token in enumerate(tokens) if token.kind in _MOVES]
    return any(
        _is_said_of(tokens, at, {Kind.RISK}) or _follows_factor_and_copula(tokens, at) or _follows_value(tokens, at)
        for at in moves
    )


def _follows_value(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether *higher* or *lower* ends what is said of a value, as in *3.5 mm higher*."""
    is_last = at + 1 == len(tokens) or tokens[at + 1].kind in {Kind.AND, Kind.CONTRAST} or tokens[at + 1].text == "."
    follows = at > 0 and tokens[at - 1].kind in {Kind.NUMBER, Kind.UNIT}
    return follows and is_last and tokens[at].text in {"higher", "lower"}


def _rates_a_factor(tokens: Sequence[Token]) -> bool:
    """Tell whether a level is said of a factor, as in *high cholesterol* or *the cholesterol is high*."""
    if any(token.kind is Kind.LEVEL and after.kind is Kind.FIELD for token, after in pairwise(tokens)):
        return True
    return any(token.kind is Kind.LEVEL and _follows_factor_and_copula(tokens, at) for at, token in enumerate(tokens))


def _compares_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether a factor is compared with a threshold or with patients, or the risk with patients."""
    last: Token | None = None
    for at, token in enumerate(tokens):
        if token.kind in {Kind.FIELD, Kind.SCORE, Kind.RISK} or token.text in {"record", "score's"}:
            last = token
        elif token.kind in {Kind.RELATION, Kind.UNUSUAL} and last is not None:
            is_with_patients = any(later.kind is Kind.SHARE for later in tokens[at:])
            if last.kind is Kind.FIELD or (last.kind is Kind.RISK and is_with_patients):
                return True
    return False


def _relates_factors(sentence: Sentence) -> bool:
    """Tell whether a verb links two factors, as in *the ST depression results from the age*: that is no fact."""
    links = (
        sentence.tokens[first.at + 1 : second.at]
        for first, second in pairwise(sentence.mentions)
        if first.name != second.name
    )
    return any(
        all(token.kind in _WITHIN_A_LINK for token in link)
        and any(token.kind is Kind.WORD and token.text not in _JOINING for token in link)
        for link in links
    )


def _only_the_unmeasured_is_typical(sentence: Sentence, facts: Facts) -> bool:
    clauses = [clause for reading in sentence.readings for clause in reading]
    typical = [clause for clause in clauses if any(token.kind is Kind.TYPICAL for token in clause.tokens)]
    return all(set(clause.names) <= not_measured(facts) for clause in typical)


def _is_said_of(tokens: Sequence[Token], at: int, kinds: set[Kind]) -> bool:
    """Tell whether one of these kinds stands before, with nothing but plain words between."""
    before = at - 1
    while before >= 0 and tokens[before].kind is Kind.WORD:
        before -= 1
    return before >= 0 and tokens[before].kind in kinds


def _follows_factor_and_copula(tokens: Sequence[Token], at: int) -> bool:
    before = at - 1
    while before >= 0 and tokens[before].text in _COPULAS:
        before -= 1
    return before != at - 1 and before >= 0 and tokens[before].kind in _OF_A_FACTOR
