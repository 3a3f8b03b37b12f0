"""What a language model is told: rules, two worked examples, and the facts with slots in the place of every value.

No value of the patient is in it, wherever the model runs: none can leave the machine, and the numbers of a text, filled
in here, cannot be wrong. Order, rounding, units, directions and clinical meanings are settled before; every factor has
a slot for its meaning, which stays empty where there is nothing to explain.
"""

from collections.abc import Sequence
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import Direction, Facts, label_in_sentence

PROMPT_VERSION: Final = "4"
"""Stored with every explanation; to be raised with every change of what the model is told."""

_RULES: Final = """You describe the result of an anomaly detector to a clinician, in sentences like the examples.
- Begin with the risk level, the anomaly score and its threshold.
- Then name every factor that is given, in the order given, and say that it "raises" or "lowers" the score, as given.
- Write no number. Where a value belongs, copy its slot, in round brackets after the label it belongs to.
- A slot that ends in _meaning is a whole sentence: copy it after the sentence about its factor.
- End with what was not measured or is outside the model's range, if anything is given.
- Name nothing that is not given. Only describe: no diagnosis, cause, treatment, advice, certainty or reassurance."""

_Case = tuple[RiskLevel, Sequence[tuple[str, Direction]], Sequence[str], Sequence[str]]
"""Level, factors with their directions, and the names of what was not measured and of what was extrapolated."""


def prompt_of(facts: Facts, *, broken: str = "") -> list[dict[str, str]]:
    """Return the chat messages for one set of facts; ``broken`` says what was wrong with a first draft."""
    stated = [(factor.name, factor.direction) for factor in facts.stated]
    used = {name for name, _ in stated}
    # The fields of the examples differ from the case's, so that nothing of an example can be taken for a fact.
    others = [name for name, field in FIELDS.items() if name not in used and not field.required]
    first: _Case = (RiskLevel.HIGH, [(others[0], "raises"), (others[1], "raises"), (others[2], "lowers")], [], [])
    second: _Case = (
        RiskLevel.LOW,
        [(others[3], "lowers"), (others[4], "raises"), (others[5], "lowers")],
        others[6:7],
        [],
    )
    asked = _told((facts.level, stated, facts.not_measured, facts.extrapolated))
    complaint = f"\n\nA first draft was not used because {broken}. Write it again, like the examples." if broken else ""
    return [
        {"role": "system", "content": _RULES},
        {"role": "user", "content": _told(first)},
        {"role": "assistant", "content": _example(first)},
        {"role": "user", "content": _told(second)},
        {"role": "assistant", "content": _example(second)},
        {"role": "user", "content": asked + complaint},
    ]


def _told(case: _Case) -> str:
    level, factors, not_measured, extrapolated = case
    lines = [f"Risk level: {level}", f"Anomaly score: [[anomaly_score]], {place_of(level)} [[threshold]]"]
    for name, direction in factors:
        lines.append(f"{FIELDS[name].label} [[{name}]]: {direction} the score. [[{name}_meaning]]")
    for opening, names in (("Not measured", not_measured), ("Outside the model's range", extrapolated)):
        if names:
            lines.append(f"{opening}: {', '.join(FIELDS[name].label for name in names)}")
    return "\n".join(lines)


def place_of(level: RiskLevel) -> str:
    """Say where a score of this level lies, up to the threshold's value."""
    return "below the Medium threshold of" if level is RiskLevel.LOW else f"at or above the {level} threshold of"


def _example(case: _Case) -> str:
    level, factors, not_measured, _ = case
    sentences = [
        f"The risk level is {level}: the anomaly score ([[anomaly_score]]) is {place_of(level)} [[threshold]]."
    ]
    for name, direction in factors:
        sentences.append(f"The {label_in_sentence(name)} ([[{name}]]) {direction} the score. [[{name}_meaning]]")
    sentences += [f"The {label_in_sentence(name)} was not measured and is taken as typical." for name in not_measured]
    return " ".join(sentences)
