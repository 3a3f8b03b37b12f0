"""What is measured of an explanation is what its text says, right or wrong."""

import pytest

from common.messages import ExplanationMeasures
from server.explanation.metrics import measure
from server.explanation.template import describe
from tests.support.narratives import GOOD_TEXT_FILLED, factor, facts

FACTS = facts()
OPENING = "The risk level is High, with an anomaly score of 0.987 against a threshold of 0.95."


def test_a_good_text_agrees_with_its_facts_in_everything() -> None:
    assert measure(GOOD_TEXT_FILLED, FACTS) == ExplanationMeasures(
        rank_agreement=1.0, sign_agreement=1.0, value_agreement=1.0, completeness=1.0, conciseness=1.0
    )


def test_the_deterministic_text_agrees_in_sign_and_value_though_it_is_ordered_by_direction() -> None:
    measured = measure(describe(FACTS).text, FACTS)
    assert (measured.sign_agreement, measured.value_agreement, measured.completeness) == (1.0, 1.0, 1.0)
    assert measured.rank_agreement == 2 / 4  # raising: first, second and fourth; lowering: third


@pytest.mark.parametrize(
    ("said", "rank", "sign", "value", "completeness"),
    [
        ("The ST depression (3.5 mm) lowers the score.", 1, 0, 1, 0),
        ("The ST depression (4 mm) raises the score.", 1, 1, 0, 0),
        ("The thallium scan (fixed defect) raises the score.", 0, 1, 0, 0),
        ("The age (54 years) raises the score.", 0, 0, 0, 0),
        ("The ST depression (3.5 mm) and the maximum heart rate (171 beats/min) raise the score.", 0.5, 0.5, 1, 0),
        ("The ST depression, thallium scan and maximum heart rate matter.", 1, None, None, 0.5),
        (
            "The ST depression (3.5 mm) and the thallium scan (reversible defect) raise the score; "
            "the maximum heart rate lowers it.",
            1,
            1,
            1,
            0.5,
        ),
        ("The score is given.", None, None, None, 0),
        ("The slope of the ST segment was not measured.", None, None, None, 0),
    ],
)
def test_each_agreement_is_the_share_of_what_was_said(
    said: str, rank: float | None, sign: float | None, value: float | None, completeness: float
) -> None:
    measured = measure(f"{OPENING} {said}", FACTS)
    assert (measured.rank_agreement, measured.sign_agreement) == (rank, sign)
    assert (measured.value_agreement, measured.completeness) == (value, completeness)


@pytest.mark.parametrize(("words", "conciseness"), [(1, 1), (60, 1), (75, 0.75), (90, 0.5), (120, 0), (500, 0)])
def test_conciseness_falls_from_twenty_words_a_factor_to_none_at_forty(words: int, conciseness: float) -> None:
    assert measure("score " * words, FACTS).conciseness == pytest.approx(conciseness)


def test_facts_without_factors_can_be_measured() -> None:
    assert measure(OPENING, facts(factors=())) == ExplanationMeasures(completeness=1.0, conciseness=1.0)


def test_a_factor_that_was_not_measured_is_completely_named_with_its_direction() -> None:
    known = facts(factors=(factor("thallium_scan", None, "lowers"),))
    assert measure("The thallium scan (not measured) lowers the score.", known).completeness == 1.0
