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

from server.explanation.company import is_in_company, parts_of
from server.explanation.comparisons import compares_only_the_score, compares_truly
from server.explanation.facts import STATED_FACTORS, Facts, score_in_words
from server.explanation.kinds import Kind, Token
from server.explanation.links import hangs_together, takes_up_truly
from server.explanation.ranks import ranks_truly
from server.explanation.reading import Clause, Sentence
from server.explanation.rules import Rule
from server.explanation.subjects import moves_only_the_score
from server.explanation.values import FIELD_OF_LABEL, is_fact, not_measured, threshold_named
from server.explanation.vocabulary import JOINING, OF_A_GAP, words

LEAST_WORDS: Final = 25
MOST_WORDS: Final = 120
MOST_TOKENS: Final = 300
"""Of one sentence, so that reading it takes a few milliseconds whatever it is."""

SLOT = re.compile(r"\[\[([a-z_]+)\]\]")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])")
_OF_A_GAP: Final = frozenset(
    [Kind.FIELD, Kind.ABSENT, Kind.TYPICAL, Kind.AND, Kind.BRACKET, Kind.WORD, Kind.POPULATION]
)
_OF_A_RESULT: Final = frozenset([Kind.SCORE, Kind.LEVEL, Kind.RISK, Kind.THRESHOLD])
_VERBS: Final = words("is are was were shows showed has had comes come matter")
_CONSEQUENCES: Final = words("""
which that so therefore thus hence making giving placing putting resulting leading consequently thereby
""")
_REFERENCES: Final = words("too also likewise similarly equally same again instead turn")
_SOURCES: Final = words("""
due owing thanks from result results resulting based attributed attributable responsible reason reasons arises
stems through via account because
""")
_INFLUENCES: Final = words("""
comes come came due owing thanks influence influences influenced contribution contributions effect effects
impact impacts role roles driven shaped reflect reflects share
""")
_MALE: Final = words("he his him")
_FEMALE: Final = words("she her")
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9 \n.,;:()'’%/–—-]*")


class GuardError(Exception):
    """A text breaks rules; the message names the first of them without quoting the text."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=list(Rule).index))
        super().__init__(self.rules[0].value)


def sentences_of(text: str) -> list[str]:
    """Split a text into sentences; the last one may be unfinished."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def filled(text: str, facts: Facts) -> str:
    """Return a text with its slots filled.

    Raises
    ------
    GuardError
        If a slot is none of the facts.
    """
    values = {factor.name: factor.value for factor in facts.factors}
    values |= {"anomaly_score": score_in_words(facts.anomaly_score), "threshold": f"{threshold_named(facts, ''):g}"}
    if not set(SLOT.findall(text)) <= values.keys():
        raise GuardError([Rule.SLOTS])
    return SLOT.sub(lambda slot: values[slot.group(1)], text)


def checked_sentence(sentence: str, facts: Facts) -> str:
    """Return a sentence with its slots filled.

    Raises
    ------
    GuardError
        With every rule that it breaks.
    """
    text = filled(sentence, facts)
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
    text = filled(text, facts)
    broken = {rule for sentence in sentences_of(text) for rule in broken_by_sentence(sentence, facts)}
    if not LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
        broken.add(Rule.LENGTH)
    if not _is_complete(text, facts):
        broken.add(Rule.COMPLETENESS)
    if not takes_up_truly([Sentence(sentence) for sentence in sentences_of(text)]):
        broken.add(Rule.DIRECTIONS)
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
        Rule.COMPARISONS: compares_truly(sentence.tokens, facts),
        Rule.RANKS: ranks_truly(sentence, facts),
    }
    return {rule for rule, is_kept in checks.items() if not is_kept}


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
    if sentence.has(Kind.UNKNOWN) or not is_in_company(sentence.tokens):
        return False
    if sentence.has(Kind.TYPICAL) and not sentence.has(Kind.ABSENT):
        return False
    if sentence.has(Kind.POPULATION) and not sentence.has(Kind.SHARE, Kind.TYPICAL):
        return False
    return (
        moves_only_the_score(sentence.tokens)
        and compares_only_the_score(sentence.tokens)
        and hangs_together(sentence, facts)
        and _sex_agrees(sentence, facts)
    )


