"""The facts an explanation may use, made in code from a scored record; nothing else reaches any text."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final, Literal

from common.messages import LEVELS, MissingTests, NotEnough, Prediction, RiskLevel, Thresholds
from common.patient import FIELDS, PatientRecord
from server.anomaly.calibration import risk_level
from server.anomaly.detector import Assessment
from server.explanation.meanings import meaning_of

MAX_FACTORS: Final = 5
STATED_FACTORS: Final = 3
OLDEST_STATED_AGE: Final = 89
OLDER: Final = "90 or older"
"""What is said of an age above ``OLDEST_STATED_AGE``: so old a person could be known by it."""

LARGEST_STATED: Final = 99

Direction = Literal["raises", "lowers"]


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
    interval: tuple[float, float] | None = None
    """The ends of the anomaly score's 95 % interval; ``None`` where there is none, as of earlier protocols."""
    missing_tests: MissingTests | None = None
    not_enough: NotEnough | None = None

    @property
    def threshold(self) -> float:
        """The threshold by which this result got its level; of Low, the one that it stays below."""
        return self.thresholds.high if self.level is RiskLevel.HIGH else self.thresholds.medium

    @property
    def close_to(self) -> list[RiskLevel]:
        """The levels next to this result's own that the interval of its score reaches into, lowest first."""
        if self.interval is None or self.level not in LEVELS:
            return []
        own = LEVELS.index(self.level)
        lowest, highest = (LEVELS.index(risk_level(end, self.thresholds)) for end in self.interval)
        return [level for at, level in enumerate(LEVELS) if lowest <= at <= highest and abs(at - own) == 1]

    @property
    def stated(self) -> tuple[Factor, ...]:
        """The factors that every explanation names."""
        return self.factors[:STATED_FACTORS]


def facts_of(
    record: PatientRecord,
    assessment: Assessment,
    thresholds: Thresholds,
    missing_tests: MissingTests | None = None,
    not_enough: NotEnough | None = None,
) -> Facts:
    """Collect the facts of one scored record.

    Factors are the measured fields alone: the typical value that replaces one not measured is no finding, and is the
    same for everybody with whom the patient is compared.
    """
    not_measured = tuple(record.imputed())
    sizes = {name: abs(size) for name, size in assessment.contributions.items() if size and name not in not_measured}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:MAX_FACTORS]
    factors = []
    for name in largest:
        direction: Direction = "raises" if assessment.contributions[name] > 0 else "lowers"
        value = value_in_words(name, getattr(record, name))
        factors.append(Factor(name, value, direction, meaning_of(name, record)))
    return Facts(
        level=assessment.risk_level,
        anomaly_score=assessment.anomaly_score,
        thresholds=thresholds,
        factors=tuple(factors),
        not_measured=not_measured,
        extrapolated=tuple(record.extrapolated()),
        interval=assessment.interval,
        missing_tests=missing_tests,
        not_enough=not_enough,
    )


def facts_of_stored(prediction: Prediction) -> Facts:
    """Collect the facts of a prediction as it is stored; they are those that it was made with."""
    contributions = {part.field: part.contribution for part in prediction.contributions}
    ends = prediction.score_interval
    assessment = Assessment(
        raw_score=prediction.raw_score,
        anomaly_score=prediction.anomaly_score,
        interval=(ends.low, ends.high) if ends else None,
        risk_level=prediction.risk_level,
        base_value=prediction.base_value,
        contributions=contributions,
    )
    shown = prediction.missing_tests, prediction.not_enough
    return facts_of(prediction.record, assessment, prediction.thresholds, *shown)


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


def of_100_in_words(score: float) -> str:
    """Return a score as a number of 100 patients, cut like the score itself; never none and never all."""
    whole = int(100 * Decimal(score_in_words(score)))
    if whole < 1:
        return "fewer than 1 of 100"
    return f"{whole} of 100" if whole < LARGEST_STATED else f"at least {LARGEST_STATED} of 100"
