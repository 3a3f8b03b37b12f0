"""What one sentence claims: which fields it names, with which values, and what it says that they do."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Literal

from server.explanation.kinds import Kind, Token
from server.explanation.lexicon import tokens_of
from server.explanation.naming import DISTINCTIVE_VALUES
from server.explanation.vocabulary import COPULAS

Predicate = Literal["raises", "lowers", "not measured", "extrapolated"]

SCORE = "anomaly score"
THRESHOLD = "threshold"
MOST_READINGS = 64

_PREDICATES: dict[Kind, Predicate] = {
    Kind.RAISES: "raises",
    Kind.CONTRIBUTES: "raises",
    Kind.LOWERS: "lowers",
    Kind.ABSENT: "not measured",
    Kind.OUTSIDE: "extrapolated",
}
_PARTICLES: dict[str, Predicate] = {"up": "raises", "down": "lowers"}
_ANCHORS = {Kind.FIELD, Kind.SCORE, Kind.THRESHOLD}
_VALUES = {Kind.VALUE, Kind.NUMBER, Kind.ABSENT}
_BOUNDARIES = {Kind.AND, Kind.CONTRAST}

_LINKS = "of is was are were at being with showing shows showed a an the that which as to be has have been ( :"
_REPORTS = """
value level reading result finding recorded measured measuring found classed classified reported noted described given
indicating indicates demonstrated demonstrates revealed reveals
"""
_BEFORE_A_VALUE = frozenset([*_LINKS.split(), *_REPORTS.split()])
_BETWEEN_VALUE_AND_FIELD = "of for in on as the a an his her their this patient's"
_AFTER_A_VALUE = frozenset(_BETWEEN_VALUE_AND_FIELD.split())
_RELATIVES = frozenset(["which", "that"])
_LIST_WORDS = "the a an by of with from to in on for ( )"
_WITHIN_A_LIST = frozenset(_LIST_WORDS.split())


_BEYOND_GAPS = (
    *(Kind.RAISES, Kind.LOWERS, Kind.CONTRIBUTES, Kind.OPPOSES, Kind.OUTSIDE),
    *(Kind.FIRST, Kind.FIRST_OF_ALL, Kind.LESSER, Kind.RANK),
)
_COMMAS = frozenset([",", "–", "—", "-"])
_BEFORE_A_MOVE = frozenset(["this", "the", "that", "some", "of"])


@dataclass(frozen=True)
class Mention:
    """A field that is named, or told by a value of its own such as *male*; ``at`` is its place among the tokens."""

    name: str
    at: int


@dataclass(frozen=True)
class Statement:
    """A value and what it is the value of: a field, the anomaly score or a threshold, whose token is ``owner``.

    ``name`` is empty where the sentence does not tell.
    """

    name: str
    value: Token
    unit: str
    owner: Token


@dataclass(frozen=True)
class Clause:
    """A part of a sentence that says one thing, or nothing, of the fields it names."""

    predicate: Predicate | None
    names: tuple[str, ...]
    tokens: tuple[Token, ...]


class Sentence:
    """One sentence, read."""

    def __init__(self, text: str) -> None:
        self.text = text.lower()
        self.tokens = tokens_of(text)

    def has(self, *kinds: Kind) -> bool:
        return any(token.kind in kinds for token in self.tokens)

    def says(self, predicate: Predicate) -> bool:
        return any(said == predicate for _, said in self._predicates())

    @property
    def directions(self) -> list[str]:
        """What is said one after another to happen to the score."""
        return [said for _, said in self._predicates() if said in {"raises", "lowers"}]

    def takes_up_what_it_says(self) -> bool:
        """Tell whether no factor between a direction and *the opposite holds* is left without its own."""
        said = [place for place, way in self._predicates() if way in {"raises", "lowers"}]
        return all(
            any(place > at for place in said) or not any(max(said) < mention.at < at for mention in self.mentions)
            for at, token in enumerate(self.tokens)
            if token.kind is Kind.OPPOSITE
        ) and not any(
            max(said) < at < mention.at
            for at, token in enumerate(self.tokens)
            if token.kind is Kind.OPPOSITE
            for mention in self.mentions
        )

    def directions_around(self, *kinds: Kind) -> tuple[list[str], list[str]]:
        """Return the direction said last before a token of these kinds, and the one said first after it."""
        at = next((at for at, token in enumerate(self.tokens) if token.kind in kinds), 0)
        said: list[tuple[int, str]] = [(place, way) for place, way in self._predicates() if way in {"raises", "lowers"}]
        return [way for place, way in said if place < at][-1:], [way for place, way in said if place > at][:1]

    @cached_property
    def statements(self) -> list[Statement]:
        return list(self._statements.values())

    @cached_property
    def mentions(self) -> list[Mention]:
        named = [Mention(token.detail, at) for at, token in enumerate(self.tokens) if token.kind is Kind.FIELD]
        told = [
            Mention(statement.name, at)
            for at, statement in self._statements.items()
            if statement.name and statement.owner is self.tokens[at]
        ]
        return sorted([*named, *told], key=lambda mention: mention.at)

    @cached_property
    def gaps(self) -> set[str]:
        """The fields said in passing not to have been measured, as in *the age and the sex, which were not*."""
        absent = {at: said for at, said in self._statements.items() if said.value.kind is Kind.ABSENT}
        lists = (self._listed_before(at - 3) for at in absent if self.tokens[at - 1].text == "were")
        return {said.name for said in absent.values()} | {name for names in lists for name in names}

    def _listed_before(self, at: int) -> Iterator[str]:
        while at >= 0 and (self.tokens[at].kind in {Kind.FIELD, Kind.AND} or self.tokens[at].text in _WITHIN_A_LIST):
            if self.tokens[at].kind is Kind.FIELD:
                yield self.tokens[at].detail
            at -= 1

    @cached_property
    def _statements(self) -> dict[int, Statement]:
        return {at: self._statement(at) for at in range(len(self.tokens)) if self.is_value(at)}

    @cached_property
    def _anchors(self) -> list[int]:
        return [at for at, token in enumerate(self.tokens) if token.kind in _ANCHORS]

    @cached_property
    def readings(self) -> list[tuple[Clause, ...]]:
        """Every way to divide the sentence into clauses; none where it says several things and cannot be divided."""
        predicates = list(self._predicates())
        changes = [(first, second) for first, second in pairwise(predicates) if first[1] != second[1]]
        choices = [self._cuts(first[0], second[0]) for first, second in changes]
        if math.prod(len(cuts) for cuts in choices) > MOST_READINGS:
            return []
        said: list[Predicate | None] = [predicates[0][1] if predicates else None, *(second[1] for _, second in changes)]
        readings = [self._clauses(cuts, said) for cuts in product(*choices)]
        return readings if not changes else [clauses for clauses in readings if all(part.names for part in clauses)]

    def _clauses(self, cuts: Sequence[int], said: Sequence[Predicate | None]) -> tuple[Clause, ...]:
        bounds = pairwise([0, *cuts, len(self.tokens)])
        return tuple(
            Clause(
                predicate,
                tuple(mention.name for mention in self.mentions if start <= mention.at < end),
                tuple(self.tokens[start:end]),
            )
            for (start, end), predicate in zip(bounds, said, strict=True)
        )

    def _predicates(self) -> Iterator[tuple[int, Predicate]]:
        for at, token in enumerate(self.tokens):
            if self._is_particle(at):
                yield at, _PARTICLES[token.text]
            elif token.kind is Kind.OPPOSES:
                yield at, self._opposite(at)
            elif token.kind is Kind.TYPICAL and self.has(Kind.ABSENT):
                yield at, "not measured"
            elif token.kind in _PREDICATES and not (self.is_value(at) or self._is_completed(at) or self._is_offset(at)):
                yield at, _PREDICATES[token.kind]

    def _opposite(self, at: int) -> Predicate:
        """Return what *offset by* says: the opposite of what is offset, or else of the direction last before it."""
        if self._what_is_offset(at):
            return "lowers" if self._what_is_offset(at) is Kind.RAISES else "raises"
        given = [_PREDICATES.get(token.kind) for token in self.tokens[:at] if token.kind in {Kind.RAISES, Kind.LOWERS}]
        return "raises" if given[-1:] == ["lowers"] else "lowers"

    def _what_is_offset(self, at: int) -> Kind | None:
        """Return the kind of *increase* in *offsets this increase*."""
        if at < 0 or self.tokens[at].kind is not Kind.OPPOSES:
            return None
        after = next(
            (token for token in self.tokens[at + 1 :] if token.text not in {"this", "the", "that", "some", "of"}), None
        )
        return after.kind if after and after.kind in {Kind.RAISES, Kind.LOWERS} else None

    def _is_offset(self, at: int) -> bool:
        before = at - 1
        while before >= 0 and self.tokens[before].text in _BEFORE_A_MOVE:
            before -= 1
        return self._what_is_offset(before) is not None

    def _is_completed(self, at: int) -> bool:
        """Tell whether *contributes* or *drives* is completed by a direction, as in *contributes to lowering*."""
        if self.tokens[at].kind is not Kind.CONTRIBUTES:
            return False
        for later in range(at + 1, len(self.tokens)):
            kind = self.tokens[later].kind
            if kind in {Kind.RAISES, Kind.LOWERS} or self._is_particle(later):
                return True
            if kind in _BOUNDARIES or kind in {Kind.FIELD, Kind.VALUE, Kind.CONTRIBUTES}:
                return False
        return False

    def _cuts(self, first: int, second: int) -> list[int]:
        """Find where a clause may end between two predicates: at a contrast, else outside lists, else within them.

        A relative clause, *which raises it*, stays with what it is about, unless nothing else ends there.
        """
        between = [at for at in range(first + 1, second) if self.tokens[at].kind in _BOUNDARIES]
        contrasts = [at for at in between if self.tokens[at].kind is Kind.CONTRAST]
        outside_lists = [at for at in between if not self._is_within_list(at) or self._closes_a_list(first, at)]
        before_no_relative = [at for at in outside_lists if self.tokens[at + 1].text not in _RELATIVES]
        return contrasts or before_no_relative or outside_lists or between

    def _closes_a_list(self, first: int, at: int) -> bool:
        """Tell whether a comma comes after the *and* of a list: *lowered by A and B, C raising it*."""
        is_comma = self.tokens[at].text == "," and self.tokens[at + 1].kind is not Kind.AND
        joined = (place for place in range(at - 1, first, -1) if self.tokens[place].text == "and")
        last = next(joined, None)
        return is_comma and last is not None and self._is_within_list(last) and self._is_next_to_mention(at, -1)

    def _is_within_list(self, at: int) -> bool:
        if self.tokens[at + 1].text == "with":
            return False
        return self._is_next_to_mention(at, -1) and self._is_next_to_mention(at, 1)

    def _is_next_to_mention(self, at: int, step: int) -> bool:
        places = {mention.at for mention in self.mentions}
        at += step
        while 0 <= at < len(self.tokens) and at not in places:
            token = self.tokens[at]
            if not (
                token.kind is Kind.AND or token.text in _WITHIN_A_LIST or self.is_value(at) or token.kind is Kind.UNIT
            ):
                return False
            at += step
        return at in places

    def is_value(self, at: int) -> bool:
        kind = self.tokens[at].kind
        if kind is Kind.ABSENT:
            return self._is_absence_of_one(at)
        return kind in _VALUES and not self._is_particle(at)

    def _is_absence_of_one(self, at: int) -> bool:
        """Tell whether *not measured* is said of one field in passing: next to its name, and not as *is not*.

        In a sentence about nothing else it is said of every field that is named, however they are joined.
        """
        if not self._says_more_than_gaps:
            return False
        before = [token.text for token in self.tokens[max(0, at - 2) : at]]
        if before[-1:] == ["("] or _RELATIVES & set(before[:1]) or self._is_appended(at):
            return True
        after = at + 2 if self.tokens[at + 1 : at + 2] and self.tokens[at + 1].text in _AFTER_A_VALUE else at + 1
        follows = after < len(self.tokens) and self.tokens[after].kind is Kind.FIELD
        if follows and (self._moves_something or not self.tokens[at].text.startswith("no")):
            return True
        return bool(before) and self._walk(at, -1, _BEFORE_A_VALUE - COPULAS) is not None

    def _is_appended(self, at: int) -> bool:
        return at > 0 and self.tokens[at - 1].text not in COPULAS and self._field_before_comma(at) is not None

    @cached_property
    def _says_more_than_gaps(self) -> bool:
        return self.has(*_BEYOND_GAPS) or any(token.text in _PARTICLES for token in self.tokens)

    @cached_property
    def _moves_something(self) -> bool:
        return self.has(Kind.RAISES, Kind.LOWERS) or any(token.text in _PARTICLES for token in self.tokens)

    def _is_particle(self, at: int) -> bool:
        """Tell whether *up* or *down* belongs to a verb, as in *pushes it up*, and not to the slope it follows."""
        if self.tokens[at].text not in _PARTICLES:
            return False
        slope = self._field_before_comma(at)
        slope = self._walk(at, -1, _BEFORE_A_VALUE) if slope is None else slope
        ahead = self._walk(at, 1, _AFTER_A_VALUE)
        return not any(place is not None and self.tokens[place].detail == "st_slope" for place in (slope, ahead))

    def _statement(self, at: int) -> Statement:
        token = self.tokens[at]
        following = self.tokens[at + 1] if at + 1 < len(self.tokens) else token
        unit = following.detail if following.kind is Kind.UNIT else ""
        owner = self._owner(at)
        if unit == "years" and (owner is None or self.tokens[owner].detail != "age"):
            return Statement("age", token, unit, token)
        if owner is None:
            return Statement(DISTINCTIVE_VALUES.get(token.detail, ""), token, unit, token)
        names = {Kind.SCORE: SCORE, Kind.THRESHOLD: THRESHOLD}
        return Statement(names.get(self.tokens[owner].kind, self.tokens[owner].detail), token, unit, self.tokens[owner])

    def _owner(self, at: int) -> int | None:
        """Find what a value belongs to: what it stands next to, or for a number also what was named last before it."""
        for step, through in ((1, frozenset[str]()), (-1, _BEFORE_A_VALUE), (1, _AFTER_A_VALUE)):
            if (owner := self._walk(at, step, through)) is not None:
                return owner
        if (field := self._field_before_comma(at)) is not None:
            return field
        if self.tokens[at].kind is Kind.VALUE or self.tokens[at - 1].text == "by":
            return None
        before = bisect_left(self._anchors, at)
        return self._anchors[max(0, before - 1)] if self._anchors else None

    def _field_before_comma(self, at: int) -> int | None:
        """Find the field in *the thallium scan, with a value of normal,*, unless the value tells another itself."""
        told = DISTINCTIVE_VALUES.get(self.tokens[at].detail, "")
        at -= 1
        while at > 0 and self.tokens[at].text in _BEFORE_A_VALUE - {"(", ":"}:
            at -= 1
        if at < 1 or self.tokens[at].text not in _COMMAS or self.tokens[at - 1].kind is not Kind.FIELD:
            return None
        return None if told and told != self.tokens[at - 1].detail else at - 1

    def _walk(self, at: int, step: int, through: frozenset[str]) -> int | None:
        """Walk over words that join a value to its owner, and over the value's unit; return the owner's place."""
        at += step
        while 0 <= at < len(self.tokens):
            token = self.tokens[at]
            if token.kind in _ANCHORS:
                return at
            if token.text not in through and not (token.kind is Kind.UNIT and step > 0):
                return None
            at += step
        return None
