"""Whether what a sentence says hangs together truly: its reasons, its contrasts, and what links two factors."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from server.explanation.company import parts_of
from server.explanation.facts import Facts
from server.explanation.kinds import Kind, Token
from server.explanation.reading import Sentence
from server.explanation.subjects import OF_A_FACTOR
from server.explanation.values import not_measured
from server.explanation.vocabulary import COPULAS, DETERMINERS, words

_WITHIN_A_LINK: Final = OF_A_FACTOR | {Kind.WORD, Kind.ABSENT, Kind.FIRST, Kind.LESSER}
_JOINING_WORDS: Final = words("of with together along alongside plus as well both by from to in on at for like besides")
_JOINING: Final = _JOINING_WORDS | DETERMINERS | {"as well", "on account of", "each"}
_REASONS: Final = words("""
as since because so therefore thus hence due consequently accordingly owing from thereby result
""")
_RESULT: Final = frozenset([Kind.LEVEL, Kind.SCORE, Kind.THRESHOLD, Kind.SHARE])
_MOVING: Final = frozenset([Kind.RAISES, Kind.LOWERS, Kind.CONTRIBUTES, Kind.OPPOSES])
_REASONED: Final = frozenset([Kind.RELATION, Kind.UNUSUAL, Kind.ABSENT])
_BEGINNINGS: Final = frozenset([Kind.SCORE, Kind.LEVEL, Kind.RISK, Kind.THRESHOLD, Kind.RELATION, Kind.NUMBER])
_BEGINNING_WORDS: Final = (DETERMINERS | words("with for in at on it patient record being")) - {"resulting"}
_OF_A_TYPICAL: Final = words("as since because")
_NOT_TYPICAL: Final = words("patient person individual subject record case result he she")
_PRONOUNS: Final = words("it they these this both")
_OF_A_GAP: Final = frozenset([Kind.ABSENT, Kind.TYPICAL])
_CONTRARY: Final = words("but although though yet however despite nevertheless nonetheless")
_ABOUT_BEFORE: Final = words("however nevertheless nonetheless")
_WAYS: Final = {"high": "raises", "low": "lowers", ">": "raises", ">=": "raises", "<": "lowers", "<=": "lowers"}


def hangs_together(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether no reason, contrast or link is given that the facts do not hold."""
    return not (
        _gives_another_reason(sentence)
        or _contrasts_what_agrees(sentence)
        or _opposes_a_factor(sentence.tokens)
        or _relates_factors(sentence)
        or not _only_the_unmeasured_is_typical(sentence, facts)
    )


def takes_up_truly(sentences: Sequence[Sentence]) -> bool:
    """Tell whether *in the same direction* and *in the opposite direction* are true of the sentence before."""
    for before, sentence in pairwise(sentences):
        given, own = sentence.directions_around(Kind.SAME, Kind.OPPOSITE)
        given, own = (given, own) if own else ([], given)
        given = given or before.directions[-1:]
        if (sentence.has(Kind.SAME) and given != own) or (sentence.has(Kind.OPPOSITE) and (not given or given == own)):
            return False
    return not sentences or not sentences[0].has(Kind.SAME, Kind.OPPOSITE)


def _gives_another_reason(sentence: Sentence) -> bool:
    """Tell whether *because* gives another reason than the threshold for a level, or a gap for a typical value.

    What was not measured is no reason for a score or a level, however it is said.
    """
    words = {token.text for token in sentence.tokens}
    stated = [
        token for at, token in enumerate(sentence.tokens) if token.kind is not Kind.ABSENT or not sentence.is_value(at)
    ]
    sections = list(_sections_of(stated))
    if any(_draws_from_a_gap(section) for section in sections):
        return True
    if any(_has_a_gap(before) and after and after[0].text in _REASONS for before, after in pairwise(sections)):
        return True
    return bool(words & {"because", "since"}) and not _gives_its_own_reason(sentence.tokens)


def _gives_its_own_reason(tokens: Sequence[Token]) -> bool:
    """Tell whether *because* is followed by a comparison, with nothing moved, or by a gap with *taken as typical*."""
    kinds = [token.kind for token in tokens]
    at = next(at for at, token in enumerate(tokens) if token.text in {"because", "since"})
    said = next((kind for kind in kinds[at:] if kind in _MOVING | _REASONED), None)
    if said is Kind.ABSENT and Kind.TYPICAL in kinds:
        return True
    return said in _REASONED and not _MOVING & set(kinds)


