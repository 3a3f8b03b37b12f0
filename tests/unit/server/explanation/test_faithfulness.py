"""True paraphrases pass, untrue texts do not, and the deterministic text keeps every rule, for facts of all kinds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from random import Random

import pytest

from common.messages import RiskLevel
from common.patient import FIELDS
from server.anomaly.detector import Detector
from server.explanation.facts import OLDER, Direction, Factor, Facts, facts_of
from server.explanation.guard import GuardError, check_whole, filled
from server.explanation.template import describe
from tests.support.explanation import (
    held_out_fresh_phrasings,
    held_out_model_phrasings,
    held_out_phrasings,
    model_phrasings,
    phrasings,
)
from tests.support.explanation.mutations import MUTATIONS, Mutation
from tests.support.explanation.random_facts import random_facts, random_record
from tests.support.explanation.wording import Writer, every_time
from tests.support.narratives import factor, facts

SEED = 20261122
KNOWN: tuple[Writer, ...] = tuple(
    every_time(phrasing) for phrasing in (*phrasings.PHRASINGS, *held_out_phrasings.PHRASINGS)
)
DEVELOPED_ON: tuple[Writer, ...] = tuple(model_phrasings.PHRASINGS)
HELD_OUT: tuple[Writer, ...] = tuple(held_out_fresh_phrasings.PHRASINGS)
"""Written from the prompt alone, by someone who had not seen the guard, after its last change."""

FREER: tuple[Writer, ...] = tuple(held_out_model_phrasings.PHRASINGS)
"""Held out too, and less bound to the verbs and the example of the prompt."""

ALL_WRITERS = (*KNOWN, *DEVELOPED_ON, *HELD_OUT, *FREER)
MOST_WITHHELD = 0.01
MOST_WITHHELD_HELD_OUT = 0.02
MOST_WITHHELD_FREER = 0.15
"""A price in acceptance alone: what is withheld is replaced by the deterministic text."""

LEAST_CAUGHT = 0.99


def is_withheld(text: str, facts: Facts) -> bool:
    try:
        check_whole(text, facts)
    except GuardError:
        return True
    return False


def withheld(of: Sequence[Writer], each: int) -> Counter[str]:
    """Count by writer how many of its true texts are withheld, of ``each`` with facts of their own."""
    random = Random(SEED)
    return Counter(
        {write.__name__: sum(is_withheld(write(facts, random), facts) for facts in _many(random, each)) for write in of}
    )


def caught(mutation: Mutation, number: int) -> float:
    """Return the share of a mutation's texts that is withheld; each is made of a text that passes as it is."""
    random = Random(SEED)
    drafts = islice(_drafts(mutation, random), number)
    return sum(is_withheld(text, facts) for facts, text in drafts) / number


def _many(random: Random, number: int) -> Iterator[Facts]:
    return (random_facts(random) for _ in range(number))


def _drafts(mutation: Mutation, random: Random) -> Iterator[tuple[Facts, str]]:
    for write in cycle(ALL_WRITERS):
        facts = random_facts(random)
        text = filled(write(facts, random), facts)
        draft = mutation(random, facts, text)
        if draft is not None and not is_withheld(text, facts):
            yield facts, draft


def _counts(reduced: int, full: int) -> list[object]:
    return [reduced, pytest.param(full, marks=[pytest.mark.full, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("each", _counts(8, 250))
@pytest.mark.parametrize(
    ("of", "most"),
    [
        (KNOWN, MOST_WITHHELD),
        (DEVELOPED_ON, MOST_WITHHELD),
        (HELD_OUT, MOST_WITHHELD_HELD_OUT),
        (FREER, MOST_WITHHELD_FREER),
    ],
    ids=["known", "developed on", "held out", "freer"],
)
def test_true_paraphrases_pass(of: Sequence[Writer], most: float, each: int) -> None:
    counts = withheld(of, each)
    assert len(of) >= 12
    assert counts.total() <= most * each * len(of), counts.total() / (each * len(of))


@pytest.mark.parametrize("number", _counts(15, 300))
@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_text_with_one_mistake_is_withheld(kind: str, number: int) -> None:
    assert caught(MUTATIONS[kind], number) >= LEAST_CAUGHT


@pytest.mark.parametrize("number", _counts(150, 10_000))
def test_the_deterministic_text_keeps_every_rule(detector: Detector, number: int) -> None:
    random = Random(SEED)
    for start in range(0, number, 50):
        records = [random_record(random) for _ in range(start, start + 50)]
        for record, assessment in zip(records, detector.assess(records), strict=True):
            known = facts_of(record, assessment, detector.thresholds)
            check_whole(describe(known).text, known)


def test_the_longest_deterministic_text_keeps_to_the_length() -> None:
    """However many fields are measured: the fewer there are, the fewer can be factors."""
    outside = {"resting_bp": 40.0, "cholesterol": 50.0}
    by_length = sorted((_longest(name, outside) for name in FIELDS), key=lambda f: -len(f"{f.label} {f.value}".split()))
    lengths = []
    for measured in range(14):
        factors = [f for f in by_length if FIELDS[f.name].required or f.name in outside]
        factors += [f for f in by_length if f not in factors]
        stated = sorted(factors[: max(measured, 4)], key=by_length.index)[:5]
        known = facts(
            RiskLevel.MEDIUM,
            0.9,
            factors=tuple(replace(f, direction="lowers") if at > 2 else f for at, f in enumerate(stated)),
            not_measured=tuple(f.label for f in factors[max(measured, 4) :]),
            extrapolated=tuple(FIELDS[name].label for name in outside),
        )
        text = describe(known).text
        check_whole(text, known)
        lengths.append(len(text.split()))
    assert max(lengths) > 105


def _longest(name: str, outside: dict[str, float]) -> Factor:
    if FIELDS[name].required:
        return Factor(name, FIELDS[name].label, OLDER if name == "age" else "female", "raises", imputed=False)
    return factor(name, outside.get(name), "raises")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (factor("age", 85, "lowers"), "raises"),
        (factor("cholesterol", 500, "lowers"), "raises"),
        (factor("thallium_scan", 7, "lowers"), "raises"),
        (factor("exercise_angina", 1, "lowers"), "raises"),
        (factor("exercise_angina", 0, "raises"), "lowers"),
        (factor("max_heart_rate", 202, "raises"), "lowers"),
        (factor("resting_ecg", 0, "raises"), "lowers"),
    ],
)
def test_what_the_model_does_counts_and_not_what_one_would_expect(first: Factor, expected: Direction) -> None:
    known = facts(factors=(first, factor("st_depression", 1.5, "raises"), factor("sex", 0, "lowers")))
    for write in (*KNOWN, *DEVELOPED_ON):
        text = write(known, Random(SEED))
        assert not is_withheld(text, known), text
        as_expected = write(
            replace(known, factors=(replace(first, direction=expected), *known.factors[1:])), Random(SEED)
        )
        assert is_withheld(as_expected, known), as_expected
