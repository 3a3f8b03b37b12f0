"""What a language model is told: rules, one worked example, and the facts with slots in the place of every value.

No value of the patient is in it, wherever the model runs: none can leave the machine, and the numbers of a text, filled
in here, cannot be wrong. Order, rounding, units and directions are settled before.
"""

from collections.abc import Sequence
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import STATED_FACTORS, Direction, Facts
from server.explanation.rules import Rule
from server.explanation.template import label_in_sentence

PROMPT_VERSION: Final = "3"
"""Stored with every explanation; to be raised with every change of what the model is told."""

_RULES: Final = """You describe the result of an anomaly detector to a clinician.
- Write three sentences of plain prose, 40 to 90 words, as in the example; a fourth if something was not measured.
- Name the risk level, the anomaly score and its threshold, then every factor that is given, in the order given.
- Write no number. Where a value belongs, copy its slot exactly, such as [[anomaly_score]], in round brackets after \
the label it belongs to.
- Say of each factor only that it "raises" or "lowers" the score, as it is given.
- Name nothing that is not given. Only describe: no diagnosis, cause, treatment, advice, certainty or reassurance."""

_EXAMPLES: Final = (
    ("resting_ecg", "cholesterol", "st_slope"),
    ("thallium_scan", "max_heart_rate", "fasting_blood_sugar_high"),
    ("st_depression", "resting_bp", "exercise_angina"),
    ("major_vessels", "age", "chest_pain_type"),
)
"""No field twice: whatever the three factors of a case are, one of the four has none of them."""

_EXAMPLE_DIRECTIONS: Final[tuple[Direction, ...]] = ("raises", "lowers", "raises")


def prompt_of(facts: Facts, *, broken: Sequence[Rule] = ()) -> list[dict[str, str]]:
    """Return the chat messages for one set of facts; ``broken`` are the rules that a first draft did not keep."""
    names = [factor.name for factor in facts.factors[:STATED_FACTORS]]
    directions = [factor.direction for factor in facts.factors[:STATED_FACTORS]]
    example = next(example for example in _EXAMPLES if not set(example) & set(names))
    unmeasured = next(name for name, field in FIELDS.items() if not field.required and name not in {*example, *names})
    label = FIELDS[unmeasured].label
    return [
        {"role": "system", "content": _RULES},
        {"role": "user", "content": _told(RiskLevel.MEDIUM, example, _EXAMPLE_DIRECTIONS, [label])},
        {"role": "assistant", "content": _example_text(example, label)},
        {"role": "user", "content": _told(facts.level, names, directions, facts.not_measured) + _complaint(broken)},
    ]


def _told(level: RiskLevel, names: Sequence[str], directions: Sequence[Direction], not_measured: Sequence[str]) -> str:
    lines = [f"Risk level: {level}", f"Anomaly score: [[anomaly_score]], {_place(level)} [[threshold]]"]
    for name, direction in zip(names, directions, strict=True):
        lines.append(f"{FIELDS[name].label} [[{name}]]: {direction} the score")
    if not_measured:
        lines.append(f"Not measured: {', '.join(not_measured)}")
    return "\n".join(lines)


def _place(level: RiskLevel) -> str:
    if level is RiskLevel.LOW:
        return "below the Medium threshold of"
    return f"at or above the {level} threshold of"


def _example_text(names: Sequence[str], unmeasured: str) -> str:
    first, second, third = (f"{label_in_sentence(FIELDS[name].label)} ([[{name}]])" for name in names)
    return (
        f"The risk level is {RiskLevel.MEDIUM}: the anomaly score ([[anomaly_score]]) is "
        f"{_place(RiskLevel.MEDIUM)} [[threshold]]. The {first} raises the score most. "
        f"The {second} lowers the score, and the {third} raises it. "
        f"The {label_in_sentence(unmeasured)} was not measured and is taken as typical."
    )


def _complaint(broken: Sequence[Rule]) -> str:
    if not broken:
        return ""
    said = "\n".join(f"- {rule.instruction}" for rule in broken)
    return f"\n\nA first draft was not used because {broken[0].value}. Write it again, and keep to this:\n{said}"
