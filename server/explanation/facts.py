"""The facts an explanation may use, made in code from a scored record; nothing else reaches any text."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import Assessment

MOST_FACTORS = 5
STATED_FACTORS = 3
OLDEST_STATED_AGE = 89
OLDER = "90 or older"
"""What is said of an age above ``OLDEST_STATED_AGE``: so old a person could be known by it."""

LARGEST_STATED_PERCENT = 99

Direction = Literal["raises", "lowers"]


@dataclass(frozen=True)
class Factor:
    """One field that moved the score: its label, its value in words, and the direction that SHAP gives it."""

    name: str
    label: str
    value: str
    direction: Direction
    imputed: bool


@dataclass(frozen=True)
class Facts:
    """What may be said about one prediction; ``factors`` are those that moved the score most, largest first."""

    level: RiskLevel
    anomaly_score: float
    thresholds: Thresholds
    factors: tuple[Factor, ...]
    not_measured: tuple[str, ...]
    extrapolated: tuple[str, ...]


def facts_of(record: PatientRecord, assessment: Assessment, thresholds: Thresholds) -> Facts:
    """Collect the facts of one scored record."""
    return Facts(
        level=assessment.risk_level,
        anomaly_score=assessment.anomaly_score,
        thresholds=thresholds,
        factors=tuple(_factor(record, assessment.contributions, name) for name in top_factors(record, assessment)),
        not_measured=tuple(FIELDS[name].label for name in record.imputed()),
        extrapolated=tuple(FIELDS[name].label for name in record.extrapolated()),
    )


def top_factors(record: PatientRecord, assessment: Assessment) -> list[str]:
    """Name the measured fields that moved the score most, at most five, largest first; one that moved nothing is none.

    What the typical value does that stands in for one not measured is no finding, and is the same for everybody with
    whom the patient is compared.
    """
    measured = set(FIELDS) - set(record.imputed())
    sizes = {name: abs(value) for name, value in assessment.contributions.items() if value != 0 and name in measured}
    return sorted(sizes, key=lambda name: (-sizes[name], list(FIELDS).index(name)))[:MOST_FACTORS]


def score_in_words(score: float) -> str:
    """Return a score with three digits, cut rather than rounded, so that it never seems to reach a threshold."""
    return str(_cut(score, "0.001"))


def share_in_words(score: float) -> str:
    """Return a score in whole percents, cut like the score itself; never none and never all, as on the pages."""
    whole = int(_cut(score, "0.01") * 100)
    if whole < 1:
        return "less than 1 %"
    return f"{whole} %" if whole < LARGEST_STATED_PERCENT else f"at least {LARGEST_STATED_PERCENT} %"


def _cut(score: float, step: str) -> Decimal:
    return Decimal(repr(score)).quantize(Decimal(step), ROUND_DOWN)


def _factor(record: PatientRecord, contributions: Mapping[str, float], name: str) -> Factor:
    value = getattr(record, name)
    words = FIELDS[name].in_words(value)
    if name == "age" and value > OLDEST_STATED_AGE:
        words = OLDER
    direction: Direction = "raises" if contributions[name] > 0 else "lowers"
    return Factor(name, FIELDS[name].label, words, direction, imputed=value is None)
