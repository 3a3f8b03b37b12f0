"""What a language model is told: listed facts, no value of the patient, and examples about other factors."""

import hashlib
import re
from dataclasses import replace
from random import Random

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.explanation.facts import Facts
from server.explanation.language import checked
from server.explanation.prompt import PROMPT_VERSION, prompt_of
from tests.support.narratives import TYPICAL, factor, facts
from tests.support.true_texts import random_facts

DIGEST_OF_VERSION = {"4": "5146f970ef8de626"}


def test_the_facts_are_told_in_their_order_with_slots_for_values_and_a_change_has_another_version() -> None:
    known = facts(not_measured=("st_slope",))
    asked = prompt_of(known)[-1]["content"]
    assert asked == (
        "Risk level: High\n"
        "Anomaly score: [[anomaly_score]], at or above the High threshold of [[threshold]]\n"
        "ST depression [[st_depression]]: raises the score. [[st_depression_meaning]]\n"
        "Thallium scan [[thallium_scan]]: raises the score. [[thallium_scan_meaning]]\n"
        "Maximum heart rate [[max_heart_rate]]: lowers the score. [[max_heart_rate_meaning]]\n"
        "Not measured: Slope of the ST segment"
    )
    again = prompt_of(known, broken="it is too long")[-1]["content"]
    assert again.startswith(asked)
    assert "A first draft was not used because it is too long." in again
    told = repr([prompt_of(facts(level), broken="it is too long") for level in RiskLevel] + [prompt_of(known)])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert {PROMPT_VERSION: digest}.items() <= DIGEST_OF_VERSION.items(), "raise PROMPT_VERSION, and add its digest"


def test_no_value_of_the_patient_is_told_and_the_examples_are_true_and_of_other_factors() -> None:
    random = Random(3)
    for _ in range(200):
        known = random_facts(random)
        messages = prompt_of(known)
        factors = tuple(replace(stated, value="another value", meaning=None) for stated in known.factors)
        others = replace(known, factors=factors, anomaly_score=0.123456, thresholds=Thresholds(medium=0.5, high=0.6))
        assert messages == prompt_of(others)
        slots = re.findall(r"\[\[(\w+?)(?:_meaning)?\]\]", messages[2]["content"] + messages[4]["content"])
        assert not set(slots) & {factor.name for factor in known.stated}
        for told, text in ((messages[1], messages[2]), (messages[3], messages[4])):
            checked(told_facts(told["content"]), text["content"])


def told_facts(told: str) -> Facts:
    """Return facts of which an example's list is true."""
    level = RiskLevel(told.partition("\n")[0].removeprefix("Risk level: "))
    said = re.findall(r"\[\[(\w+)\]\]: (raises|lowers)", told)
    factors = tuple(factor(name, TYPICAL[name], way) for name, way in said)
    gaps = tuple(name for name, field in FIELDS.items() if f"Not measured: {field.label}" in told)
    return facts(level, {"High": 0.99, "Low": 0.1}[level], factors=factors, not_measured=gaps)
