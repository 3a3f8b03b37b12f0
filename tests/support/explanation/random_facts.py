"""Records, and facts of any possible result, made from a seed: every field, value, level and direction."""

from random import Random

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS, PatientRecord
from server.explanation.facts import OLDER, OLDEST_STATED_AGE, Direction, Factor, Facts

DIRECTIONS: tuple[Direction, Direction] = ("raises", "lowers")
REQUIRED = ("age", "sex")


def random_facts(random: Random) -> Facts:
    """Make facts with three to five factors, some of them not measured, and up to two further unmeasured fields."""
    thresholds = Thresholds(medium=random.choice([0.8, 0.75, 0.7]), high=random.choice([0.95, 0.9, 0.975]))
    score = _score(random, thresholds)
    names = random.sample(list(FIELDS), random.randint(3, 5) + 2)
    stated, others = names[:-2], names[-2:]
    factors = tuple(_factor(random, name) for name in stated)
    unmeasured = {factor.name for factor in factors if factor.imputed}
    unmeasured |= {name for name in others if name not in REQUIRED and random.random() < 0.5}
    return Facts(
        level=_level(score, thresholds),
        anomaly_score=score,
        thresholds=thresholds,
        factors=factors,
        not_measured=tuple(field.label for name, field in FIELDS.items() if name in unmeasured),
        extrapolated=(),
    )


def _score(random: Random, thresholds: Thresholds) -> float:
    bounds = random.choice([(0.0, thresholds.medium), (thresholds.medium, thresholds.high), (thresholds.high, 1.0)])
    return random.uniform(*bounds)


def _level(score: float, thresholds: Thresholds) -> RiskLevel:
    if score >= thresholds.high:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if score >= thresholds.medium else RiskLevel.LOW


def _factor(random: Random, name: str) -> Factor:
    field = FIELDS[name]
    value = _value(random, name)
    words = field.in_words(value)
    if name == "age" and value is not None and value > OLDEST_STATED_AGE:
        words = OLDER
    return Factor(name, field.label, words, random.choice(DIRECTIONS), imputed=value is None)


def _value(random: Random, name: str) -> float | None:
    field = FIELDS[name]
    if name not in REQUIRED and random.random() < 0.1:
        return None
    if field.codes:
        return random.choice(sorted(field.codes))
    lowest, highest = field.model_range or (0, 0)
    return round(random.uniform(lowest, min(highest, 100) if name == "age" else highest), 1 if field.step < 1 else 0)


def random_record(random: Random) -> PatientRecord:
    """Make a possible record, complete or with gaps, within the model's ranges and outside them."""
    gaps = random.choice([0.0, 0.1, 0.5, 0.9])
    return PatientRecord.check({name: _entered(random, name, gaps) for name in FIELDS})


def _entered(random: Random, name: str, gaps: float) -> float | None:
    field = FIELDS[name]
    if not field.required and random.random() < gaps:
        return None
    if field.codes:
        return random.choice(sorted(field.codes))
    lowest, highest = random.choice([field.model_range, field.possible_range]) or (0, 0)
    return random.randint(1, 120) if name == "age" else round(random.uniform(lowest, highest), random.randint(0, 3))
