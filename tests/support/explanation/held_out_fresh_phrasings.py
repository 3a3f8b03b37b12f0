"""True texts as instruction-tuned models write them from the prompt alone; no rule was made with them in sight."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Self

from common.messages import RiskLevel
from server.explanation.facts import STATED_FACTORS, Factor, Facts
from server.explanation.template import label_in_sentence
from tests.support.explanation.wording import Writer, capital, label

_SCORE: Final = "([[anomaly_score]])"
_BAR: Final = "[[threshold]]"
_VESSELS: Final = label_in_sentence("Major vessels")


@dataclass(frozen=True)
class _Told:
    """What one prompt gives, and the chance by which a writer varies."""

    facts: Facts
    random: Random
    factors: Sequence[Factor]
    missing: Sequence[str]

    @classmethod
    def by(cls, facts: Facts, random: Random) -> Self:
        missing = [label_in_sentence(name) for name in facts.not_measured]
        return cls(facts, random, facts.factors[:STATED_FACTORS], missing)

    @property
    def level(self) -> RiskLevel:
        return self.facts.level

    @property
    def bar(self) -> str:
        """Name the threshold that the prompt gives, without its value."""
        return f"{RiskLevel.MEDIUM if self.level is RiskLevel.LOW else self.level} threshold"

    @property
    def at(self) -> str:
        return self.below("below", "at or above")

    def below(self, below: str, otherwise: str) -> str:
        return below if self.level is RiskLevel.LOW else otherwise

    def one(self, *ways: str) -> str:
        return self.random.choice(ways)

    def also(self, index: int) -> str:
        """Return ``also `` where a factor goes the same way as the one before it."""
        return "also " if self.factors[index].direction == self.factors[index - 1].direction else ""

    def alike(self) -> bool:
        """Tell whether the second and third factors go the same way."""
        return len({factor.direction for factor in self.factors[1:]}) == 1 and len(self.factors) > 2

    def unmeasured(self, singular: str, plural: str, *, article: str = "the ") -> str:
        """Fill ``{}`` of one of two sentences with the unmeasured fields; no sentence where there are none."""
        if not self.missing:
            return ""
        names = [f"{article}{name}" for name in self.missing]
        is_plural = len(names) > 1 or self.missing[0] == _VESSELS
        return capital((plural if is_plural else singular).format(_series(names)))


def _series(items: Sequence[str]) -> str:
    """Join with commas, an Oxford comma from three on."""
    if len(items) < 3:
        return " and ".join(items)
    return f"{', '.join(items[:-1])}, and {items[-1]}"


def _bare(factor: Factor) -> str:
    return f"{label(factor)} ([[{factor.name}]])"


def _the(factor: Factor) -> str:
    return f"the {_bare(factor)}"


def _patients(factor: Factor) -> str:
    """Give age and sex to the patient, the rest an article."""
    return f"the patient's {_bare(factor)}" if factor.name in {"age", "sex"} else _the(factor)


def _does(*factors: Factor) -> str:
    is_plural = len(factors) > 1 or factors[0].name == "major_vessels"
    return factors[0].direction.removesuffix("s") if is_plural else factors[0].direction


def _doing(factor: Factor) -> str:
    return {"raises": "raising", "lowers": "lowering"}[factor.direction]


def _done(factor: Factor) -> str:
    return {"raises": "raised", "lowers": "lowered"}[factor.direction]


def _has(factor: Factor, singular: str, plural: str) -> str:
    return plural if factor.name == "major_vessels" else singular


def _prose(*sentences: str) -> str:
    return " ".join(capital(sentence) for sentence in sentences if sentence)


def imitator(facts: Facts, random: Random) -> str:
    """Keep to the example nearly word for word, as Llama-3.1-8B-Instruct does at a low temperature."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = f"The risk level is {told.level}: the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}."
    clauses = [f"{_the(factor)} {_does(factor)} {('the score', 'it')[index]}" for index, factor in enumerate(rest)]
    if told.alike():
        clauses[1] = told.one(
            f"{_the(rest[1])} {_does(rest[1])} it",
            f"{_the(rest[1])} also {_does(rest[1])} it",
            f"{_the(rest[1])} {_does(rest[1])} it as well",
            f"{_the(rest[1])} {_does(rest[1])} it too",
        )
    return _prose(
        opening,
        f"{_the(first)} {_does(first)} the score most.",
        f"{', and '.join(clauses)}." if clauses else "",
        told.unmeasured(
            "{} was not measured and is taken as typical.", "{} were not measured and are taken as typical."
        ),
    )


