"""The facts an explanation may use, made in code from a scored record; nothing else reaches any text."""

from dataclasses import dataclass, fields
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final, Literal

from common.messages import Interval, MissingTests, NotEnough, Prediction, RiskLevel, Thresholds
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import Assessment
from server.explanation.meanings import meaning_of

MAX_FACTORS: Final = 5
STATED_FACTORS: Final = 3
OLDEST_STATED_AGE: Final = 89
OLDER: Final = "90 or older"
"""What is said of an age above ``OLDEST_STATED_AGE``: so old a person could be known by it."""

LARGEST_STATED: Final = 99

Direction = Literal["raises", "lowers"]
Outlook = MissingTests | NotEnough | None


@dataclass(frozen=True)
class Factor:
    """One measured field that moved the score: its value in words, the direction of its contribution, its meaning."""

    name: str
    value: str
    direction: Direction
    meaning: str | None = None
    """The clinical meaning of the value, one sentence; ``None`` where there is nothing to explain."""


@dataclass(frozen=True)
class Facts:
    """What may be said about one prediction; ``factors`` are those that moved the score most, largest first."""

    level: RiskLevel
    anomaly_score: float
    thresholds: Thresholds
    factors: tuple[Factor, ...]
    not_measured: tuple[str, ...]
    """Names of fields, as in ``extrapolated``: those whose values lie outside the model's range."""
    extrapolated: tuple[str, ...]
    interval: Interval | None = None
    """The anomaly score's 95 % interval; ``None`` where there is none, as of earlier protocols."""
    outlook: Outlook = None

    @property
    def threshold(self) -> float:
        """The threshold by which this result got its level; of Low, the one that it stays below."""
        return self.thresholds.high if self.level is RiskLevel.HIGH else self.thresholds.medium

    @property
    def place(self) -> str:
        """Where a score of this level lies, in words, up to the threshold's value."""
        above = f"at or above the {self.level} threshold of"
        return "below the Medium threshold of" if self.level is RiskLevel.LOW else above

    @property
    def stated(self) -> tuple[Factor, ...]:
        """The factors that every explanation names."""
        return self.factors[:STATED_FACTORS]


def facts_of(record: PatientRecord, assessment: Assessment, thresholds: Thresholds, outlook: Outlook) -> Facts:
    """Collect the facts of one scored record.

    Factors are the measured fields alone: the typical value that replaces one not measured is no finding, and is the
    same for everybody with whom the patient is compared.
    """
    sizes, not_measured = assessment.contributions, record.imputed()
    moved = [name for name in sorted(sizes, key=lambda name: -abs(sizes[name])) if sizes[name]]
    largest = [name for name in moved if name not in not_measured][:MAX_FACTORS]
    return Facts(
        level=assessment.risk_level,
        anomaly_score=assessment.anomaly_score,
        thresholds=thresholds,
        factors=tuple(_factor(name, record, sizes[name]) for name in largest),
        not_measured=tuple(not_measured),
        extrapolated=tuple(record.extrapolated()),
        interval=assessment.score_interval,
        outlook=outlook,
    )


def _factor(name: str, record: PatientRecord, contribution: float) -> Factor:
    value = value_in_words(name, getattr(record, name))
    return Factor(name, value, "raises" if contribution > 0 else "lowers", meaning_of(name, record))


def facts_of_stored(prediction: Prediction) -> Facts:
    """Collect the facts of a prediction as it is stored; they are those that it was made with."""
    said: dict[str, Any] = {field.name: getattr(prediction, field.name) for field in fields(Assessment)}
    said["contributions"] = {part.field: part.contribution for part in prediction.contributions}
    outlook = prediction.missing_tests or prediction.not_enough
    return facts_of(prediction.record, Assessment(**said), prediction.thresholds, outlook)


def value_in_words(name: str, value: float) -> str:
    """Return a measured value as explanations state it."""
    return OLDER if name == "age" and value > OLDEST_STATED_AGE else FIELDS[name].in_words(value)


def label_in_sentence(name: str) -> str:
    """Return a field's label as it stands within a sentence: ``resting ECG``, but ``ST depression``."""
    label = FIELDS[name].label
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def score_in_words(score: float) -> str:
    """Return a score with two digits, cut rather than rounded, so that it never seems to reach a threshold."""
    return str(Decimal(repr(score)).quantize(Decimal("0.01"), ROUND_DOWN))


def threshold_in_words(threshold: float) -> str:
    """Return a threshold with two digits or more, as scores have: "of 0.8. 37 of 100" reads as one number."""
    return max(f"{threshold:.2f}", f"{threshold:g}", key=len)


def of_100_in_words(score: float) -> str:
    """Return a score as a number of 100 patients, cut like the score itself; never none and never all."""
    whole = int(100 * Decimal(score_in_words(score)))
    if whole < 1:
        return "fewer than 1 of 100"
    return f"{whole} of 100" if whole < LARGEST_STATED else f"at least {LARGEST_STATED} of 100"
