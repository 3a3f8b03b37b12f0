"""Hostile sentences are withheld and true ones pass, whatever way of wording them a model may find."""

from pathlib import Path

import pytest

from common.messages import RiskLevel
from server.explanation.facts import Facts
from server.explanation.guard import GuardError, check_whole, checked_sentence
from server.explanation.rules import Rule
from tests.support.narratives import factor, facts

HIGH = facts(
    factors=(
        factor("st_depression", 3.5, "raises"),
        factor("age", 80, "lowers"),
        factor("cholesterol", 500, "lowers"),
        factor("thallium_scan", 7, "raises"),
        factor("sex", 1, "raises"),
    ),
    not_measured=("Slope of the ST segment",),
)
MEDIUM = facts(
    RiskLevel.MEDIUM,
    0.9,
    factors=(
        factor("max_heart_rate", 171, "lowers"),
        factor("major_vessels", 2, "raises"),
        factor("fasting_blood_sugar_high", 0, "lowers"),
        factor("chest_pain_type", 4, "raises"),
        factor("st_slope", 2, "raises"),
    ),
    not_measured=("Serum cholesterol", "Resting ECG"),
)
LOW = facts(
    RiskLevel.LOW,
    0.41,
    factors=(
        factor("major_vessels", 0, "lowers"),
        factor("resting_ecg", 0, "lowers"),
        factor("exercise_angina", 0, "lowers"),
        factor("resting_bp", 140, "raises"),
        factor("age", 54, "raises"),
    ),
)
RESULTS = {"High": HIGH, "Medium": MEDIUM, "Low": LOW}


def read(name: str) -> dict[str, list[str]]:
    """Return the sentences of a file by the result that they are said of."""
    sections: dict[str, list[str]] = {}
    for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            sections[line.strip("[]")] = sentences = []
        elif line and not line.startswith("#"):
            sentences.append(line)
    return sections


def is_withheld(sentence: str, known: Facts) -> bool:
    try:
        checked_sentence(sentence, known)
    except GuardError:
        return True
    return False


@pytest.mark.parametrize(("result", "known"), RESULTS.items(), ids=list(RESULTS))
def test_no_hostile_sentence_passes(result: str, known: Facts) -> None:
    sentences = read("hostile_sentences.txt")[result]
    assert len(sentences) >= 30
    assert [sentence for sentence in sentences if not is_withheld(sentence, known)] == []


@pytest.mark.parametrize(("result", "known"), RESULTS.items(), ids=list(RESULTS))
def test_no_true_sentence_is_withheld(result: str, known: Facts) -> None:
    sentences = read("true_sentences.txt")[result]
    assert len(sentences) >= 30
    assert [sentence for sentence in sentences if is_withheld(sentence, known)] == []


@pytest.mark.parametrize(
    ("taken_up", "is_true"),
    [
        ("In the same direction, the thallium scan (reversible defect) raises it.", True),
        ("In the opposite direction, the thallium scan (reversible defect) raises it.", False),
        ("In the opposite direction, the age (80 years) lowers it.", True),
        ("By the same token, the age (80 years) lowers it.", False),
    ],
)
def test_a_direction_is_the_same_or_the_opposite_of_the_sentence_before(taken_up: str, is_true: bool) -> None:
    text = f"The risk level is High. The ST depression (3.5 mm) raises the score most. {taken_up}"
    with pytest.raises(GuardError) as raised:
        check_whole(text, HIGH)
    assert (Rule.DIRECTIONS not in raised.value.rules) is is_true