def both_of_them(facts: Facts, random: Random) -> str:
    """Draw the last two factors together where they agree, and set them against each other where they do not."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = told.one(
        f"The risk level is {told.level}, as the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level} because the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level}; the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
    )
    if told.alike():
        pair = " and ".join(_the(factor) for factor in rest)
        second = told.one(
            f"Both {pair} {_does(*rest)} the score.",
            f"{pair} both {_does(*rest)} the score.",
            f"{pair} {told.one('', 'also ') if told.also(1) else ''}{_does(*rest)} the score.",
            f"{_the(rest[0])} {told.also(1)}{_does(rest[0])} the score, "
            f"as {_has(rest[1], 'does', 'do')} {_the(rest[1])}.",
        )
    else:
        link = told.one(", while ", ", whereas ", ", but ")
        second = link.join(f"{_the(factor)} {_does(factor)} the score" for factor in rest) + "." if rest else ""
    return _prose(
        opening,
        f"{_the(first)} {_does(first)} the score {told.one('most', 'the most')}.",
        second,
        told.unmeasured(
            "{} was not measured and is therefore taken as typical.",
            "{} were not measured and are therefore taken as typical.",
        ),
    )


def followed_by(facts: Facts, random: Random) -> str:
    """Run through all factors in one sentence after a risk level and a score that have one each, as Qwen does."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    parts = [f"{_the(first)} {_does(first)} the score {told.one('most', 'the most')}"]
    for index, factor in enumerate(rest, start=1):
        way = f"which {told.also(index)}{_does(factor)} {told.one('it', 'the score')}"
        parts.append(f"{('followed by', 'and then by')[index - 1]} {_the(factor)}, {way}")
    return _prose(
        told.one(f"The risk level is {told.level}.", f"The patient's risk level is {told.level}."),
        told.one(
            f"The anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
            f"The anomaly score {_SCORE} {told.below('falls', 'stands')} {told.at} the {told.bar} of {_BAR}.",
            f"The anomaly score is {_SCORE[1:-1]}, which is {told.at} the {told.bar} of {_BAR}.",
        ),
        f"{', '.join(parts)}.",
        told.unmeasured(
            "{} was not measured and is treated as typical.", "{} were not measured and are treated as typical."
        ),
    )


def bracketed_threshold(facts: Facts, random: Random) -> str:
    """Put the threshold's value in brackets like every other, as Mistral does with the rule on slots."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = told.one(
        f"The risk level is {told.level}, with an anomaly score {_SCORE} that is {told.at} the {told.bar} ({_BAR}).",
        f"The risk level is {told.level}, with an anomaly score {_SCORE} {told.at} the {told.bar} ({_BAR}).",
        f"The risk level is {told.level}, given that the anomaly score {_SCORE} is {told.at} the {told.bar} ({_BAR}).",
    )
    clauses = [
        f"{_the(factor)} {told.also(index)}{_does(factor)} the score" for index, factor in enumerate(rest, start=1)
    ]
    return _prose(
        opening,
        f"{_the(first)} {_does(first)} the score {told.one('the most', 'most')}.",
        f"{told.one('; ', ', and ')}".join(clauses) + "." if clauses else "",
        told.unmeasured(
            "{} was not measured and is assumed to be typical.", "{} were not measured and are assumed to be typical."
        ),
    )


def score_leads(facts: Facts, random: Random) -> str:
    """Begin with the score and come from it to the level."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    where = f"{told.at} the {told.bar} of {_BAR}"
    opening = told.one(
        f"The anomaly score {_SCORE} is {where}, so the risk level is {told.level}.",
        f"With an anomaly score {_SCORE} {where}, the risk level is {told.level}.",
        f"The anomaly score {_SCORE} is {where}, which corresponds to a {told.level} risk level.",
        f"The anomaly score {_SCORE} is {where}, giving a risk level of {told.level}.",
    )
    clauses = [f"{_the(first)} {_does(first)} the score most"]
    clauses += [f"{_the(factor)} {told.also(index)}{_does(factor)} it" for index, factor in enumerate(rest, start=1)]
    if told.random.random() < 0.5:
        told_factors = [f"{clauses[0]}.", f"{', and '.join(clauses[1:])}." if rest else ""]
    else:
        told_factors = [f"{', and '.join(clauses[:2])}.", *(f"{clause}." for clause in clauses[2:])]
    return _prose(
        opening,
        *told_factors,
        told.unmeasured(
            "{} was not measured, so it is taken as typical.", "{} were not measured, so they are taken as typical."
        ),
    )


