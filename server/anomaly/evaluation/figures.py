"""From the results of the folds to the figures, each beside its target, by level and by subgroup."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from config.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.evaluation.folds import FoldResult, Scores
from server.anomaly.evaluation.intervals import Estimate, GroupRates, over_folds
from server.anomaly.evaluation.metrics import LevelArray, confusion, levels_of, rates, sensitivity_at, subgroups

SPECIFICITY = 0.9


@dataclass(frozen=True)
class Target:
    """The value a figure must reach, or must not exceed."""

    limit: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """A measured figure, its target, and the same figure of the usual isolation forest where it is worked out."""

    name: str
    target: Target
    ours: Estimate
    usual: Estimate | None = None
    style: str = ".3f"
    target_style: str = "g"

    @property
    def is_met(self) -> bool:
        return self.target.is_met(self.ours.value)


@dataclass(frozen=True)
class Evaluation:
    """All figures of a repeated cross-validation. ``confusion`` holds, by label, the patients at each level on average
    over the repeats."""

    folds: int
    repeats: int
    figures: Sequence[Figure]
    groups: Sequence[GroupRates]
    confusion: Mapping[str, Mapping[str, float]]


class Summary:
    """The figures of some folds' results, worked out one by one."""

    def __init__(self, dataset: Dataset, results: Sequence[FoldResult], thresholds: Thresholds, folds: int) -> None:
        self._dataset = dataset
        self._results = results
        self._thresholds = thresholds
        self._folds = folds

    def evaluation(self) -> Evaluation:
        return Evaluation(
            folds=self._folds,
            repeats=len(self._results) // self._folds,
            figures=[*self._separation(), *self._alarms(), *self._steadiness(), *self._explanation()],
            groups=[self._group(name, members) for name, members in subgroups(self._dataset.values).items()],
            confusion=self._confusion(),
        )

    def _separation(self) -> list[Figure]:
        return [
            self._both("AUROC", Target(0.905, at_least=True), lambda y, s: float(roc_auc_score(y, s.raw))),
            self._both(
                f"sensitivity at {SPECIFICITY:.0%} specificity",
                Target(0.74, at_least=True),
                lambda y, s: sensitivity_at(SPECIFICITY, y, np.array(s.raw)),
            ),
            self._both("AUPRC", Target(0.90, at_least=True), lambda y, s: float(average_precision_score(y, s.raw))),
            self._distance_to_labels(),
            self._both(
                "AUROC, slope, vessels, thallium not measured",
                Target(0.85, at_least=True),
                lambda y, s: float(roc_auc_score(y, s.blanked)),
            ),
        ]

    def _both(self, name: str, target: Target, figure: Callable[[BoolArray, Scores], float]) -> Figure:
        ours = [figure(self._labels(result), result.ours) for result in self._results]
        usual = [figure(self._labels(result), result.usual) for result in self._results]
        return Figure(name, target, self._over(ours), self._over(usual))

    def _distance_to_labels(self) -> Figure:
        supervised = [roc_auc_score(self._labels(result), result.supervised) for result in self._results]

        def distances(scores: Sequence[Scores]) -> Estimate:
            zipped = zip(self._results, scores, supervised, strict=True)
            by_fold = [float(roc_auc_score(self._labels(r), s.raw) - other) for r, s, other in zipped]
            return self._over(by_fold, lowest=-1)

        return Figure(
            "AUROC less logistic regression's with labels",
            Target(-0.01, at_least=True),
            distances([result.ours for result in self._results]),
            distances([result.usual for result in self._results]),
            style="+.3f",
        )

    def _alarms(self) -> list[Figure]:
        everybody = np.ones(len(self._dataset.values), dtype=np.bool_)
        medium, high = (self._rates_over(everybody, threshold) for threshold in self._both_thresholds)
        return [
            Figure("false alarms at Medium or higher", Target(0.23, at_least=False), medium["false_alarm_rate"]),
            Figure("false alarms at High", Target(0.07, at_least=False), high["false_alarm_rate"]),
            Figure("sensitivity at Medium or higher", Target(0.79, at_least=True), medium["sensitivity"]),
            Figure("sensitivity at High", Target(0.62, at_least=True), high["sensitivity"]),
        ]

    def _steadiness(self) -> list[Figure]:
        again = [(result, result.second_seed) for result in self._results if result.second_seed is not None]
        changes = [float(np.mean(self._levels(first.anomaly) != self._levels(other.anomaly))) for first, other in again]
        lowering, usual_lowering = (
            self._over([scores.steps_lowering / scores.steps_worse for scores in forests])
            for forests in ([result.ours for result in self._results], [result.usual for result in self._results])
        )
        return [
            Figure(
                "two seeds: Spearman correlation",
                Target(0.995, at_least=True),
                self._over([spearman(first.ours.raw, other.raw) for first, other in again]),
                self._over([spearman(first.usual.raw, other.usual_raw) for first, other in again]),
                style=".4f",
            ),
            Figure(
                "two seeds: patients whose level changes",
                Target(0.05, at_least=False),
                self._over(changes),
                style=".1%",
                target_style=".0%",
            ),
            Figure(
                "one finding made worse lowers the score",
                Target(0.005, at_least=False),
                lowering,
                usual_lowering,
                style=".2%",
                target_style=".1%",
            ),
        ]

    def _explanation(self) -> list[Figure]:
        explained = [(result.anomaly, result.explained) for result in self._results if result.explained is not None]
        against_random, against_best = [], []
        for anomaly, falls in explained:
            flagged = np.array(anomaly) >= self._thresholds.medium
            top, random, best = (np.array(f)[flagged] for f in (falls.top_fall, falls.random_fall, falls.best_fall))
            against_random.append(_ratio(top, random))
            against_best.append(_ratio(top, best))
        gap = max(falls.largest_gap for _, falls in explained)
        patients = sum(falls.random_patients for _, falls in explained)
        return [
            Figure(
                f"contributions against log2 score, {patients:,} patients",
                Target(1e-9, at_least=False),
                Estimate(gap),
                style=".0e",
            ),
            Figure(
                "top three typical: fall against three at random",
                Target(3, at_least=True),
                self._over(against_random, highest=math.inf),
                style=".2f",
            ),
            Figure(
                "top three typical: fall against the best three",
                Target(0.95, at_least=True),
                self._over(against_best),
            ),
        ]

    def _group(self, name: str, members: BoolArray) -> GroupRates:
        has_disease = self._dataset.has_disease[members]
        medium, high = (self._rates_over(members, threshold) for threshold in self._both_thresholds)
        return GroupRates(name, int((~has_disease).sum()), int(has_disease.sum()), medium, high)

    def _rates_over(self, members: BoolArray, threshold: float) -> dict[str, Estimate]:
        by_fold = []
        for result in self._results:
            chosen = members[result.held_out]
            by_fold.append(rates(np.array(result.anomaly)[chosen] >= threshold, self._labels(result)[chosen]))
        return {name: self._over([fold[name] for fold in by_fold]) for name in by_fold[0]}

    def _confusion(self) -> dict[str, dict[str, float]]:
        has_disease = np.concatenate([self._labels(result) for result in self._results])
        levels = np.concatenate([self._levels(result.anomaly) for result in self._results])
        repeats = len(self._results) // self._folds
        counted = confusion(has_disease, levels)
        return {label: {level: count / repeats for level, count in row.items()} for label, row in counted.items()}

    @property
    def _both_thresholds(self) -> tuple[float, float]:
        return self._thresholds.medium, self._thresholds.high

    def _levels(self, anomaly: Sequence[float]) -> LevelArray:
        return levels_of(np.array(anomaly), self._thresholds)

    def _labels(self, result: FoldResult) -> BoolArray:
        return self._dataset.has_disease[result.held_out]

    def _over(self, by_fold: Sequence[float], *, lowest: float = 0, highest: float = 1) -> Estimate:
        return over_folds(by_fold, self._folds, lowest=lowest, highest=highest)


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's rank correlation (-1 to 1)."""
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])


def _ratio(falls: FloatArray, others: FloatArray) -> float:
    """Return the ratio of two mean falls; NaN where there is none."""
    return float(falls.mean() / others.mean()) if others.any() else math.nan
