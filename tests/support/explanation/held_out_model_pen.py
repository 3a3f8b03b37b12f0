"""How held out model texts are put together: labels, lists, and the parts of a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import STATED_FACTORS, Factor, Facts
from server.explanation.template import label_in_sentence

Phrasing = Callable[[Facts, Random], str]


SCORE: Final = "[[anomaly_score]]"


THRESHOLD: Final = "[[threshold]]"


PAIR: Final = 2


_BARE: Final = frozenset({"age", "sex", "st_depression", "exercise_angina", "cholesterol", "resting_bp"})


"""Fields that also stand without an article in good English."""


LONGER: Final = {
    "age": "the patient's age",
    "sex": "the patient's sex",
    "chest_pain_type": "the type of chest pain",
    "resting_bp": "the resting blood pressure reading",
    "cholesterol": "the serum cholesterol level",
    "resting_ecg": "the resting ECG result",
    "max_heart_rate": "the patient's maximum heart rate",
    "st_depression": "the ST depression value",
    "st_slope": "the ST segment slope",
    "major_vessels": "the number of major vessels",
    "thallium_scan": "the thallium scan result",
}


def worded_cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _join(parts: Sequence[str], *, oxford: bool, word: str = "and") -> str:
    if len(parts) == 1:
        return parts[0]
    comma = "," if oxford and len(parts) > PAIR else ""
    return f"{', '.join(parts[:-1])}{comma} {word} {parts[-1]}"


def worded_text(*sentences: str) -> str:
    return " ".join(worded_cap(sentence) for sentence in sentences if sentence)


@dataclass(frozen=True)
class Case:
    """One set of facts in the hands of one voice."""

    facts: Facts
    random: Random
    oxford: bool

    @classmethod
    def of(cls, facts: Facts, random: Random, *, oxford: float = 0.5) -> "Case":
        return cls(facts, random, random.random() < oxford)

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def odds(self, share: float) -> bool:
        return self.random.random() < share

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.facts.factors[:STATED_FACTORS]

    @property
    def first(self) -> Factor:
        return self.factors[0]

    @property
    def rest(self) -> tuple[Factor, ...]:
        return self.factors[1:]

    @property
    def is_alike(self) -> bool:
        return len({factor.direction for factor in self.factors}) == 1

    @property
    def level(self) -> str:
        return str(self.facts.level)

    @property
    def is_low(self) -> bool:
        return self.facts.level is RiskLevel.LOW

    @property
    def gate(self) -> str:
        return str(RiskLevel.MEDIUM) if self.is_low else self.level

    def side(self, low: str, high: str) -> str:
        return low if self.is_low else high

    @property
    def at(self) -> str:
        """What follows "is"."""
        return self.side("below", "at or above")

    @property
    def bar(self) -> str:
        """The threshold as the prompt says it, or nearly."""
        return self.one(
            f"the {self.gate} threshold of {THRESHOLD}",
            f"the {self.gate} threshold of {THRESHOLD}",
            f"the {self.gate} threshold ({THRESHOLD})",
        )

    def joined(self, parts: Sequence[str], word: str = "and") -> str:
        return _join(parts, oxford=self.oxford, word=word)

    def groups(self) -> list[tuple[Factor, ...]]:
        """Return the factors by direction, the direction of the first one first."""
        same = tuple(factor for factor in self.factors if factor.direction == self.first.direction)
        other = tuple(factor for factor in self.factors if factor.direction != self.first.direction)
        return [group for group in (same, other) if group]

    def missing(self, *forms: str, article: float = 0.8, each: float = 0.5) -> str:
        """Fill one of the forms: {a}, {was}, {is_}, {it}, {has}, {value}; nothing if everything was measured."""
        labels = [label_in_sentence(label) for label in self.facts.not_measured]
        if not labels:
            return ""
        is_many = len(labels) > 1 or labels == [label_in_sentence(FIELDS["major_vessels"].label)]
        if self.odds(article):
            by_each = self.odds(each)
            labels = [f"the {label}" if by_each or not number else label for number, label in enumerate(labels)]
        return worded_cap(
            self.random.choice(forms).format(
                a=self.joined(labels),
                was="were" if is_many else "was",
                is_="are" if is_many else "is",
                it="they" if is_many else "it",
                them="them" if is_many else "it",
                value="typical values" if is_many else "a typical value",
                stand="stand" if is_many else "stands",
                fields="fields" if len(labels) > 1 else "field",
            )
        )


def worded_the(factor: Factor) -> str:
    return f"the {label_in_sentence(factor.label)} ([[{factor.name}]])"


def worded_bare(factor: Factor) -> str:
    article = "" if factor.name in _BARE else "the "
    return f"{article}{label_in_sentence(factor.label)} ([[{factor.name}]])"


def worded_plain(factor: Factor) -> str:
    return f"{label_in_sentence(factor.label)} ([[{factor.name}]])"


def worded_is_many(factors: Sequence[Factor]) -> bool:
    return len(factors) > 1 or factors[0].name == "major_vessels"


def worded_verb(*factors: Factor) -> str:
    """Return ``raises`` for one factor, ``raise`` for more."""
    direction = factors[0].direction
    return direction.removesuffix("s") if worded_is_many(factors) else direction


def worded_past(factor: Factor) -> str:
    return "raised" if factor.direction == "raises" else "lowered"


def worded_ing(factor: Factor) -> str:
    return "raising" if factor.direction == "raises" else "lowering"
