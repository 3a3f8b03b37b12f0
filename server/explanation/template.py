"""The deterministic explanation: always there, at once, from the facts alone."""

from collections.abc import Iterator, Sequence

from common.messages import Explanation, NotEnough, RiskLevel
from server.explanation.facts import STATED_FACTORS, Factor, Facts, label_in_sentence, of_100_in_words, score_in_words

UNAVAILABLE = "Explanation unavailable: what moved the score could not be worked out, so nothing is shown of it."

_OUTSIDE = "Outside the model's range, less certain:"


def describe(facts: Facts) -> Explanation:
    """Write the paragraph of one prediction."""
    if facts.not_enough:
        return Explanation(text=" ".join(_why_no_level(facts, facts.not_enough)), source="template")
    alike = " with the same tests not measured" if facts.not_measured else ""
    unusual = f"{of_100_in_words(facts.anomaly_score)} patients without coronary disease{alike} look less unusual."
    sentences = [
        f"Risk level {_level(facts)}: the anomaly score is {_score(facts)}, {_place(facts)}.",
        f"{unusual[:1].upper()}{unusual[1:]} This is not the chance of disease.",
        *_factors("The score is raised most by", facts, "raises"),
        *_factors("The score is lowered most by", facts, "lowers"),
        "" if facts.factors else UNAVAILABLE,
        _listed("Not measured, taken as typical:", facts.not_measured),
        _range(facts),
        _listed(_OUTSIDE, facts.extrapolated),
    ]
    return Explanation(text=" ".join(sentence for sentence in sentences if sentence), source="template")


def _why_no_level(facts: Facts, not_enough: NotEnough) -> Iterator[str]:
    yield (
        "Not enough measured for a risk level: these values alone hardly tell patients with coronary disease from "
        "those without."
    )
    needed = [label_in_sentence(name) for name in not_enough.needed]
    if needed:
        yield f"Needed: {', '.join(needed[:-1])}{' or ' if needed[:-1] else ''}{needed[-1]}."
    else:
        yield "More than one additional test is needed."
    extreme = [_with_value(factor) for factor in facts.factors if factor.name in not_enough.extreme]
    if extreme:
        yield f"Extreme on its own: {_join(extreme)}."
    if facts.extrapolated:
        yield _listed(_OUTSIDE, facts.extrapolated)


def _range(facts: Facts) -> str:
    """Say between which results the tests that were not measured could lead, and which of them matters most."""
    missing = facts.missing_tests
    if missing is None:
        return ""
    lowest, highest = missing.lowest, missing.highest
    low, high = score_in_words(lowest.anomaly_score), score_in_words(highest.anomaly_score)
    if lowest.risk_level == highest.risk_level:
        shown = "in all combinations that were tried" if missing.is_sampled else "whatever the missing tests show"
        said = f"The level would stay {lowest.risk_level} (score {low} to {high}) {shown}"
    else:
        some = " among the combinations that were tried" if missing.is_sampled else ""
        said = f"The result could be {lowest.risk_level} ({low}) to {highest.risk_level} ({high}){some} once measured"
    if len(facts.not_measured) > 1:
        said += f"; measuring {label_in_sentence(missing.most_informative)} would narrow the range most"
    return f"{said}."


def _level(facts: Facts) -> str:
    return f"{facts.level}, close to {_join(facts.close_to)}" if facts.close_to else facts.level


def _score(facts: Facts) -> str:
    """State the score and its interval, all cut: an end never seems to reach a threshold that it does not."""
    if facts.interval is None:
        return score_in_words(facts.anomaly_score)
    low, high = map(score_in_words, facts.interval)
    return f"{score_in_words(facts.anomaly_score)} (95 % interval {low} to {high})"


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
    named = _join([_with_value(factor) for factor in chosen])
    return [f"{opening} {named}.", *(factor.meaning for factor in chosen if factor.meaning)] if chosen else []


def _with_value(factor: Factor) -> str:
    return f"{label_in_sentence(factor.name)} ({factor.value})"


def _listed(opening: str, names: Sequence[str]) -> str:
    return f"{opening} {_join([label_in_sentence(name) for name in names])}." if names else ""


def _join(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
