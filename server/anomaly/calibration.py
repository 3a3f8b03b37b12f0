"""From a raw isolation score to the share of disease-free patients who are less anomalous, and to a risk level."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from config.messages import RiskLevel, Thresholds
from server.anomaly.dataset import FloatArray

_TAIL_SHARE = 0.1


@dataclass(frozen=True)
class Calibration:
    """The sorted raw scores of disease-free patients, each by a forest that was not fitted on that patient."""

    sorted_scores: tuple[float, ...]

    @classmethod
    def fit(cls, out_of_fold_scores: Iterable[float]) -> Self:
        """Take the raw scores of the calibration set.

        Raises
        ------
        ValueError
            When there are none, or one is not above zero.
        """
        scores = tuple(sorted(float(score) for score in out_of_fold_scores))
        if not scores or not scores[0] > 0:
            raise ValueError("calibration needs raw scores, all above zero")
        return cls(scores)

    def score(self, raw_scores: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1) of raw scores (0 to 1), same shape; order is kept at both ends.

        With the n sorted calibration scores c: linear through (c_i, i / (n + 1)), ties taking the upper rank; below
        c_1 raw / c_1 / (n + 1); above c_n 1 - exp(-(raw - c_n) / b) / (n + 1), b being the tail's mean excess.
        """
        knots, shares, step = self._knots
        excess = np.maximum(raw_scores - knots[-1], 0) / self.tail_scale
        within = np.interp(raw_scores, knots, shares)
        below = np.where(raw_scores < knots[0], raw_scores / knots[0] * step, within)
        return np.where(raw_scores > knots[-1], 1 - np.exp(-excess) * step, below)

    @cached_property
    def tail_scale(self) -> float:
        """The mean of the top tenth of the scores less its smallest; the whole spread where that is zero."""
        scores = np.asarray(self.sorted_scores)
        tail = scores[-int(np.ceil(scores.size * _TAIL_SHARE)) :]
        candidates = (tail.mean() - tail[0], scores[-1] - scores[0], scores[-1])
        return next(float(scale) for scale in candidates if scale > 0)

    @cached_property
    def _knots(self) -> tuple[FloatArray, FloatArray, float]:
        scores = np.asarray(self.sorted_scores, dtype=np.float64)
        knots = np.unique(scores)
        step = 1 / (scores.size + 1)
        ranks = np.searchsorted(scores, knots, side="right").astype(np.float64)
        return knots, ranks * step, step


def risk_level(anomaly_score: float, thresholds: Thresholds) -> RiskLevel:
    """Return the level of an anomaly score; a threshold belongs to the level above it."""
    if anomaly_score >= thresholds.high:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if anomaly_score >= thresholds.medium else RiskLevel.LOW
