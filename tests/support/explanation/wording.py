"""What the phrasings have in common: findings as clinicians write them, lists, and where a score stands."""

from collections.abc import Callable, Sequence
from functools import wraps
from random import Random

from common.messages import RiskLevel
from server.explanation.facts import Direction, Factor, Facts, score_in_words, share_in_words
from server.explanation.template import label_in_sentence

Item = Callable[[Factor], str]
Phrasing = Callable[[Facts], str]
Writer = Callable[[Facts, Random], str]


def every_time(phrasing: Phrasing) -> Writer:
    """Return the writer that always words facts the same way."""

    @wraps(phrasing)
    def write(facts: Facts, random: Random) -> str:
        return phrasing(facts)

    return write


def chosen(facts: Facts, direction: Direction) -> list[Factor]:
    """Return those of the first three factors that have a direction."""
    return [factor for factor in facts.factors[:3] if factor.direction == direction]


def joined(factors: Sequence[Factor], item: Item) -> str:
    items = [item(factor) for factor in factors]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def verb(factors: Sequence[Factor], singular: str, plural: str) -> str:
    return singular if len(factors) == 1 else plural


def label(factor: Factor) -> str:
    return label_in_sentence(factor.label)


def in_brackets(factor: Factor) -> str:
    return f"{label(factor)} ({factor.value})"


def the(factor: Factor) -> str:
    """Return ``the resting ECG (normal)``; what is not counted goes without the article."""
    bare = factor.name in {"age", "sex", "exercise_angina", "fasting_blood_sugar_high", "major_vessels"}
    return in_brackets(factor) if bare else f"the {in_brackets(factor)}"


def with_of(factor: Factor) -> str:
    """Return ``serum cholesterol of 286 mg/dL``, and brackets where a value is no quantity."""
    is_quantity = factor.value[:1].isdigit() and factor.name != "major_vessels" and "older" not in factor.value
    return f"{label(factor)} of {factor.value}" if is_quantity else in_brackets(factor)


def dictated(factor: Factor) -> str:
    """Return a finding as it is dictated into a letter."""
    if factor.imputed:
        return f"{label(factor)} (not measured)"
    value = factor.value
    return {
        "age": f"an age of {value}",
        "sex": f"{value} sex",
        "chest_pain_type": f"chest pain type ({value})",
        "resting_bp": f"a resting blood pressure of {value.replace('mm Hg', 'mmHg')}",
        "cholesterol": f"a serum cholesterol of {value}",
        "fasting_blood_sugar_high": f"fasting blood sugar over 120 mg/dL ({value})",
        "resting_ecg": f"a resting ECG with {value}" if value != "normal" else "a normal resting ECG",
        "max_heart_rate": f"a maximum heart rate of {value.replace('beats/min', 'bpm')}",
        "exercise_angina": "exercise-induced angina" if value == "yes" else "no exercise-induced angina",
        "st_depression": f"{value} of ST depression",
        "st_slope": f"an ST segment slope that is {value}",
        "major_vessels": f"{value} major vessels on fluoroscopy" if value != "1" else "1 major vessel on fluoroscopy",
        "thallium_scan": f"a {value} on the thallium scan" if value != "normal" else "a normal thallium scan",
    }[factor.name]


def score(facts: Facts) -> str:
    return score_in_words(facts.anomaly_score)


def share(facts: Facts) -> str:
    return share_in_words(facts.anomaly_score)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def place(facts: Facts) -> str:
    """Say where the score stands, as the plainest clause that is true."""
    medium, high = f"{facts.thresholds.medium:g}", f"{facts.thresholds.high:g}"
    return {
        RiskLevel.HIGH: f"at or above the High threshold of {high}",
        RiskLevel.MEDIUM: f"at or above the Medium threshold of {medium} but below the High threshold of {high}",
        RiskLevel.LOW: f"below the Medium threshold of {medium}",
    }[facts.level]


def deciding_threshold(facts: Facts) -> str:
    """Return the threshold that the level is judged by: High's for High, Medium's otherwise."""
    return f"{facts.thresholds.high if facts.level is RiskLevel.HIGH else facts.thresholds.medium:g}"


def others(facts: Facts) -> list[str]:
    """Name the fields that were not measured and are none of the first three factors."""
    stated = {factor.label for factor in facts.factors[:3]}
    return [label_in_sentence(name) for name in facts.not_measured if name not in stated]


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def verb_of(names: Sequence[str], singular: str, plural: str) -> str:
    return singular if len(names) == 1 else plural


def spelled(factor: Factor) -> str:
    """Return a finding with a small count in words: ``two major vessels``."""
    if factor.name == "major_vessels" and not factor.imputed:
        count = ("no", "one", "two", "three")[int(factor.value)]
        return f"{count} major {'vessel' if factor.value == '1' else 'vessels'}"
    return in_brackets(factor)
