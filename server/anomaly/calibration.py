"""From a raw isolation score to the share of disease-free patients who are less anomalous, and to a risk level."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import product
from math import ceil, exp
from typing import Self

import numpy as np
from scipy.stats import beta

from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, rows_of

SPLIT_AGE = 55
"""Years from which calibration by age counts a patient as older."""

# Calibration patients with every field of a pattern, below which the others stay in: with fewer than 19, not one of
# them stands for 5 %, and no patient could be at High.
LEAST_COMPARABLE = 19

# Of more disease-free patients so many are drawn: the share at High is then within 0.7 % (one standard error), and
# training stays as fast.
MOST_CALIBRATION_PATIENTS = 1000

_TAIL_SHARE = 0.1
_MOST_IN_MEMORY = 256
_AGE = COLUMNS.index("age")
BITS = [1 << column for column in range(len(COLUMNS))]
_IN_INTERVAL = [0.025, 0.975]


@lru_cache(maxsize=_MOST_IN_MEMORY)
def exact_intervals(n: int) -> list[tuple[float, float]]:
    """Return the 95 % interval of a share (0 to 1) of which k of n were counted, for each k from 0 to n.

    Clopper and Pearson (1934), *The use of confidence or fiducial limits illustrated in the case of the binomial*.
    """
    k = np.arange(n + 1)
    low = beta.ppf(_IN_INTERVAL[0], np.maximum(k, 1), n - k + 1)
    high = beta.ppf(_IN_INTERVAL[1], k + 1, np.maximum(n - k, 1))
    low[0], high[n] = 0, 1
    return list(zip(low.tolist(), high.tolist(), strict=True))


class Calibration:
    """From raw scores to anomaly scores, by those of disease-free patients whom the forest was not fitted on.

    ``raw_scores`` holds at least one score, all above zero. ``tail_scale`` is the mean of the top tenth of the scores
    less its smallest; the whole spread where that is zero.
    """

    def __init__(self, raw_scores: Sequence[float]) -> None:
        scores = sorted(raw_scores)
        self.scores = scores
        self._intervals = exact_intervals(len(scores))
        self._knots = sorted(set(scores))
        self._step = 1 / (len(scores) + 1)
        self._shares = [bisect_right(scores, knot) * self._step for knot in self._knots]
        # Beyond the last calibration score nothing is known: an exponential tail keeps the order, a cap would not.
        tail = np.array(scores[-ceil(len(scores) * _TAIL_SHARE) :])
        candidates = (tail.mean() - tail[0], scores[-1] - scores[0], scores[-1])
        self.tail_scale = next(float(scale) for scale in candidates if scale > 0)

    def score(self, raw_score: float) -> float:
        """Return the anomaly score (0 to 1) of a raw score (0 to 1); order is kept at both ends.

        With the n sorted calibration scores c: linear through (c_i, i / (n + 1)), ties taking the upper rank; below
        c_1 raw / c_1 / (n + 1); above c_n 1 - exp(-(raw - c_n) / b) / (n + 1), b being the tail's mean excess.
        """
        knots, shares = self._knots, self._shares
        place = bisect_right(knots, raw_score)
        if place == 0:
            return raw_score / knots[0] * self._step
        if place == len(knots):
            return 1 - exp((knots[-1] - raw_score) / self.tail_scale) * self._step
        way = (raw_score - knots[place - 1]) / (knots[place] - knots[place - 1])
        return shares[place - 1] + way * (shares[place] - shares[place - 1])

    def interval(self, raw_score: float) -> tuple[float, float]:
        """Return where the anomaly score of a raw score lies at 95 %, as far as the size of the calibration set tells.

        It is approximate: each calibration score comes from a forest of its own fold.
        """
        return self._intervals[bisect_right(self.scores, raw_score)]


@cache
def every_pattern() -> BoolArray:
    """Return every missingness pattern there can be, shape (2048, 13): true where a field was not measured."""
    possible = [(False,) if field.required else (False, True) for field in FIELDS.values()]
    return np.array(sorted(product(*possible), key=lambda pattern: np.dot(pattern, BITS)), dtype=np.bool_)


def code_of(values: Sequence[float | None]) -> int:
    """Return the number of the missingness pattern of a patient's 13 fields, ``None`` where not measured."""
    return sum(bit for bit, value in zip(BITS, values, strict=True) if value is None) if None in values else 0


