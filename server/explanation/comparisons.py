"""Whether the score, and nothing else, is compared: truly, and only with thresholds and the disease-free patients."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from common.messages import RiskLevel
from server.explanation.company import parts_of
from server.explanation.facts import Facts, share_in_words
from server.explanation.kinds import Kind, Token
from server.explanation.values import threshold_named
from server.explanation.vocabulary import DETERMINERS, words

HALF: Final = 0.5
_BESIDE_A_THRESHOLD: Final = DETERMINERS | words("""
against versus vs compared comparison relative to with for of is was being and as at by set used in level risk category
group model model's result . whose patient where based on
""")
_AGAINST: Final = words("against versus vs compared relative with")
_AFTER_THE_POPULATION: Final = words("""
. in the model model's reference training sample group set data used as for comparison was trained on that it who of
overall also therefore so to with which and compared against seen on same by its an a anomaly here result patient record
""")
_AFTER_RISK: Final = words("this the that these")
_NOT_COMPARED: Final = words("reading measurement value values model influence effect force")
_COMPARED_OR_NOT: Final = _NOT_COMPARED | {"record", "score's"}
_START: Final = Token(Kind.WORD, "")


def compares_only_the_score(tokens: Sequence[Token]) -> bool:
    """Tell whether nothing but the score is compared, with nothing but thresholds and the disease-free patients."""
    parts = list(parts_of(tokens))
    return not (
        _compares_something_else(tokens)
        or any(_rates_them_all(part) or _misuses_a_threshold(part) or _misuses_the_population(part) for part in parts)
        or _compares_with_the_score(tokens)
        or _is_against_something_else(tokens)
        or not _shares_are_of_patients(tokens)
        or _risks_something_else(tokens)
    )


def compares_truly(tokens: Sequence[Token], facts: Facts) -> bool:
    """Tell whether every comparison has an object after it, and holds for the score or its share."""
    waiting: Token | None = None
    threshold: Token | None = None
    for token in tokens:
        if token.kind is Kind.THRESHOLD:
            threshold = token
        if token.kind is Kind.PASSED and (threshold is None or not _holds(token, threshold, facts)):
            return False
        if token.kind in {Kind.RELATION, Kind.UNUSUAL}:
            if waiting:
                return False
            waiting = token
        elif token.kind in {Kind.THRESHOLD, Kind.SHARE}:
            if not _holds(waiting, token, facts):
                return False
            is_half = waiting and waiting.detail == "between" and token.detail == "medium"
            waiting = waiting if is_half else None
    return waiting is None


def _holds(relation: Token | None, compared: Token, facts: Facts) -> bool:
    """Tell whether a comparison is true; a threshold may stand without one, and *between* takes both of them."""
    if compared.kind is Kind.SHARE:
        return relation is not None and relation.detail in {"", ">", ">="} and _is_share(compared, facts)
    if relation is None:
        return True
    score, threshold = facts.anomaly_score, threshold_named(facts, compared.detail)
    return {
        ">": score > threshold,
        ">=": score >= threshold,
        "<": score < threshold,
        "<=": score <= threshold,
        "between": bool(compared.detail) and facts.level is RiskLevel.MEDIUM,
    }.get(relation.detail, False)


def _is_share(token: Token, facts: Facts) -> bool:
    if token.detail == "most":
        return facts.anomaly_score > HALF
    return token.detail == share_in_words(facts.anomaly_score)


def _compares_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether anything but the score and the record is compared, as far as its subject is named."""
    last: Token | None = None
    for at, token in enumerate(tokens):
        if token.kind in {Kind.FIELD, Kind.SCORE, Kind.RISK} or token.text in _COMPARED_OR_NOT:
            last = token
        elif token.kind in {Kind.RELATION, Kind.UNUSUAL} and last is not None:
            is_with_patients = any(later.kind is Kind.SHARE for later in tokens[at:])
            if last.kind is Kind.FIELD or last.text in _NOT_COMPARED or (last.kind is Kind.RISK and is_with_patients):
                return True
    return False


def _rates_them_all(part: Sequence[Token]) -> bool:
    return any(token.text.startswith("all of") for token in part) and any(token.kind is Kind.LEVEL for token in part)


def _misuses_a_threshold(part: Sequence[Token]) -> bool:
    """Tell whether a threshold stands in a part with no comparison that could be checked: *within the threshold*."""
    kinds = {token.kind for token in part}
    if Kind.THRESHOLD not in kinds or kinds & {Kind.RELATION, Kind.UNUSUAL, Kind.PASSED}:
        return False
    words = {token.text for token in part if token.kind is Kind.WORD}
    return not words <= _BESIDE_A_THRESHOLD or (Kind.SCORE in kinds and not words & _AGAINST)


def _misuses_the_population(part: Sequence[Token]) -> bool:
    """Tell whether something is said of the disease-free patients: *98 % of disease-free patients at High risk*."""
    places = [at for at, token in enumerate(part) if token.kind is Kind.POPULATION]
    after = part[places[0] + 1 :] if places else []
    allowed = {Kind.BRACKET, Kind.TYPICAL, Kind.SHARE, Kind.RELATION, Kind.UNUSUAL, Kind.ABSENT}
    return any(
        token.text not in _AFTER_THE_POPULATION if token.kind is Kind.WORD else token.kind not in allowed
        for token in after
        if token.is_single or token.kind is not Kind.WORD
    )


def _is_against_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether anything but a threshold, a level or the disease-free patients comes after *against*."""
    bare = [token for token in tokens if token.text not in DETERMINERS]
    compared = {Kind.THRESHOLD, Kind.LEVEL, Kind.POPULATION, Kind.NUMBER}
    return any(token.text == "against" and after.kind not in compared for token, after in pairwise([*bare, _START]))


def _compares_with_the_score(tokens: Sequence[Token]) -> bool:
    """Tell whether a comparison is one the wrong way round, *above the score lies ...*, or one still *to* come."""
    bare = [token for token in tokens if token.text not in DETERMINERS]
    shares = any(token.kind is Kind.SHARE for token in tokens)
    return any(
        (relation.kind in {Kind.RELATION, Kind.UNUSUAL} and after.kind is Kind.SCORE and not shares)
        or (relation.kind is Kind.RELATION and before.text == "to")
        or (relation.text == "than" and before.kind not in {Kind.UNUSUAL, Kind.WORD})
        for before, relation, after in zip([_START, *bare], bare, [*bare[1:], _START], strict=False)
    ) or (any(token.text == "than" for token in tokens) and not any(token.kind is Kind.UNUSUAL for token in tokens))


def _shares_are_of_patients(tokens: Sequence[Token]) -> bool:
    """Tell whether every share is one of the disease-free patients, named after it or before: *98 % of them*."""
    named = False
    for at, token in enumerate(tokens):
        named = named or token.kind is Kind.POPULATION
        following = [after for after in tokens[at + 1 :] if after.text not in {"of", "the", "all", "these"}][:1]
        if token.kind is Kind.SHARE and not named and [after.kind for after in following] != [Kind.POPULATION]:
            return False
    return True


def _risks_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether a risk without a level is spoken of, or a risk of something."""
    kinds = {token.kind for token in tokens}
    bare = [*tokens, _START, _START]
    return (Kind.RISK in kinds and not kinds & {Kind.LEVEL, Kind.THRESHOLD}) or any(
        token.kind is Kind.RISK and after.text in {"of", "for"} and second.text not in _AFTER_RISK
        for token, after, second in zip(bare, bare[1:], bare[2:], strict=False)
    )
