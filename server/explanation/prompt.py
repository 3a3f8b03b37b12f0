"""What a language model is told: rules, two worked examples, and the facts with slots in the place of every value.

No value of the patient is in it, wherever the model runs: none can leave the machine, and the numbers of a text, filled
in here, cannot be wrong. Order, rounding, units, directions and clinical meanings are settled before; every factor has
a slot for its meaning, which stays empty where there is nothing to explain.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import Direction, Factor, Facts, label_in_sentence
from server.explanation.language import either_of

_DONE: Final = {"raises": "raised", "lowers": "lowered"}
PROMPT_VERSION: Final = "4"
"""Stored with every explanation; to be raised with every change of what the model is told."""

_RULES: Final = """You describe the result of an anomaly detector to a clinician, in sentences like the examples.
- Begin with the risk level, the anomaly score and its threshold.
- Then name every factor that is given, in the order given, and say that it "raises" or "lowers" the score, as given.
- Write no number. Where a value belongs, copy its slot, in round brackets after the label it belongs to.
- A slot that ends in _meaning is a whole sentence: copy it after the sentence about its factor.
- End with what was not measured or is outside the model's range, if anything is given.
- Name nothing that is not given. Only describe: no diagnosis, cause, treatment, advice, certainty or reassurance."""


def prompt_of(facts: Facts, *, broken: str = "") -> list[dict[str, str]]:
    """Return the chat messages for one set of facts; ``broken`` says what was wrong with a first draft."""
    used = {factor.name for factor in facts.stated}
    # The fields of the examples differ from the case's, so that nothing of an example can be taken for a fact.
    others = [name for name, field in FIELDS.items() if name not in used and not field.required]
    first = _case(facts, RiskLevel.HIGH, {others[0]: "raises", others[1]: "raises", others[2]: "lowers"}, [])
    second = _case(facts, RiskLevel.LOW, {others[3]: "lowers", others[4]: "raises", others[5]: "lowers"}, others[6:7])
    complaint = f"\n\nA first draft was not used because {broken}. Write it again, like the examples." if broken else ""
    messages = [{"role": "system", "content": _RULES}]
    for example in (first, second):
        messages.append({"role": "user", "content": _told(example)})
        messages.append({"role": "assistant", "content": "".join(either[0] for either in sentences(example))})
    return [*messages, {"role": "user", "content": _told(facts) + complaint}]


def _case(facts: Facts, level: RiskLevel, directions: Mapping[str, Direction], not_measured: Sequence[str]) -> Facts:
    """Return facts of an example; of the case itself only numbers are left, and no number is told."""
    factors = tuple(Factor(name, "", direction) for name, direction in directions.items())
    return replace(facts, level=level, factors=factors, not_measured=tuple(not_measured), extrapolated=())


def _told(facts: Facts) -> str:
    lines = [f"Risk level: {facts.level}", f"Anomaly score: [[anomaly_score]], {facts.place} [[threshold]]"]
    for name, direction in ((factor.name, factor.direction) for factor in facts.stated):
        lines.append(f"{FIELDS[name].label} [[{name}]]: {direction} the score. [[{name}_meaning]]")
    for opening, names in (("Not measured", facts.not_measured), ("Outside the model's range", facts.extrapolated)):
        if names:
            lines.append(f"{opening}: {', '.join(FIELDS[name].label for name in names)}")
    return "\n".join(lines)


def sentences(facts: Facts) -> list[list[str]]:
    """Return alternatives, one list after the other, of texts of the language that say all that is required."""
    score = f"he anomaly score ([[anomaly_score]]) is {facts.place} [[threshold]]."
    choices = [[f"The risk level is {facts.level}{then}{score}" for then in (": t", ", because t", ". T")]]
    for at, factor in enumerate(facts.stated):
        name, by = f"{label_in_sentence(factor.name)} ([[{factor.name}]])", factor.direction
        either = [f" The {name} {by} the score.", f" The score is {_DONE[by]} by the {name}."]
        either += [f" The {name} {by} the score most."] if at == 0 else []
        either += [f" The {name} also {by} the score."] if at and facts.stated[at - 1].direction == by else []
        choices += [either, [f" [[{factor.name}_meaning]]"]]
    others = [(name, "was not measured and is taken as typical") for name in facts.not_measured]
    others += [(name, "is outside the model's range, so the result is less certain") for name in facts.extrapolated]
    return choices + [[f" The {label_in_sentence(name)} {said}."] for name, said in others]


def grammar_of(facts: Facts) -> dict[str, object]:
    """Return what has an endpoint decode such texts alone: llama.cpp reads the first, vLLM the others, old and new."""
    choices = sentences(facts)
    regex = "".join(map(either_of, choices))
    gbnf = "root ::= " + " ".join(f"({' | '.join(map(json.dumps, either))})" for either in choices)
    return {"grammar": gbnf, "guided_regex": regex, "structured_outputs": {"regex": regex}}
