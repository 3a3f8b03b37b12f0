"""How model texts are put together: labels, lists, and the parts of a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import STATED_FACTORS, Direction, Factor, Facts
from server.explanation.template import label_in_sentence

_NAMES: Final = {field.label: name for name, field in FIELDS.items()}


_SHORTER: Final[dict[str, tuple[str, ...]]] = {
    "age": ("patient's age",),
    "sex": ("patient's sex",),
    "chest_pain_type": ("type of chest pain",),
    "resting_bp": ("blood pressure at rest", "resting BP"),
    "cholesterol": ("cholesterol", "cholesterol level", "serum cholesterol level"),
    "fasting_blood_sugar_high": ("fasting blood sugar",),
    "resting_ecg": ("resting ECG result",),
    "max_heart_rate": ("max heart rate", "maximum heart rate reached"),
    "exercise_angina": ("exercise angina", "angina induced by exercise"),
    "st_depression": ("ST depression value",),
    "st_slope": ("ST segment slope", "ST slope", "slope of ST"),
    "major_vessels": ("number of major vessels", "major vessels count"),
    "thallium_scan": ("thallium scan result",),
}


"""What a model makes of a label now and then; all of them singular."""


QUANTITIES: Final = ("resting_bp", "cholesterol", "max_heart_rate", "st_depression")


@dataclass(frozen=True)
class _Style:
    """Habits that one text keeps from its beginning to its end."""

    article: str
    oxford: bool
    slot: str


class Pen:
    """Writes the parts of one text; a label, once chosen, stays."""

    def __init__(self, facts: Facts, random: Random, *, bare: float = 0.1, brackets: float = 0.95) -> None:
        self.facts = facts
        self.random = random
        self.factors: tuple[Factor, ...] = facts.factors[:STATED_FACTORS]
        self.style = _Style(
            article="" if random.random() < bare else "the ",
            oxford=random.random() < 0.5,
            slot=" ([[{}]])" if random.random() < brackets else " [[{}]]",
        )
        self._labels: dict[str, tuple[str, bool]] = {}

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def maybe(self, text: str, chance: float = 0.4) -> str:
        return text if self.random.random() < chance else ""

    # labels

    def label(self, name: str) -> tuple[str, bool]:
        """Return the label of a field within a sentence, without article, and whether it is a plural."""
        if name not in self._labels:
            if self.random.random() < 0.15:
                self._labels[name] = self.random.choice(_SHORTER[name]), False
            else:
                self._labels[name] = label_in_sentence(FIELDS[name].label), name == "major_vessels"
        return self._labels[name]

    def noun(self, factor: Factor) -> str:
        return f"{self.plain(factor.name)}{self.style.slot.format(factor.name)}"

    def plain(self, name: str) -> str:
        text, _ = self.label(name)
        return f"{self.style.article or self.maybe('the ', float('patient' in text))}{text}"

    def nouns(self, factors: Sequence[Factor]) -> str:
        return self.join([self.noun(factor) for factor in factors])

    def join(self, parts: Sequence[str]) -> str:
        if len(parts) < 2:
            return "".join(parts)
        comma = "," if self.style.oxford and len(parts) > 2 else ""
        return f"{', '.join(parts[:-1])}{comma} and {parts[-1]}"

    # verbs

    def verb(self, factor: Factor) -> str:
        return worded_verb(factor.direction, plural=self.label(factor.name)[1])

    def verbs(self, factors: Sequence[Factor]) -> str:
        return self.verb(factors[0]) if len(factors) == 1 else worded_verb(factors[0].direction, plural=True)

    def clause(self, factor: Factor, thing: str = "the score", *, like: Direction | None = None) -> str:
        """Say one factor; ``like`` is the direction of the factor before, of which it may be said *also*."""
        plain = f"{self.noun(factor)} {self.verb(factor)} {thing}"
        if like != factor.direction or self.random.random() < 0.35:
            return plain
        return self.pick(
            f"{self.noun(factor)} also {self.verb(factor)} {thing}",
            f"{plain} as well",
            f"{plain} too",
            f"{self.noun(factor)} likewise {self.verb(factor)} {thing}",
            f"{self.noun(factor)} further {self.verb(factor)} {thing}",
            f"{self.noun(factor)} additionally {self.verb(factor)} {thing}",
        )

    # level, score and threshold

    def level(self) -> str:
        return str(self.facts.level)

    def threshold(self) -> str:
        level = RiskLevel.MEDIUM if self.facts.level is RiskLevel.LOW else self.facts.level
        return self.pick(
            f"the {level} threshold of [[threshold]]",
            f"the {level} threshold of [[threshold]]",
            f"the {level} threshold of [[threshold]]",
            f"the {level} threshold of [[threshold]]",
            f"the {level} threshold ([[threshold]])",
            f"the {level} threshold ([[threshold]])",
            f"the {level} risk threshold of [[threshold]]",
            f"the threshold of [[threshold]] for {level}",
            f"the threshold for {level} ([[threshold]])",
            f"the threshold for the {level} risk level ([[threshold]])",
            f"the {level} level's threshold of [[threshold]]",
        )

    def score(self) -> str:
        return f"anomaly score{self.style.slot.format('anomaly_score')}"

    def stands(self) -> str:
        """Return where the score is, as a predicate."""
        if self.facts.level is RiskLevel.LOW:
            relation = self.pick(
                *("is below",) * 6,
                "falls below",
                "lies below",
                "remains below",
                "stays below",
                "sits below",
                "is under",
                "is lower than",
                "is less than",
                "does not reach",
            )
        else:
            relation = self.pick(
                *("is at or above",) * 6,
                "lies at or above",
                "falls at or above",
                "stands at or above",
                "sits at or above",
                "meets or exceeds",
                "reaches or exceeds",
                "equals or exceeds",
                "reaches",
                "is equal to or above",
            )
        return f"{relation} {self.threshold()}"

    def standing(self) -> str:
        """Return where the score is, as it follows a noun."""
        short = "below" if self.facts.level is RiskLevel.LOW else "at or above"
        return self.pick(
            f"{short} {self.threshold()}",
            f"{short} {self.threshold()}",
            f"that {self.stands()}",
        )

    def opening(self) -> str:
        """Say level, score and threshold in one sentence, nearly as the example does."""
        level, score = self.level(), self.score()
        subject = self.pick(
            "The risk level is",
            "The risk level is",
            "The patient's risk level is",
            "The risk level for this patient is",
        )
        return self.pick(
            f"{subject} {level}: the {score} {self.stands()}.",
            f"{subject} {level}: the {score} {self.stands()}.",
            f"{subject} {level}; the {score} {self.stands()}.",
            f"{subject} {level}, with an {score} {self.standing()}.",
            f"{subject} {level}, and the {score} {self.stands()}.",
            f"{subject} {level}, {self.pick('as', 'since', 'because')} the {score} {self.stands()}.",
        )

    # factors

    def lead(self, factor: Factor) -> str:
        """Say the factor that moved the score most, without the full stop."""
        noun, verb = self.noun(factor), self.verb(factor)
        return worded_capital(
            self.pick(
                f"{noun} {verb} the score most",
                f"{noun} {verb} the score most",
                f"{noun} {verb} the score the most",
                f"{noun} {verb} the anomaly score most",
                f"{noun} most strongly {verb} the score",
                f"the score is {worded_passive(factor.direction)} most by {noun}",
                f"the factor that {factor.direction} the score most is {noun}",
                f"among the given factors, {noun} {verb} the score most",
                f"of the factors given, {noun} {verb} the score most",
                f"{noun} {'are' if self.label(factor.name)[1] else 'is'} the factor that {factor.direction} the "
                f"score most",
            )
        )

    def rest(self, factors: Sequence[Factor], before: Direction) -> str:
        """Say the remaining one or two factors in one sentence, with a blank before it and its full stop."""
        if not factors:
            return ""
        start, like = self._start(factors[0].direction, before)
        if len(factors) == 1:
            return " " + worded_sentence(start + self.clause(factors[0], like=like))
        first, second = factors
        if first.direction != second.direction:
            return " " + worded_sentence(start + self._contrast(first, second, like, within=bool(start)))
        also = self.maybe("also ") if like == first.direction else ""
        both = worded_verb(first.direction, plural=True)
        passive = worded_passive(first.direction)
        two = self.nouns([first, second])
        return " " + worded_sentence(
            start
            + self.pick(
                f"{two} {also}{both} the score",
                f"both {two} {also}{both} the score",
                f"{two} both {also}{both} the score",
                f"the score is {also}{passive} by {two}",
                f"{self.clause(first, like=like)}, and {self.clause(second, 'it', like=first.direction)}",
                f"{self.clause(first, like=like)}, and {self.clause(second, 'it', like=first.direction)}",
                f"{self.clause(first, like=like)}, and {self.clause(second, like=first.direction)}",
                f"{self.noun(first)} {self.verb(first)} the score, as {self._does(second)} {self.noun(second)}",
                f"{self.noun(first)} {self.verb(first)} the score, and so {self._does(second)} {self.noun(second)}",
                f"{self.noun(first)} {self.verb(first)} the score, followed by {self.noun(second)}",
            )
        )

    def _contrast(self, first: Factor, second: Factor, like: Direction | None, *, within: bool) -> str:
        passive = worded_passive(second.direction)
        return self.pick(
            f"{self.clause(first, like=like)}, {self.pick('and', 'while', 'whereas', 'but')} "
            f"{self.clause(second, 'it')}",
            f"{self.clause(first, like=like)}, {self.pick('and', 'while', 'whereas', 'but')} "
            f"{self.clause(second, 'it')}",
            f"{self.clause(first, like=like)}, {self.pick('and', 'while', 'whereas', 'but')} {self.clause(second)}",
            f"{self.clause(first, like=like)}; {self.pick('in contrast', 'by contrast', 'conversely')}, "
            f"{self.clause(second, 'it')}",
            f"{self.clause(first, like=like)}, {self.pick('and', 'but', 'while')} it is {passive} by "
            f"{self.noun(second)}",
            f"{self.clause(first, like=like)}, and {self.clause(second, 'it')}"
            if within
            else f"{self.pick('while', 'whereas', 'although')} {self.clause(first)}, {self.clause(second, 'it')}",
        )

    def _start(self, direction: Direction, before: Direction) -> tuple[str, Direction | None]:
        """Return a connective, mostly none; after one that says *also*, it is not said again."""
        if self.random.random() < 0.6:
            return "", before
        if direction == before:
            return self.pick("In addition, ", "Additionally, ", "Similarly, ", "Next, ", "Furthermore, "), None
        return self.pick("In contrast, ", "By contrast, ", "Conversely, ", "However, ", "On the other hand, "), None

    def _does(self, factor: Factor) -> str:
        return "do" if self.label(factor.name)[1] else "does"

    def groups(self) -> list[list[Factor]]:
        """Return the factors by direction, the direction of the first factor first."""
        wanted = list(dict.fromkeys(factor.direction for factor in self.factors))
        return [[factor for factor in self.factors if factor.direction == direction] for direction in wanted]

    def series(self, lead: str, thing: str = "the score") -> str:
        """Say all factors as clauses of one sentence; ``lead`` is what the first is given more than the others."""
        first, *others = self.factors
        parts = [f"{self.noun(first)} {self.verb(first)} {thing}{lead}"]
        before = first.direction
        for factor in others:
            parts.append(self.clause(factor, "it", like=before))
            before = factor.direction
        return self.join(parts) if len(parts) != 2 else f"{parts[0]}, and {parts[1]}"

    # not measured

    def unmeasured(self, *, plainly: bool = False) -> str:
        """Return the sentence on what was not measured, with a blank before it; nothing if everything was."""
        names = [_NAMES[label] for label in self.facts.not_measured]
        if not names:
            return ""
        once = self.random.random() < 0.5
        whole = [self.label(name)[0] if once and number else self.plain(name) for number, name in enumerate(names)]
        what = self.join(whole)
        listed = self.join([self.label(name)[0] for name in names])
        many = len(names) > 1 or self.label(names[0])[1]
        was, is_, it = ("were", "are", "they") if many else ("was", "is", "it")
        place = "their place" if many else "its place"
        taken = self.pick(
            "taken as typical", "taken as typical", "assumed to be typical", "taken to be typical", "treated as typical"
        )
        value = (
            self.pick("typical values are", "typical values were")
            if many
            else self.pick("a typical value is", "a typical value was")
        )
        if plainly:
            taken = "taken as typical"
        simple = f"{what} {was} not measured and {is_} {taken}"
        said = (
            simple
            if plainly
            else self.pick(
                simple,
                simple,
                simple,
                f"{what} {was} not measured, so {it} {is_} {taken}",
                f"{what} {was} not measured and {is_} therefore {taken}",
                f"{what} {was} not measured, and {is_} {taken}",
                f"{what}, which {was} not measured, {is_} {taken}",
                f"{what} {was} not measured; {it} {is_} {taken}",
                f"{self.pick('as', 'since', 'because')} {what} {was} not measured, {it} {is_} {taken}",
                f"{what} {was} not measured, and {value} {self.pick('used', 'assumed')} instead",
                f"{what} {was} not measured; {value} {self.pick('used', 'assumed', 'used in ' + place)}",
                f"note that {what} {was} not measured and {is_} {taken}",
                f"{self.pick('not measured, and taken as typical', 'not measured and taken as typical')}: {listed}",
                f"not measured, and so taken as typical: {listed}",
                f"the following {was} not measured and {is_} taken as typical: {listed}",
                f"{what} {was} not measured",
                f"{what} {was} not measured for this patient and {is_} {taken}",
                f"{what} {was} not measured in this case and {is_} {taken}",
                f"no measurement was {self.pick('made', 'given', 'taken')} of {what}, which {is_} {taken}",
            )
        )
        return f" {worded_sentence(said)}"


def worded_verb(direction: Direction, *, plural: bool) -> str:
    return direction.removesuffix("s") if plural else direction


def worded_passive(direction: Direction) -> str:
    return {"raises": "raised", "lowers": "lowered"}[direction]


def worded_acting(direction: Direction) -> str:
    return {"raises": "raising", "lowers": "lowering"}[direction]


def worded_capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def worded_sentence(text: str) -> str:
    return f"{worded_capital(text)}."
