"""How well patients are told apart: sensitivity at a specificity, and false alarms and sensitivity by level."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.calibration import risk_level
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray
from server.anomaly.evaluation_figures import GroupRates, Rates

LevelArray = NDArray[np.str_]

SPECIFICITY = 0.9
_ROUNDING = 1e-12
_MIDDLE, _OLD = 50, 60


def by_level(thresholds: Thresholds) -> dict[str, float]:
    """Return the two scores from which there is an alarm, by the name of the level."""
    return {"medium_or_higher": thresholds.medium, "high": thresholds.high}


def rates(is_alarm: BoolArray, has_disease: BoolArray) -> dict[str, float]:
    """Return the shares (0 to 1) of the patients without and with disease that raise an alarm."""
    return {"false_alarm_rate": share(is_alarm[~has_disease]), "sensitivity": share(is_alarm[has_disease])}


def share(is_so: BoolArray) -> float:
    """Return the share (0 to 1) that is true; NaN of none."""
    return float(is_so.mean()) if is_so.size else math.nan


def sensitivity_at(has_disease: BoolArray, scores: FloatArray, specificity: float = SPECIFICITY) -> float:
    """Return the highest sensitivity (0 to 1) of a threshold that keeps a specificity (0 to 1)."""
    false_alarms, sensitivities, _ = roc_curve(has_disease, scores, drop_intermediate=False)
    return float(sensitivities[false_alarms <= 1 - specificity + _ROUNDING].max())


def levels_of(anomaly_scores: FloatArray, thresholds: Thresholds) -> LevelArray:
    """Return the risk levels of anomaly scores, shape (n,)."""
    return np.array([risk_level(score, thresholds).value for score in anomaly_scores.tolist()], dtype=np.str_)


def confusion(has_disease: BoolArray, levels: LevelArray) -> dict[str, dict[str, int]]:
    """Count the patients without and with disease at each level."""
    return {
        name: {level.value: int((levels[labelled] == level.value).sum()) for level in RiskLevel}
        for name, labelled in (("disease_free", ~has_disease), ("with_disease", has_disease))
    }


def subgroups(values: FloatArray) -> dict[str, BoolArray]:
    """Return who belongs to each subgroup by sex and by age, of patients of shape (n, 13)."""
    sex, age = values[:, COLUMNS.index("sex")], values[:, COLUMNS.index("age")]
    sexes = {word: sex == code for code, word in FIELDS["sex"].codes.items()}
    bands = (f"age under {_MIDDLE}", f"age {_MIDDLE} to {_OLD - 1}", f"age {_OLD} and over")
    within = (age < _MIDDLE, (age >= _MIDDLE) & (age < _OLD), age >= _OLD)
    return sexes | dict(zip(bands, within, strict=True))


def group_rates(
    groups: Mapping[str, BoolArray],
    has_disease: BoolArray,
    thresholds: Thresholds,
    rates_from: Callable[[BoolArray, float], Rates],
) -> list[GroupRates]:
    """Return how groups of patients fare; ``rates_from`` is given the members and the score that is an alarm."""
    return [
        GroupRates(
            name=name,
            disease_free=int((members & ~has_disease).sum()),
            with_disease=int((members & has_disease).sum()),
            medium_or_higher=rates_from(members, thresholds.medium),
            high=rates_from(members, thresholds.high),
        )
        for name, members in groups.items()
    ]
