"""How far an explanation agrees with its facts, by the measures that the literature on such texts uses.

Agreement in rank, sign and value is that of Ichmoukhamedov, Hinns and Martens (2024), *How good is my story?*,
arXiv 2412.10220: the share of the features named as reasons whose rank, sign and value are the explanation's own
(RA, SA and VA; ``compute_faithfulness`` of SHAPnarrative-metrics). Completeness and conciseness are those of Zytek et
al. (2024), *Explingo*, arXiv 2412.05145 (``completeness`` and ``conciseness`` of its grader), divided by their greatest
score, 4. What they leave to a language model, reading the text, is done here by the guard's own reading.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from common.messages import ExplanationMeasures
from server.explanation.facts import STATED_FACTORS, Facts
from server.explanation.guard import sentences_of
from server.explanation.reading import Predicate, Sentence
from server.explanation.values import is_fact

WORDS_A_FEATURE: Final = 20
"""Explingo's longest optimal length, in words for each feature of the explanation."""


@dataclass
class _Reason:
    """A field that a text names as a reason: what it is said to do, and whether its stated value is right."""

    direction: Predicate | None = None
    value_is_right: bool | None = None


def measure(text: str, facts: Facts) -> ExplanationMeasures:
    """Measure a text against its facts; each figure is a share from 0 to 1, and ``None`` where nothing was said."""
    reasons = _reasons(text, facts)
    order = [factor.name for factor in facts.factors]
    directions = {factor.name: factor.direction for factor in facts.factors}
    return ExplanationMeasures(
        rank_agreement=_share(order[at : at + 1] == [name] for at, name in enumerate(reasons)),
        sign_agreement=_share(r.direction == directions.get(name) for name, r in reasons.items() if r.direction),
        value_agreement=_share(r.value_is_right for r in reasons.values() if r.value_is_right is not None),
        completeness=_completeness([reasons.get(name) for name in order[:STATED_FACTORS]]),
        conciseness=_conciseness(len(text.split()), len(order[:STATED_FACTORS])),
    )


def _share(agreements: Iterable[bool]) -> float | None:
    agreed = list(agreements)
    return sum(agreed) / len(agreed) if agreed else None


def _completeness(reasons: list[_Reason | None]) -> float:
    """Return 0 where a feature is not named, 0.5 where a value or direction is not given, and 1 otherwise."""
    if None in reasons:
        return 0.0
    return 1.0 if all(r and r.direction and r.value_is_right is not None for r in reasons) else 0.5


def _conciseness(words: int, features: int) -> float:
    """Return 1 up to the longest optimal length, falling in a line to 0 at twice that."""
    return max(0.0, min(1.0, 2 - words / (WORDS_A_FEATURE * max(1, features))))


def _reasons(text: str, facts: Facts) -> dict[str, _Reason]:
    """Return the fields that a text names as reasons, in the order in which it first does."""
    reasons: dict[str, _Reason] = {}
    for sentence in map(Sentence, sentences_of(text)):
        for clause in sentence.readings[0] if sentence.readings else ():
            if clause.predicate in {None, "raises", "lowers"}:
                for name in clause.names:
                    reason = reasons.setdefault(name, _Reason())
                    reason.direction = reason.direction or clause.predicate
        for statement in sentence.statements:
            if statement.name in reasons:
                reasons[statement.name].value_is_right = is_fact(statement, facts)
    return reasons
