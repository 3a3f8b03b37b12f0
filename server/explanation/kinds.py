"""What a word or phrase of an explanation is."""

from dataclasses import dataclass
from enum import StrEnum


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
    RANK = "rank"
    OPENING = "opening"
    COUNT = "count"
    PASSED = "passed"
    SAME = "same"
    OPPOSITE = "opposite"
    CONTRAST = "contrast"
    AND = "and"
    BRACKET = "bracket"
    WORD = "word"
    UNKNOWN = "unknown"


PHRASE = "phrase"


@dataclass(frozen=True)
class Token:
    """One word or phrase of a sentence, in lower case; ``detail`` is its canonical meaning within its kind."""

    kind: Kind
    text: str
    detail: str = ""

    @property
    def is_single(self) -> bool:
        """Tell a word of its own from a listed phrase, and from the full stop."""
        return self.detail != PHRASE and self.text != "."
