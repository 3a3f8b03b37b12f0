"""What a language model is told: rules, one worked example, and the facts with slots in the place of every value."""

from server.narrative.facts import STATED_FACTORS, Facts

_RULES = """You write one short paragraph for a clinician about the result of an anomaly detector for heart disease.
Rules:
- Three or four sentences, 40 to 90 words, plain prose.
- Write no number at all. Where a value belongs, copy its slot exactly, such as [[resting_bp]] or [[anomaly_score]].
- Name every factor that is given, each by its label followed by its slot in round brackets, and no other factor.
- A sentence is either about factors that raise the score or about factors that lower it, never both.
- Use the verb "raises" or "raise" for the first and "lowers" or "lower" for the second.
- Name the risk level. Only describe: no diagnosis, no cause, no treatment, no advice, no reassurance."""

_EXAMPLE_FACTS = """Risk level: Medium
Anomaly score: [[anomaly_score]]; threshold of this level: [[threshold]]
Resting ECG [[resting_ecg]]: raises
Serum cholesterol [[cholesterol]]: lowers
Not measured: Slope of the ST segment"""

_EXAMPLE_TEXT = """The risk level is Medium, with an anomaly score of [[anomaly_score]] against a threshold of \
[[threshold]]. The resting ECG ([[resting_ecg]]) raises the score most. The serum cholesterol ([[cholesterol]]) lowers \
it. The slope of the ST segment was not measured and is taken as typical."""


def prompt_of(facts: Facts) -> list[dict[str, str]]:
    """Return the chat messages for one set of facts; no value of the patient is in them."""
    return [
        {"role": "system", "content": _RULES},
        {"role": "user", "content": _EXAMPLE_FACTS},
        {"role": "assistant", "content": _EXAMPLE_TEXT},
        {"role": "user", "content": _facts_in_slots(facts)},
    ]


def _facts_in_slots(facts: Facts) -> str:
    lines = [
        f"Risk level: {facts.level}",
        "Anomaly score: [[anomaly_score]]; threshold of this level: [[threshold]]",
        *(f"{factor.label} [[{factor.name}]]: {factor.direction}" for factor in facts.factors[:STATED_FACTORS]),
    ]
    if facts.not_measured:
        lines.append(f"Not measured: {', '.join(facts.not_measured)}")
    return "\n".join(lines)
