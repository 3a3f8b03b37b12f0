"""The deterministic explanation: always there, at once, from the facts alone."""

from collections.abc import Sequence

from common.messages import Explanation, RiskLevel
from server.explanation.facts import STATED_FACTORS, Facts, label_in_sentence, score_in_words, share_in_words

UNAVAILABLE = "Explanation unavailable: what moved the score could not be worked out, so nothing is shown of it."


def describe(facts: Facts) -> Explanation:
    """Write the paragraph of one prediction."""
    score, alike = facts.anomaly_score, " with the same fields not measured" if facts.not_measured else ""
    disease_free = f"disease-free patients (no major coronary vessel narrowed by 50 % or more){alike}"
    sentences = [
        f"Risk level {facts.level}: the anomaly score is {score_in_words(score)}, {_place(facts)}.",
        f"This record is more unusual than {share_in_words(score)} of {disease_free}.",
        *_factors("The score is raised most by", facts, "raises"),
        *_factors("The score is lowered most by", facts, "lowers"),
        "" if facts.factors else UNAVAILABLE,
        _listed("Not measured, taken as typical:", facts.not_measured),
        _listed("Outside the model's range, less certain:", facts.extrapolated),
    ]
    return Explanation(text=" ".join(sentence for sentence in sentences if sentence), source="template")


def _place(facts: Facts) -> str:
    medium, high = facts.thresholds.medium, facts.thresholds.high
    return {
        RiskLevel.HIGH: f"at or above the High threshold of {high:g}",
        RiskLevel.MEDIUM: f"between the Medium threshold of {medium:g} and the High threshold of {high:g}",
        RiskLevel.LOW: f"below the Medium threshold of {medium:g}",
    }[facts.level]


def _factors(opening: str, facts: Facts, direction: str) -> list[str]:
    """Name what moved the score most in one direction, and explain each value that has a meaning."""
    chosen = [factor for factor in facts.factors if factor.direction == direction][:STATED_FACTORS]
    named = _join([f"{label_in_sentence(factor.name)} ({factor.value})" for factor in chosen])
    return [f"{opening} {named}.", *(factor.meaning for factor in chosen if factor.meaning)] if chosen else []


def _listed(opening: str, names: Sequence[str]) -> str:
    return f"{opening} {_join([label_in_sentence(name) for name in names])}." if names else ""


def _join(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
