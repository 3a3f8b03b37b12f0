"""What an explanation must satisfy before anyone sees it: true to the facts, and nothing beyond them.

What is judged is the text as it would be shown, slots such as ``[[st_depression]]`` filled. Every word has to be a
listed one, so that nothing can be said that is not understood here; what is understood has to be true. Where a sentence
can be read in several ways, all of them have to be true. A text is withheld in doubt: the deterministic one is always
there.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from config.messages import RiskLevel
from server.narrative.facts import STATED_FACTORS, Facts, score_in_words, share_in_words
from server.narrative.lexicon import Kind, Token
from server.narrative.reading import Clause, Sentence
from server.narrative.rules import Rule
from server.narrative.subjects import is_about_the_score
from server.narrative.values import FIELD_OF_LABEL, is_fact, not_measured, threshold_named

LEAST_WORDS: Final = 25
MOST_WORDS: Final = 120
MOST_TOKENS: Final = 300
"""Of one sentence, so that reading it takes a few milliseconds whatever it is."""

HALF: Final = 0.5
SLOT = re.compile(r"\[\[([a-z_]+)\]\]")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])")
_VERBS: Final = frozenset(["is", "are", "was", "were", "shows", "showed", "has", "had", "comes", "come", "matter"])
_REFERENCES: Final = frozenset(["too", "also", "likewise", "similarly", "equally", "same", "again", "instead", "turn"])
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9 \n.,;:()'’%/–—-]*")


class GuardError(Exception):
    """A text breaks rules; the message names the first of them without quoting the text."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=list(Rule).index))
        super().__init__(self.rules[0].value)


def sentences_of(text: str) -> list[str]:
    """Split a text into sentences; the last one may be unfinished."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def checked_sentence(sentence: str, facts: Facts) -> str:
    """Return a sentence with its slots filled.

    Raises
    ------
    GuardError
        With every rule that it breaks.
    """
    text = _filled(sentence, facts)
    if broken := broken_by_sentence(text, facts):
        raise GuardError(broken)
    return text


def check_whole(text: str, facts: Facts) -> None:
    """Check a text as a whole, its slots filled or not.

    Raises
    ------
    GuardError
        With every rule that it or any of its sentences breaks: it needs ``LEAST_WORDS`` to ``MOST_WORDS`` words, the
        risk level, and each of the first three factors with its direction.
    """
    text = _filled(text, facts)
    broken = {rule for sentence in sentences_of(text) for rule in broken_by_sentence(sentence, facts)}
    if not LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
        broken.add(Rule.LENGTH)
    if not _is_complete(text, facts):
        broken.add(Rule.COMPLETENESS)
    if broken:
        raise GuardError(broken)


def broken_by_sentence(text: str, facts: Facts) -> set[Rule]:
    """Return the rules that one sentence breaks, its slots filled."""
    if not _PLAIN_TEXT.fullmatch(text):
        return {Rule.CHARACTERS}
    sentence = Sentence(text)
    if len(sentence.tokens) > MOST_TOKENS:
        return {Rule.LENGTH}
    checks = {
        Rule.WORDS: _has_only_known_words(sentence, facts),
        Rule.NUMBERS: _states_only_facts(sentence, facts),
        Rule.FACTORS: _names_only_facts(sentence, facts),
        Rule.DIRECTIONS: _says_what_factors_do(sentence, facts),
        Rule.LEVEL: _names_the_level(sentence, facts),
        Rule.COMPARISONS: _compares_truly(sentence, facts),
        Rule.RANKS: _ranks_truly(sentence, facts),
    }
    return {rule for rule, is_kept in checks.items() if not is_kept}


def _filled(text: str, facts: Facts) -> str:
    values = {factor.name: factor.value for factor in facts.factors}
    values |= {"anomaly_score": score_in_words(facts.anomaly_score), "threshold": f"{threshold_named(facts, ''):g}"}
    if not set(SLOT.findall(text)) <= values.keys():
        raise GuardError([Rule.SLOTS])
    return SLOT.sub(lambda slot: values[slot.group(1)], text)


def _is_complete(text: str, facts: Facts) -> bool:
    sentences = [Sentence(sentence) for sentence in sentences_of(text)]
    said = {
        (name, clause.predicate)
        for sentence in sentences
        for clauses in sentence.readings[:1]
        for clause in clauses
        for name in clause.names
    }
    names_level = any(token.kind is Kind.LEVEL for sentence in sentences for token in sentence.tokens)
    return names_level and said >= {(factor.name, factor.direction) for factor in facts.factors[:STATED_FACTORS]}


def _has_only_known_words(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether every word is listed, stands in the company it needs, and is said of the score."""
    if sentence.has(Kind.UNKNOWN):
        return False
    if sentence.has(Kind.TYPICAL) and not sentence.has(Kind.ABSENT):
        return False
    if sentence.has(Kind.POPULATION) and not sentence.has(Kind.SHARE, Kind.TYPICAL):
        return False
    return is_about_the_score(sentence, facts)