def _sex_agrees(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether *he* and *she* are used only of a patient whose sex is among the facts."""
    said = {token.text for token in sentence.tokens}
    sex = next((factor.value for factor in facts.factors if factor.name == "sex"), "")
    return (sex == "male" or not said & _MALE) and (sex == "female" or not said & _FEMALE)


def _states_only_facts(sentence: Sentence, facts: Facts) -> bool:
    units = sum(token.kind is Kind.UNIT for token in sentence.tokens)
    if units != sum(bool(statement.unit) for statement in sentence.statements):
        return False
    return (
        all(is_fact(statement, facts) for statement in sentence.statements)
        and sentence.gaps <= not_measured(facts)
        and _counts_vessels(sentence)
        and _counts_factors(sentence)
        and _says_what_is_absent(sentence, facts)
    )


def _counts_factors(sentence: Sentence) -> bool:
    """Tell whether *two factors* are as many as are named, in the sentence or in one of its clauses."""
    named = [{mention.name for mention in sentence.mentions}]
    named += [set(clause.names) for reading in sentence.readings for clause in reading]
    return all(
        int(token.detail) in {len(names) for names in named} for token in sentence.tokens if token.kind is Kind.COUNT
    )


def _counts_vessels(sentence: Sentence) -> bool:
    """Tell whether *no major vessels* is said as a finding that moves the score, not as *the patient has none*."""
    counts = [
        said.value for said in sentence.statements if said.name == "major_vessels" and said.value.kind is Kind.VALUE
    ]
    moves = sentence.says("raises") or sentence.says("lowers")
    return all(count.text == "no" and moves for count in counts)


def _says_what_is_absent(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether a factor that is absent or was not measured is said to be, so that none seems to be there."""
    silent = {factor.name for factor in facts.factors if factor.imputed or factor.value in {"no", "asymptomatic"}}
    said = {statement.name for statement in sentence.statements}
    said |= {
        name
        for reading in sentence.readings
        for clause in reading
        if clause.predicate == "not measured"
        for name in clause.names
    }
    said |= sentence.gaps
    said |= {"chest_pain_type"} if "type" in sentence.text else set()
    return not (silent & {mention.name for mention in sentence.mentions}) - said


def _names_only_facts(sentence: Sentence, facts: Facts) -> bool:
    known = {factor.name for factor in facts.factors}
    extrapolated = {FIELD_OF_LABEL[label] for label in facts.extrapolated}
    allowed = {"not measured": not_measured(facts), "extrapolated": extrapolated}
    return all(
        set(clause.names)
        <= allowed.get(str(clause.predicate), known | (sentence.gaps if _is_about_a_gap(clause) else set()))
        and (clause.names or str(clause.predicate) not in allowed)
        and not (clause.predicate == "not measured" and any(token.text in _INFLUENCES for token in clause.tokens))
        for clauses in sentence.readings
        for clause in clauses
    ) and not _has_a_gap_of_the_result(sentence)


def _is_about_a_gap(clause: Clause) -> bool:
    """Tell whether a clause says nothing of its fields but that they were not measured."""
    joining = {token.text for token in clause.tokens if token.kind is Kind.WORD and token.is_single}
    others = {token.kind for token in clause.tokens} - _OF_A_GAP
    return clause.predicate is None and not others and joining <= JOINING | OF_A_GAP | {"which"}


def _has_a_gap_of_the_result(sentence: Sentence) -> bool:
    """Tell whether the score or the patient is said to be missing, or to lie outside a range."""
    tokens = [token for at, token in enumerate(sentence.tokens) if not sentence.is_value(at)]
    kinds = [{token.kind for token in part} for part in parts_of(tokens)]
    return any(part & {Kind.ABSENT, Kind.OUTSIDE} and part & _OF_A_RESULT for part in kinds)


def _says_what_factors_do(sentence: Sentence, facts: Facts) -> bool:
    """Tell whether the sentence can be read, and in all its readings factors do what they do, and nothing else does."""
    directions = {factor.name: factor.direction for factor in facts.factors}
    if (
        not sentence.readings
        or not _level_agrees(sentence, directions)
        or _refers_back(sentence)
        or _takes_up_nothing(sentence)
    ):
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
        elif token.kind in {Kind.AND, Kind.CONTRAST} and after.text not in _CONSEQUENCES:
            direction = None
        elif token.kind is Kind.LEVEL and direction and direction != _direction_to(token):
            return False
    return True


def _refers_back(sentence: Sentence) -> bool:
    """Tell whether a factor is named with no direction of its own, yet with that of another sentence: *the age too*."""
    is_silent = any(clause.predicate is None and clause.names for clauses in sentence.readings for clause in clauses)
    said = {token.text for token in sentence.tokens}
    begins_anew = not {token.kind for token in sentence.tokens[:1]} & {Kind.AND, Kind.CONTRAST, Kind.BRACKET}
    stands_alone = begins_anew and bool(_VERBS & said) and not _REFERENCES & said
    return is_silent and (not stands_alone or sentence.has(Kind.CONTRAST))


def _takes_up_nothing(sentence: Sentence) -> bool:
    """Tell whether *in the opposite direction* stands without the direction itself."""
    return sentence.has(Kind.SAME, Kind.OPPOSITE) and not (sentence.directions and sentence.takes_up_what_it_says())


def _direction_to(level: Token) -> str:
    return "lowers" if level.detail == "low" else "raises"


def _direction_said(clause: Clause) -> str | None:
    """Return the direction that a clause gives its factors; *its value indicates High* gives one without a verb."""
    if clause.predicate is None and clause.names:
        levels = (_direction_to(token) for token in clause.tokens if token.kind is Kind.LEVEL)
        return next(levels, "raises" if _gives_the_score(clause) else None)
    return clause.predicate if clause.predicate in {"raises", "lowers"} else None


def _gives_the_score(clause: Clause) -> bool:
    """Tell whether the score or the level is said to come from factors, as in *the score is due to the age*."""
    return any(
        any(token.text.partition(" ")[0] in _SOURCES for token in part)
        and any(token.kind in {Kind.SCORE, Kind.RISK} or token.text in {"level", "result"} for token in part)
        and any(token.kind in {Kind.FIELD, Kind.VALUE} for token in part)
        for part in parts_of(clause.tokens)
    )


def _names_the_level(sentence: Sentence, facts: Facts) -> bool:
    levels = {token.detail for token in sentence.tokens if token.kind is Kind.LEVEL}
    thresholds = {token.detail for token in sentence.tokens if token.kind is Kind.THRESHOLD}
    return levels <= {facts.level.lower()} and "low" not in thresholds
