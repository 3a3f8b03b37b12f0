"""The deterministic explanation: always there, at once, from the facts alone."""

from collections.abc import Iterable, Iterator, Sequence

from common.messages import LEVELS, Explanation, MissingTests, NotEnough, RiskLevel
from server.anomaly.calibration import risk_level
from server.explanation.facts import (
    STATED_FACTORS,
    Factor,
    Facts,
    label_in_sentence,
    of_100_in_words,
    score_in_words,
    threshold_in_words,
)

UNAVAILABLE = "Explanation unavailable: what moved the score could not be worked out, so nothing is shown of it."

_OUTSIDE = "Outside the model's range, less certain:"


def describe(facts: Facts) -> Explanation:
    """Write the paragraph of one prediction."""
    sentences = _why_no_level(facts, facts.outlook) if isinstance(facts.outlook, NotEnough) else _of_level(facts)
    return Explanation(text=" ".join(filter(None, sentences)), source="template")


def _of_level(facts: Facts) -> Iterator[str]:
    alike = " with the same tests not measured" if facts.not_measured else ""
    unusual = f"{of_100_in_words(facts.anomaly_score)} patients without coronary disease{alike} look less unusual."
    yield f"Risk level {_level_and_score(facts)}, {_place(facts)}."
    yield f"{unusual.capitalize()} This is not the chance of disease."
    for direction, done in (("raises", "raised"), ("lowers", "lowered")):
        chosen = [factor for factor in facts.factors if factor.direction == direction][:STATED_FACTORS]
        yield _listed(f"The score is {done} most by", map(_with_value, chosen))
        yield from (factor.meaning or "" for factor in chosen)
    yield "" if facts.factors else UNAVAILABLE
    yield _listed("Not measured, taken as typical:", map(label_in_sentence, facts.not_measured))
    if isinstance(facts.outlook, MissingTests):
        yield _range(facts, facts.outlook)
    yield _listed(_OUTSIDE, map(label_in_sentence, facts.extrapolated))


def _why_no_level(facts: Facts, not_enough: NotEnough) -> Iterator[str]:
    yield (
        "Not enough measured for a risk level: these values alone hardly tell patients with coronary disease from "
        "those without."
    )
    needed = map(label_in_sentence, not_enough.needed)
    yield _listed("Needed:", needed, last="or") or "More than one additional test is needed."
    extreme = [factor for factor in facts.factors if factor.name in not_enough.extreme]
    yield _listed("Extreme on its own:", map(_with_value, extreme))
    yield _listed(_OUTSIDE, map(label_in_sentence, facts.extrapolated))


def _range(facts: Facts, missing: MissingTests) -> str:
    """Say between which results the tests that were not measured could lead, and which of them matters most."""
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


def _level_and_score(facts: Facts) -> str:
    """State the level with the ones next to it that the score's interval reaches into, and the score with its interval.

    All numbers are cut: an end never seems to reach a threshold that it does not.
    """
    level, score = str(facts.level), score_in_words(facts.anomaly_score)
    if facts.interval is not None:
        ends = (facts.interval.low, facts.interval.high)
        own = LEVELS.index(facts.level)
        lowest, highest = (LEVELS.index(risk_level(end, facts.thresholds)) for end in ends)
        # The next level on either side at most: of an interval over all three, the numbers tell the rest.
        close_to = [LEVELS[at] for at in (max(lowest, own - 1), min(highest, own + 1)) if at != own]
        level += f", close to {_join(close_to)}" if close_to else ""
        score += f" (95 % interval {' to '.join(map(score_in_words, ends))})"
    return f"{level}: the anomaly score is {score}"


def _place(facts: Facts) -> str:
    threshold = threshold_in_words(facts.threshold)
    high = threshold_in_words(facts.thresholds.high)
    between = f"between the Medium threshold of {threshold} and the High threshold of {high}"
    return between if facts.level is RiskLevel.MEDIUM else f"{facts.place} {threshold}"


def _with_value(factor: Factor) -> str:
    return f"{label_in_sentence(factor.name)} ({factor.value})"


def _listed(opening: str, parts: Iterable[str], *, last: str = "and") -> str:
    """Return a sentence that ends with a list; none where the list is empty."""
    joined = _join(list(parts), last)
    return f"{opening} {joined}." if joined else ""


def _join(parts: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