def _sections_of(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Divide a sentence at its semicolons, leaving out what stands in brackets."""
    section: list[Token] = []
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == ";":
            yield section
            section = []
        elif token.kind is not Kind.BRACKET and (depth == 0 or token.kind is Kind.ABSENT):
            section.append(token)
    yield section


def _has_a_gap(section: Sequence[Token]) -> bool:
    return any(token.kind is Kind.ABSENT for token in section)


def _draws_from_a_gap(section: Sequence[Token]) -> bool:
    """Tell whether a result is said to come of what was not measured, or a reason to be given that is none."""
    results = [part for part in parts_of(section) if any(token.kind in _RESULT for token in part)]
    if not results or not _has_a_gap(section):
        return False
    bare = [token for token in section if token.kind is not Kind.AND]
    moves = any(token.kind in _MOVING for token in section)
    begin = all(part[0].kind in _BEGINNINGS or part[0].text in _BEGINNING_WORDS for part in results)
    return (
        (not moves and not begin)
        or (not moves and any(token.kind is Kind.FIELD for part in results for token in part))
        or any(token.text in _REASONS and not _is_a_reason_of_a_typical(bare, at) for at, token in enumerate(bare))
    )


def _is_a_reason_of_a_typical(bare: Sequence[Token], at: int) -> bool:
    """Tell whether *as* follows *taken as typical*, or leads from a gap to it before a result is named."""
    if bare[at].text in _OF_A_TYPICAL and at and bare[at - 1].kind is Kind.TYPICAL:
        return True
    if any(token.kind in _RESULT | _MOVING for token in bare[:at]):
        return False
    said = next((token for token in bare[at:] if token.kind in _RESULT | _MOVING | _OF_A_GAP), None)
    if said is None or said.kind not in _OF_A_GAP:
        return False
    typical = next((place for place in range(at, len(bare)) if bare[place].kind is Kind.TYPICAL), None)
    if typical is None or bare[at].text not in _OF_A_TYPICAL:
        return typical is not None
    is_main = any(token.text in _PRONOUNS for token in bare[at:typical])
    return is_main or bare[typical].text.startswith("typical")


def _contrasts_what_agrees(sentence: Sentence) -> bool:
    """Tell whether *but* or *although* stands between what points the same way: *it is raised, but the level is High*.

    At the beginning it is about the sentence before.
    """
    if any(token.text in _ABOUT_BEFORE for token in sentence.tokens) and sentence.directions:
        return False
    if sentence.tokens[:1] and sentence.tokens[0].text in _CONTRARY and sentence.directions:
        return sentence.tokens[0].text in {"although", "though"} and len(set(sentence.directions)) == 1
    if not any(token.text in _CONTRARY for token in sentence.tokens) or sentence.has(
        Kind.ABSENT, Kind.OUTSIDE, Kind.LESSER
    ):
        return False
    ways = {_WAYS.get(token.detail, "both") for token in sentence.tokens if token.kind in {Kind.LEVEL, Kind.RELATION}}
    return not ({"raises", "lowers"} <= {*ways, *sentence.directions} or "both" in ways)


def _opposes_a_factor(tokens: Sequence[Token]) -> bool:
    """Tell whether one factor is said to offset another, rather than what the other does."""
    bare = [token for token in tokens if token.text not in DETERMINERS]
    return any(token.kind is Kind.OPPOSES and after.kind is Kind.FIELD for token, after in pairwise(bare))


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
    persons = any(_is_typical_itself(part) for part in parts_of(sentence.tokens))
    persons = persons or (bool(typical) and any(token.text == "whose" for token in sentence.tokens))
    return not persons and all(set(clause.names) <= not_measured(facts) for clause in typical)


def _is_typical_itself(part: Sequence[Token]) -> bool:
    """Tell whether the patient or the result is said to be taken as typical."""
    if not any(token.kind is Kind.TYPICAL for token in part):
        return False
    subjects = [before for before, after in pairwise(part) if after.text in COPULAS]
    return any(before.kind in _RESULT or before.text in _NOT_TYPICAL for before in subjects)
