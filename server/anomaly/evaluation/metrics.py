"""How well patients are told apart: AUROC, sensitivity at a specificity, and false alarms and sensitivity by level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from config.messages import RiskLevel, Thresholds
from config.patient import FIELDS
from server.anomaly.calibration import risk_level
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray

LevelArray = NDArray[np.str_]

_ROUNDING = 1e-12
_MIDDLE, _OLD = 50, 60


@dataclass(frozen=True)
class HeldOutFold:
    """Patients that neither forest nor calibration had seen: label, raw score and anomaly score, each of shape (n,)."""

    has_disease: BoolArray
    raw_scores: FloatArray
    anomaly_scores: FloatArray


def evaluate(folds: Sequence[HeldOutFold], thresholds: Thresholds) -> dict[str, Any]:
    """Return the figures as plain JSON.

    ``auroc`` is the mean of the folds' own; the rates (0 to 1) are over all held-out patients together.
    """
    has_disease = np.concatenate([fold.has_disease for fold in folds])
    scores = np.concatenate([fold.anomaly_scores for fold in folds])
    by_fold = [float(roc_auc_score(fold.has_disease, fold.raw_scores)) for fold in folds]
    return {
        "method": f"stratified {len(folds)}-fold, forest and calibration fitted on the other folds' disease-free",
        "patients": int(has_disease.size),
        "disease_free": int((~has_disease).sum()),
        "with_disease": int(has_disease.sum()),
        "auroc": float(np.mean(by_fold)),
        "auroc_by_fold": by_fold,
        "medium_or_higher": rates(scores >= thresholds.medium, has_disease),
        "high": rates(scores >= thresholds.high, has_disease),
    }


def rates(is_alarm: BoolArray, has_disease: BoolArray) -> dict[str, float]:
    """Return the shares (0 to 1) of the patients without and with disease that raise an alarm."""
    return {"false_alarm_rate": share(is_alarm[~has_disease]), "sensitivity": share(is_alarm[has_disease])}


def share(is_so: BoolArray) -> float:
    """Return the share (0 to 1) that is true; NaN of none."""
    return float(is_so.mean()) if is_so.size else math.nan


def sensitivity_at(specificity: float, has_disease: BoolArray, scores: FloatArray) -> float:
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
        for name, labelled in (("disease-free", ~has_disease), ("with disease", has_disease))
    }


def subgroups(values: FloatArray) -> dict[str, BoolArray]:
    """Return who belongs to each subgroup by sex and by age, of patients of shape (n, 13)."""
    sex, age = values[:, COLUMNS.index("sex")], values[:, COLUMNS.index("age")]
    sexes = {word: sex == code for code, word in FIELDS["sex"].codes.items()}
    bands = (f"age under {_MIDDLE}", f"age {_MIDDLE} to {_OLD - 1}", f"age {_OLD} and over")
    within = (age < _MIDDLE, (age >= _MIDDLE) & (age < _OLD), age >= _OLD)
    return sexes | dict(zip(bands, within, strict=True))


def as_table(metrics: dict[str, Any], thresholds: Thresholds) -> str:
    """Lay the figures out for people to read, the false-alarm rates beside those the thresholds were chosen for."""
    lines = [
        f"Held-out evaluation ({metrics['method']})",
        f"  patients      {metrics['patients']} "
        f"({metrics['disease_free']} disease-free, {metrics['with_disease']} with disease)",
        f"  AUROC         {metrics['auroc']:.3f} "
        f"(folds {min(metrics['auroc_by_fold']):.3f} to {max(metrics['auroc_by_fold']):.3f})",
        "",
        f"  {'level':<16}{'from score':>11}{'false alarms':>14}{'by design':>11}{'sensitivity':>13}",
        _level_line("Medium or higher", thresholds.medium, metrics["medium_or_higher"]),
        _level_line("High", thresholds.high, metrics["high"]),
    ]
    return "\n".join(lines)


def _level_line(level: str, threshold: float, rates: dict[str, float]) -> str:
    return (
        f"  {level:<16}{threshold:>11.2f}{rates['false_alarm_rate']:>14.1%}"
        f"{1 - threshold:>11.0%}{rates['sensitivity']:>13.1%}"
    )
