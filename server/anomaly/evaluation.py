"""How well held-out patients are told apart: AUROC, and false alarms and sensitivity by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from config.messages import Thresholds
from server.anomaly.dataset import BoolArray, FloatArray


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
        "medium_or_higher": _rates(scores >= thresholds.medium, has_disease),
        "high": _rates(scores >= thresholds.high, has_disease),
    }


def _rates(is_alarm: BoolArray, has_disease: BoolArray) -> dict[str, float]:
    return {
        "false_alarm_rate": float(is_alarm[~has_disease].mean()),
        "sensitivity": float(is_alarm[has_disease].mean()),
    }


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
