"""Facts for tests of the explanations, and what a well-behaved language model writes about them."""

from common.messages import RiskLevel, Thresholds
from server.explanation.facts import Direction, Factor, Facts, value_in_words
from server.explanation.meanings import meaning_of
from tests.support.patients import typical_patient

THRESHOLDS = Thresholds(medium=0.8, high=0.95)
TYPICAL: dict[str, float] = {
    "age": 52, "sex": 1, "chest_pain_type": 3, "resting_bp": 130, "cholesterol": 234, "fasting_blood_sugar_high": 0,
    "resting_ecg": 0, "max_heart_rate": 161, "exercise_angina": 0, "st_depression": 0.2, "st_slope": 1,
    "major_vessels": 0, "thallium_scan": 3,
}  # fmt: skip


def factor(name: str, value: float, direction: Direction) -> Factor:
    record = typical_patient(TYPICAL, **{name: value})
    return Factor(name, value_in_words(name, value), direction, meaning_of(name, record))


USUAL = (
    factor("st_depression", 3.5, "raises"),
    factor("thallium_scan", 7, "raises"),
    factor("max_heart_rate", 171, "lowers"),
    factor("resting_ecg", 2, "raises"),
    factor("fasting_blood_sugar_high", 1, "raises"),
)


def facts(
    level: RiskLevel = RiskLevel.HIGH,
    score: float = 0.987654,
    *,
    factors: tuple[Factor, ...] = USUAL,
    not_measured: tuple[str, ...] = (),
    extrapolated: tuple[str, ...] = (),
) -> Facts:
    return Facts(level, score, THRESHOLDS, factors, not_measured, extrapolated)


GOOD_TEXT = (
    "The risk level is High, with an anomaly score of [[anomaly_score]] against a threshold of [[threshold]]. "
    "The ST depression ([[st_depression]]) and the thallium scan ([[thallium_scan]]) raise the score. "
    "The maximum heart rate ([[max_heart_rate]]) lowers it."
)
GOOD_TEXT_FILLED = (
    "The risk level is High, with an anomaly score of 0.98 against a threshold of 0.95. "
    "The ST depression (3.5 mm) and the thallium scan (reversible defect) raise the score. "
    "The maximum heart rate (171 beats/min) lowers it."
)
