"""How well patients are told apart: the figures of a forest in one fold, and false alarms and sensitivity by level."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

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


def forest_figures(
    scores: FloatArray,
    blanked: FloatArray,
    supervised: FloatArray | None,
    has_disease: BoolArray,
    thresholds: Thresholds,
) -> dict[str, float]:
    """Return the figures of held-out patients by name; NaN where one needs labels of both kinds, and these are of one.

    ``scores`` are of the patients as they are, ``blanked`` with three tests not measured, and ``supervised`` those of a
    classifier that saw labels, if there is one; all have the shape (n,).
    """

    def judged(figure: Callable[[BoolArray, FloatArray], float], given: FloatArray | None) -> float:
        has_both = has_disease.any() and not has_disease.all()
        return float(figure(has_disease, given)) if has_both and given is not None else math.nan

    figures = {
        "auroc": judged(roc_auc_score, scores),
        "sensitivity_at_90_specificity": judged(sensitivity_at, scores),
        "auprc": judged(average_precision_score, scores),
        "auroc_less_logistic_regression": judged(roc_auc_score, scores) - judged(roc_auc_score, supervised),
        "blanked_auroc": judged(roc_auc_score, blanked),
    }
    for prefix, given in (("", scores), ("blanked_", blanked)):
        for level, threshold in by_level(thresholds).items():
            by_rate = rates(given >= threshold, has_disease)
            figures |= {f"{prefix}{rate}_{level}": value for rate, value in by_rate.items()}
    return figures


def rates(is_alarm: BoolArray, has_disease: BoolArray) -> dict[str, float]:
    """Return the shares (0 to 1) of the patients without and with disease that raise an alarm; NaN of none."""
    groups = {"false_alarm_rate": is_alarm[~has_disease], "sensitivity": is_alarm[has_disease]}
    return {name: float(group.mean()) if group.size else math.nan for name, group in groups.items()}


def sensitivity_at(has_disease: BoolArray, scores: FloatArray, specificity: float = SPECIFICITY) -> float:
    """Return the highest sensitivity (0 to 1) of a threshold that keeps a specificity (0 to 1)."""
    # All points of the curve: one that scikit-learn would drop as intermediate may be the last that is allowed.
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
    return sexes | {
        f"age under {_MIDDLE}": age < _MIDDLE,
        f"age {_MIDDLE} to {_OLD - 1}": (age >= _MIDDLE) & (age < _OLD),
        f"age {_OLD} and over": age >= _OLD,
    }


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
