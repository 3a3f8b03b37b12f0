"""Whether a stated value is the one that the facts hold for what it stands next to."""

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import OLDER, Factor, Facts, score_in_words
from server.explanation.kinds import Kind, Token
from server.explanation.reading import SCORE, THRESHOLD, Statement

FIELD_OF_LABEL = {field.label: name for name, field in FIELDS.items()}


def is_fact(statement: Statement, facts: Facts) -> bool:
    """Tell whether a statement gives the very value: a number as it is rounded in the facts, and in its unit."""
    if statement.name == SCORE:
        return not statement.unit and _equals(statement.value, score_in_words(facts.anomaly_score))
    if statement.name == THRESHOLD:
        return not statement.unit and _is_threshold(statement, facts)
    if statement.value.kind is Kind.ABSENT:
        return statement.name in not_measured(facts)
    return any(_is_value_of(statement, factor) for factor in facts.factors)


def not_measured(facts: Facts) -> set[str]:
    """Name the fields that were not measured."""
    return {FIELD_OF_LABEL[label] for label in facts.not_measured} | {f.name for f in facts.factors if f.imputed}


def threshold_named(facts: Facts, level: str) -> float:
    """Return the threshold of a level in lower case; of no level, the one by which this result got its own."""
    if level == "high" or (not level and facts.level is RiskLevel.HIGH):
        return facts.thresholds.high
    return facts.thresholds.medium


def _is_threshold(statement: Statement, facts: Facts) -> bool:
    return _equals(statement.value, f"{threshold_named(facts, statement.owner.detail):g}")


def _is_value_of(statement: Statement, factor: Factor) -> bool:
    if statement.name != factor.name or factor.imputed:
        return False
    if statement.value.kind is Kind.VALUE:
        is_none = (statement.value.detail, factor.name, factor.value) == ("no", "major_vessels", "0")
        return is_none or statement.value.detail == factor.value
    is_exact = factor.value != OLDER
    has_unit = statement.unit in {"", FIELDS[factor.name].unit}
    return is_exact and has_unit and _equals(statement.value, factor.value.partition(" ")[0])


def _equals(value: Token, number: str) -> bool:
    """Tell whether a number, in digits or in words, is written as it is in the facts: 3.50 or 03.5 is not 3.5."""
    return value.kind is Kind.NUMBER and value.detail == number
