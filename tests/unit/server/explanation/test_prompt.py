"""What a language model is told: listed facts, no value of the patient, and an example about other factors."""

import hashlib
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.explanation.facts import Direction
from server.explanation.guard import SLOT, check_whole
from server.explanation.prompt import PROMPT_VERSION, prompt_of
from server.explanation.rules import Rule
from tests.support.explanation.random_facts import random_facts
from tests.support.narratives import factor, facts

FACTS = facts(not_measured=("Slope of the ST segment",))
DIRECTIONS: tuple[Direction, ...] = ("raises", "lowers", "raises")

DIGEST_OF_VERSION = {"3": "314186b3e88a6bb2"}


def test_a_changed_prompt_has_another_version() -> None:
    told = repr([prompt_of(facts(level), broken=tuple(Rule)) for level in RiskLevel] + [prompt_of(FACTS)])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert {PROMPT_VERSION: digest}.items() <= DIGEST_OF_VERSION.items(), "raise PROMPT_VERSION, and add its digest"


def test_the_facts_are_told_in_their_order_with_slots_for_values() -> None:
    assert prompt_of(FACTS)[-1]["content"] == (
        "Risk level: High\n"
        "Anomaly score: [[anomaly_score]], at or above the High threshold of [[threshold]]\n"
        "ST depression [[st_depression]]: raises the score\n"
        "Thallium scan [[thallium_scan]]: raises the score\n"
        "Maximum heart rate [[max_heart_rate]]: lowers the score\n"
        "Not measured: Slope of the ST segment"
    )


def test_what_is_told_depends_on_no_value_of_the_patient() -> None:
    random = Random(3)
    for _ in range(200):
        known = random_facts(random)
        factors = tuple(replace(stated, value="another value", imputed=False) for stated in known.factors)
        others = replace(known, factors=factors, anomaly_score=0.123456, thresholds=Thresholds(medium=0.5, high=0.6))
        assert prompt_of(known) == prompt_of(others)


def test_the_example_has_none_of_the_factors_of_the_case_whatever_they_are() -> None:
    for names in combinations(FIELDS, 3):
        case = facts(factors=tuple(factor(name, None, "raises") for name in names))
        example = "".join(message["content"] for message in prompt_of(case)[1:3])
        assert not set(SLOT.findall(example)) & set(names)


@pytest.mark.parametrize("other", [("age",), ("cholesterol",), ("thallium_scan",), ("st_depression",)])
def test_the_example_keeps_every_rule(other: tuple[str, ...]) -> None:
    example = prompt_of(facts(factors=tuple(factor(name, None, "raises") for name in other)))[2]["content"]
    names = [name for name in SLOT.findall(example) if name in FIELDS]
    values = {name: 1.0 if FIELDS[name].codes else 60.0 for name in names} | {"thallium_scan": 7.0}
    factors = tuple(factor(name, values[name], said) for name, said in zip(names, DIRECTIONS, strict=True))
    unmeasured = tuple(field.label for name, field in FIELDS.items() if name not in names)
    check_whole(example, facts(RiskLevel.MEDIUM, 0.9, factors=factors, not_measured=unmeasured))
    assert 40 <= len(example.split()) <= 90


def test_a_second_draft_is_told_which_rules_the_first_one_broke() -> None:
    told = prompt_of(FACTS, broken=(Rule.NUMBERS, Rule.LENGTH))[-1]["content"]
    assert told.startswith(prompt_of(FACTS)[-1]["content"])
    assert told.endswith(f"- {Rule.NUMBERS.instruction}\n- {Rule.LENGTH.instruction}")