def without_articles(facts: Facts, random: Random) -> str:
    """Treat the labels as names, as GPT-style models do where an article reads badly."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = told.one(
        f"Risk level is {told.level}: the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level}, and the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The detector gives a {told.level} risk level, with the anomaly score {_SCORE} {told.at} the "
        f"{told.bar} of {_BAR}.",
    )
    clauses = [f"{_bare(factor)} {told.also(index)}{_does(factor)} it" for index, factor in enumerate(rest, start=1)]
    return _prose(
        opening,
        f"{_bare(first)} {_does(first)} the score {told.one('most', 'the most')}.",
        f"{told.one(', and ', '; ')}".join(clauses) + "." if clauses else "",
        told.unmeasured(
            "{} was not measured and is taken as typical.", "{} were not measured and are taken as typical.", article=""
        ),
    )


def largest_effect(facts: Facts, random: Random) -> str:
    """Name the first factor's rank before its direction."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    where = f"{told.at} the {told.bar} of {_BAR}"
    opening = told.one(
        f"This result has a risk level of {told.level}, with the anomaly score {_SCORE} {where}.",
        f"The result is at the {told.level} risk level: its anomaly score {_SCORE} is {where}.",
        f"The anomaly detector reports a {told.level} risk level, as the anomaly score {_SCORE} is {where}.",
    )
    most = told.one(
        f"{_the(first)} {_has(first, 'has', 'have')} the largest effect and {_does(first)} the score.",
        f"The factor with the largest effect is {_the(first)}, which {_does(first)} the score.",
        f"{_the(first)} {_has(first, 'is', 'are')} the main factor and {_does(first)} the score.",
        f"Of the factors given, {_the(first)} {_does(first)} the score most.",
    )
    second = [f"{_the(factor)} {told.also(index)}{_does(factor)} it" for index, factor in enumerate(rest, start=1)]
    link = ", and " if len(rest) > 1 and told.also(2) else told.one(", while ", ", and ")
    return _prose(
        opening,
        most,
        f"{link.join(second)}." if second else "",
        told.unmeasured(
            "{} was not measured and its value is taken as typical.",
            "{} were not measured and their values are taken as typical.",
        ),
    )


def participles(facts: Facts, random: Random) -> str:
    """Hang the direction on as a participle, as longer-winded answers do."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    where = f"{told.at} the {told.bar} of {_BAR}"
    opening = told.one(
        f"The risk level is {told.level}, with the anomaly score {_SCORE} being {where}.",
        f"The risk level for this patient is {told.level}, as the anomaly score {_SCORE} is {where}.",
        f"The patient's risk level is {told.level}, based on an anomaly score {_SCORE} that is {where}.",
    )
    most = f"{_patients(first)} {_does(first)} the score the most"
    if rest:
        most += f", with {_patients(rest[0])} {told.also(1)}{_doing(rest[0])} {told.one('it', 'the score')}"
    last = [
        f"{told.one('', 'finally, ')}{_the(factor)} {told.also(2)}{_does(factor)} the score." for factor in rest[1:]
    ]
    return _prose(
        opening,
        f"{most}.",
        *last,
        told.unmeasured(
            told.one(
                "{} was not measured and is considered typical.",
                "Note that {} was not measured and is taken as typical.",
            ),
            told.one(
                "{} were not measured and are considered typical.",
                "Note that {} were not measured and are taken as typical.",
            ),
        ),
    )


def passive(facts: Facts, random: Random) -> str:
    """Say by what the score is raised and lowered."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = told.one(
        f"The risk level is {told.level}: the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level}, since the anomaly score {_SCORE} is {told.at} the {told.bar}, {_BAR}.",
    )
    by = [f"{told.also(index)}{_done(factor)} by {_the(factor)}" for index, factor in enumerate(rest, start=1)]
    if told.alike():
        by = [by[0], _the(rest[1])]
    return _prose(
        opening,
        told.one(
            f"The score is {_done(first)} most by {_the(first)}.",
            f"The score is {_done(first)} the most by {_the(first)}.",
            f"It is {_done(first)} most by {_the(first)}.",
        ),
        f"It is {' and '.join(by)}." if by else "",
        told.unmeasured(
            "As {} was not measured, it is taken as typical.", "As {} were not measured, they are taken as typical."
        ),
    )


