"""The deterministic explanation: always there, at once, from the facts alone."""

from collections.abc import Iterable, Iterator, Sequence

from common.messages import Explanation, MissingTests, NotEnough, RiskLevel
from server.explanation.facts import STATED_FACTORS, Factor, Facts, label_in_sentence, of_100_in_words, score_in_words

UNAVAILABLE = "Explanation unavailable: what moved the score could not be worked out, so nothing is shown of it."

_OUTSIDE = "Outside the model's range, less certain:"


def describe(facts: Facts) -> Explanation:
    """Write the paragraph of one prediction."""
    outlook = facts.outlook
    sentences = _why_no_level(facts, outlook) if isinstance(outlook, NotEnough) else _of_level(facts)
    return Explanation(text=" ".join(filter(None, sentences)), source="template")


def _of_level(facts: Facts) -> Iterator[str]:
    alike = " with the same tests not measured" if facts.not_measured else ""
    unusual = f"{of_100_in_words(facts.anomaly_score)} patients without coronary disease{alike} look less unusual."
    yield f"Risk level {_level(facts)}: the anomaly score is {_score(facts)}, {_place(facts)}."
    yield f"{unusual[:1].upper()}{unusual[1:]} This is not the chance of disease."
    yield from _factors("The score is raised most by", facts, "raises")
    yield from _factors("The score is lowered most by", facts, "lowers")
    yield "" if facts.factors else UNAVAILABLE
    yield _listed("Not measured, taken as typical:", map(label_in_sentence, facts.not_measured))
    yield _range(facts)
    yield _listed(_OUTSIDE, map(label_in_sentence, facts.extrapolated))


def _why_no_level(facts: Facts, not_enough: NotEnough) -> Iterator[str]:
    yield (
        "Not enough measured for a risk level: these values alone hardly tell patients with coronary disease from "
        "those without."
    )
    needed = _listed("Needed:", map(label_in_sentence, not_enough.needed), last="or")
    yield needed or "More than one additional test is needed."
    extreme = [factor for factor in facts.factors if factor.name in not_enough.extreme]
    yield _listed("Extreme on its own:", map(_with_value, extreme))
    yield _listed(_OUTSIDE, map(label_in_sentence, facts.extrapolated))


def _range(facts: Facts) -> str:
    """Say between which results the tests that were not measured could lead, and which of them matters most."""
    missing = facts.outlook
    if not isinstance(missing, MissingTests):
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
    low, high = map(score_in_words, (facts.interval.low, facts.interval.high))
    return f"{score_in_words(facts.anomaly_score)} (95 % interval {low} to {high})"


def _place(facts: Facts) -> str:
    medium, high = facts.thresholds.medium, facts.thresholds.high
    return {
        RiskLevel.HIGH: f"at or above the High threshold of {high:g}",
        RiskLevel.MEDIUM: f"between the Medium threshold of {medium:g} and the High threshold of {high:g}",
        RiskLevel.LOW: f"below the Medium threshold of {medium:g}",
    }[facts.level]


def _factors(opening: str, facts: Facts, direction: str) -> Iterator[str]:
    """Name what moved the score most in one direction, and explain each value that has a meaning."""
    chosen = [factor for factor in facts.factors if factor.direction == direction][:STATED_FACTORS]
    yield _listed(opening, map(_with_value, chosen))
    yield from (factor.meaning or "" for factor in chosen)


def _with_value(factor: Factor) -> str:
    return f"{label_in_sentence(factor.name)} ({factor.value})"


def _listed(opening: str, parts: Iterable[str], *, last: str = "and") -> str:
    """Return a sentence that ends with a list; none where the list is empty."""
    joined = _join(list(parts), last)
    return f"{opening} {joined}." if joined else ""


def _join(parts: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