def _states_only_facts(sentence: Sentence, facts: Facts) -> bool:
    units = sum(token.kind is Kind.UNIT for token in sentence.tokens)
    if units != sum(bool(statement.unit) for statement in sentence.statements):
        return False
    return all(is_fact(statement, facts) for statement in sentence.statements) and _says_what_is_absent(sentence, facts)


def _says_what_is_absent(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether a factor that is absent or was not measured is said to be, so that none seems to be there."""
    silent = {factor.name for factor in facts.factors if factor.imputed or factor.value == "no"}
    said = {statement.name for statement in sentence.statements}
    said |= {
        name
        for reading in sentence.readings
        for clause in reading
        if clause.predicate == "not measured"
        for name in clause.names
    }
    return not (silent & {mention.name for mention in sentence.mentions}) - said


def _names_only_facts(sentence: Sentence, facts: Facts) -> bool:
    known = {factor.name for factor in facts.factors}
    extrapolated = {FIELD_OF_LABEL[label] for label in facts.extrapolated}
    allowed = {"not measured": not_measured(facts), "extrapolated": extrapolated}
    return all(
        set(clause.names) <= allowed.get(str(clause.predicate), known)
        for clauses in sentence.readings
        for clause in clauses
    )


def _says_what_factors_do(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether the sentence can be read, and in all its readings factors do what they do, and nothing else does."""
    directions = {factor.name: factor.direction for factor in facts.factors}
    if not sentence.readings or not _level_agrees(sentence, directions) or _refers_back(sentence):
        return False
    return all(
        clause.names and all(directions.get(name) == said for name in clause.names)
        for clauses in sentence.readings
        for clause in clauses
        if (said := _direction_said(clause))
    )


def _level_agrees(sentence: Sentence, directions: Mapping[str, str]) -> bool:
    """Tell whether no factor is said to give a level that it works against: *the age puts the patient at High*."""
    direction: str | None = None
    for token, after in pairwise([*sentence.tokens, Token(Kind.WORD, "")]):
        if token.kind is Kind.FIELD:
            direction = directions.get(token.detail)
        elif token.kind in {Kind.AND, Kind.CONTRAST} and after.text not in {"which", "that"}:
            direction = None
        elif token.kind is Kind.LEVEL and direction and direction != _direction_to(token):
            return False
    return True


def _refers_back(sentence: Sentence) -> bool:
    """Tell whether a factor is named with no direction of its own, yet with that of another sentence: *the age too*."""
    is_silent = any(clause.predicate is None and clause.names for clauses in sentence.readings for clause in clauses)
    words = [token.text for token in sentence.tokens]
    begins_anew = not {token.kind for token in sentence.tokens[:1]} & {Kind.AND, Kind.CONTRAST, Kind.BRACKET}
    stands_alone = begins_anew and bool(_VERBS & set(words)) and not _REFERENCES & set(words)
    return is_silent and (not stands_alone or sentence.has(Kind.CONTRAST))


def _direction_to(level: Token) -> str:
    return "lowers" if level.detail == "low" else "raises"


def _direction_said(clause: Clause) -> str | None:
    """Return the direction that a clause gives its factors; *its value indicates High* gives one without a verb."""
    if clause.predicate is None and clause.names:
        return next((_direction_to(token) for token in clause.tokens if token.kind is Kind.LEVEL), None)
    return clause.predicate if clause.predicate in {"raises", "lowers"} else None


def _names_the_level(sentence: Sentence, facts: Facts) -> bool:
    levels = {token.detail for token in sentence.tokens if token.kind is Kind.LEVEL}
    thresholds = {token.detail for token in sentence.tokens if token.kind is Kind.THRESHOLD}
    return levels <= {facts.level.lower()} and "low" not in thresholds


def _compares_truly(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether every comparison has an object after it, and holds for the score or its share."""
    waiting: Token | None = None
    for token in sentence.tokens:
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


def _ranks_truly(sentence: Sentence, facts: Facts) -> bool:
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
    if Kind.FIRST_OF_ALL in kinds:
        return _lead(names, [factor.name for factor in facts.factors])
    if Kind.FIRST in kinds:
        return _lead(names, [f.name for f in facts.factors if clause.predicate in {None, f.direction}])
    return True


def _lead(names: list[str], order: list[str]) -> bool:
    """Tell whether the names are the first of an order, beginning with its first."""
    return names[0] == order[0] and set(names) == set(order[: len(names)]) if order else False