def meets_or_exceeds(facts: Facts, random: Random) -> str:
    """Put the comparison into a verb."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    verb = told.below(
        told.one("is below", "falls below", "remains below", "is lower than"),
        told.one("meets or exceeds", "is at or above", "reaches or exceeds", "is equal to or above"),
    )
    opening = told.one(
        f"The risk level is {told.level}: the anomaly score {_SCORE} {verb} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level}. The anomaly score {_SCORE} {verb} the {told.bar} of {_BAR}.",
    )
    clauses = [f"{_the(first)} {_does(first)} the score most"]
    clauses += [f"{_the(factor)} {told.also(index)}{_does(factor)} it" for index, factor in enumerate(rest, start=1)]
    if opening.count(". "):
        body = [f"{_series(clauses) if len(clauses) > 2 else ', and '.join(clauses)}."]
    else:
        body = [f"{clauses[0]}.", f"{', and '.join(clauses[1:])}." if rest else ""]
    return _prose(
        opening,
        *body,
        told.unmeasured(
            "{} was not measured; it is taken as typical.", "{} were not measured; they are taken as typical."
        ),
    )


def contrasting(facts: Facts, random: Random) -> str:
    """Join by connectives: in addition, in contrast, however."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    opening = told.one(
        f"The risk level is {told.level}: the anomaly score {_SCORE} is {told.at} the {told.bar} of {_BAR}.",
        f"The risk level is {told.level} with the anomaly score {_SCORE} {told.at} the {told.bar} of {_BAR}.",
    )
    clauses = [
        f"{_the(factor)} {told.also(index)}{_does(factor)} the score" for index, factor in enumerate(rest, start=1)
    ]
    if rest:
        turn = ("Similarly", "In addition") if told.also(1) else ("In contrast", "However", "Conversely")
        clauses[0] = f"{told.one(*turn)}, {clauses[0]}"
    link = ", and " if len(rest) > 1 and told.also(2) else told.one(", while ", ", but ")
    return _prose(
        opening,
        f"{_the(first)} {_does(first)} the score {told.one('most', 'the most')}.",
        f"{link.join(clauses)}." if clauses else "",
        told.unmeasured(
            told.one(
                "{} was not measured and is taken as typical.",
                "Additionally, {} was not measured and is taken as typical.",
            ),
            told.one(
                "{} were not measured and are taken as typical.",
                "Additionally, {} were not measured and are taken as typical.",
            ),
        ),
    )


def all_alike(facts: Facts, random: Random) -> str:
    """Gather factors of one direction where that keeps their order."""
    told = _Told.by(facts, random)
    first, *rest = told.factors
    if len({factor.direction for factor in told.factors}) == 1 and rest:
        names = _series([_the(factor) for factor in told.factors])
        amount = {2: "both", 3: "all"}[len(told.factors)]
        body = [
            f"{names} {amount} {_does(*told.factors)} the score.",
            told.one(
                f"Of these, {_the(first)} {_does(first)} it most.",
                f"Of these, the {label(first)} {_does(first)} the score most.",
                f"Among them, the {label(first)} {_does(first)} the score the most.",
            ),
        ]
    elif told.alike():
        body = [
            f"{_the(first)} {_does(first)} the score most, while {' and '.join(map(_the, rest))} {_does(*rest)} it."
        ]
    else:
        clauses = [f"{_the(factor)} {told.also(i)}{_does(factor)} it" for i, factor in enumerate(rest, start=1)]
        body = [f"{_series([f'{_the(first)} {_does(first)} the score most', *clauses])}."]
    return _prose(
        f"The risk level is {told.level}{': the' if len(body) > 1 else '. The'} anomaly score {_SCORE} is {told.at} "
        f"the {told.bar} of {_BAR}.",
        *body,
        told.unmeasured(
            "{} was not measured and is taken as typical.", "{} were not measured and are taken as typical."
        ),
    )


PHRASINGS: Final[tuple[Writer, ...]] = (
    imitator,
    both_of_them,
    followed_by,
    bracketed_threshold,
    score_leads,
    without_articles,
    largest_effect,
    participles,
    passive,
    meets_or_exceeds,
    contrasting,
    all_alike,
)
