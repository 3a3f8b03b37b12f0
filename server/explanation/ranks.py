"""Whether factors are ranked as they are: by size over all, or among those that move the score the same way."""

from typing import Final

from server.explanation.company import PARTICLES, parts_of
from server.explanation.facts import Facts
from server.explanation.kinds import Kind
from server.explanation.reading import Clause, Sentence
from server.explanation.vocabulary import words

_PLACES: Final = ("first", "second", "third", "fourth", "fifth")
_SUPERLATIVES: Final = words("""
largest strongest biggest greatest main primary principal dominant leading foremost top chief
""")
_DIRECTIONS: Final = frozenset([Kind.RAISES, Kind.LOWERS, Kind.CONTRIBUTES])


def ranks_truly(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether whatever is named first, largest or next to another is that."""
    order = [factor.name for factor in facts.factors]
    named = [order.index(mention.name) for mention in sentence.mentions if mention.name in order]
    if sentence.has(Kind.SEQUENCE) and named != sorted(named):
        return False
    return all(_clause_ranks_truly(clause, facts) for clauses in sentence.readings for clause in clauses)


def _clause_ranks_truly(clause: Clause, facts: Facts) -> bool:
    kinds = {token.kind for token in clause.tokens}
    names = list(dict.fromkeys(clause.names))
    if not names:
        return True
    if Kind.LESSER in kinds and facts.factors[0].name in names:
        return False
    if Kind.RANK in kinds and not _has_its_rank(clause, [factor.name for factor in facts.factors]):
        return False
    if Kind.FIRST_OF_ALL in kinds or _is_superlative_of_all(clause):
        return _lead(names, [factor.name for factor in facts.factors])
    if Kind.FIRST in kinds:
        return _lead(names, [f.name for f in facts.factors if clause.predicate in {None, f.direction}])
    return True


def _has_its_rank(clause: Clause, order: list[str]) -> bool:
    """Tell whether the only factor of a clause is the one whose place among all of them is named."""
    ranks = {_place(token.text) for token in clause.tokens if token.kind is Kind.RANK}
    return len(ranks) == 1 and [order.index(name) for name in clause.names if name in order] == list(ranks)


def _place(text: str) -> int:
    return next(at for at, place in enumerate(_PLACES) if place in text)


def _is_superlative_of_all(clause: Clause) -> bool:
    """Tell whether a factor is called the largest in a part that says of no direction in which: then it is of all."""
    return any(
        any(token.text.partition(" ")[0] in _SUPERLATIVES for token in part)
        and not any(token.kind in _DIRECTIONS or token.text in PARTICLES for token in part)
        for part in parts_of(clause.tokens)
    )


def _lead(names: list[str], order: list[str]) -> bool:
    """Tell whether the names are the first of an order, beginning with its first."""
    return names[0] == order[0] and set(names) == set(order[: len(names)]) if order else False