def codes_of(patterns: BoolArray) -> list[int]:
    """Return the numbers of patterns of shape (p, 13)."""
    codes: list[int] = (patterns @ np.array(BITS)).tolist()
    return codes


def compared(patterns: BoolArray, scores: FloatArray, values: FloatArray) -> FloatArray:
    """Return the scores, shape (p, n), of patients of shape (n, 13) with NaN for those whom a pattern leaves out.

    Who lacks a field that a pattern has is left out; nobody is where too few would remain.
    """
    complete = ~(np.isnan(values) & ~patterns[:, np.newaxis, :]).any(axis=2)
    has_too_few = complete.sum(axis=1, keepdims=True) < LEAST_COMPARABLE
    return np.where(complete | has_too_few, scores, np.nan)


class CalibrationByPattern:
    """A calibration for each missingness pattern: patients are compared with others who had the same fields blanked.

    Compared with fully measured patients, one with gaps looks healthier than they, and alarms become rare. This is
    CP-MDA-Exact of Zaffran, Dieuleveut, Josse and Romano (2023), *Conformal Prediction with Missing Values*, section 4:
    a calibration patient who lacks a field that the pattern has is left out, as long as ``LEAST_COMPARABLE`` others
    remain. With two age bands it is Mondrian as well (Vovk, Gammerman and Shafer 2005, section 4.5).

    Parameters
    ----------
    patterns
        Shape (p, 13), true where a field was not measured.
    scores
        For each age band, younger first, or for all ages together, the raw scores of the calibration patients with
        the fields of each pattern blanked, shape (p, n); NaN for those who are left out.
    """

    def __init__(self, patterns: BoolArray, scores: Sequence[FloatArray]) -> None:
        self.scores = tuple(np.sort(band, axis=1) for band in scores)
        self._rows = {code: row for row, code in enumerate(codes_of(patterns))}
        # Made when first asked for: of 2,048 patterns a clinic meets a few, and all at once would slow the start.
        self._calibration = lru_cache(_MOST_IN_MEMORY)(self._made)

    @classmethod
    def fit(cls, patterns: BoolArray, scores: FloatArray, values: FloatArray, *, by_age: bool) -> Self:
        """Take the out-of-fold raw scores, shape (p, n), of calibration patients of shape (n, 13)."""
        is_older = values[:, _AGE] >= SPLIT_AGE
        bands = [~is_older, is_older] if by_age else [np.ones(len(values), dtype=np.bool_)]
        return cls(patterns, [compared(patterns, scores[:, band], values[band]) for band in bands])

    @property
    def patients(self) -> tuple[int, ...]:
        """How many calibration patients each age band has."""
        return tuple(band.shape[1] for band in self.scores)

    def of(self, values: Sequence[float | None]) -> Calibration:
        """Return the calibration for a patient's 13 fields.

        Raises
        ------
        LookupError
            When the patient has a missingness pattern that this was not fitted for.
        """
        age = values[_AGE]
        band = len(self.scores) > 1 and age is not None and age >= SPLIT_AGE
        return self._calibration(int(band), code_of(values))

    def score(self, values: FloatArray, raw_scores: FloatArray) -> FloatArray:
        """Return the anomaly scores (0 to 1), shape (n,), of patients of shape (n, 13) and their raw scores."""
        pairs = zip(rows_of(values), raw_scores.tolist(), strict=True)
        return np.array([self.of(row).score(raw_score) for row, raw_score in pairs], dtype=np.float64)

    def _made(self, band: int, code: int) -> Calibration:
        # Those who lack a field of the pattern are NaN, and are not compared with.
        scores = self.scores[band][self._rows[code]]
        return Calibration(scores[~np.isnan(scores)].tolist())


def alarm_interval(patients: int, threshold: float) -> tuple[float, float]:
    """Return between which shares (0 to 1), at 95 %, the disease-free at or above a threshold of the score truly lie.

    Calibrated on few patients, the share by design holds on average over calibration sets alone: for one set it follows
    a beta distribution (Vovk 2012, *Conditional validity of inductive conformal predictors*, section 2).
    """
    alarms = beta((patients + 1) * (1 - threshold), (patients + 1) * threshold)
    low, high = alarms.ppf(_IN_INTERVAL)
    return float(low), float(high)


def risk_level(anomaly_score: float, thresholds: Thresholds) -> RiskLevel:
    """Return the level of an anomaly score; a threshold belongs to the level above it."""
    if anomaly_score >= thresholds.high:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if anomaly_score >= thresholds.medium else RiskLevel.LOW
