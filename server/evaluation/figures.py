"""From the results of the folds to the figures, by level and by subgroup."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from common.evaluation_figures import Confusion, Estimate, Evaluation, Figure, GroupRates, Rates
from common.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.intervals import over_folds
from server.evaluation.folds import FoldResult
from server.evaluation.measures import LevelArray, confusion, levels_of, rates, sensitivity_at, subgroups
from server.evaluation.splits import can_be_stratified

SPECIFICITY = 0.9
USUAL_MEDIUM, USUAL_HIGH = 0.5, 0.6
"""Raw scores from which the usual isolation forest, which has no calibration, is taken to say Medium and High."""

_Judge = Callable[[BoolArray, Sequence[float]], float]
"""Works a figure out from labels and scores."""


class Summary:
    """The figures of some folds' results, worked out one by one."""

    def __init__(self, dataset: Dataset, results: Sequence[FoldResult], thresholds: Thresholds, folds: int) -> None:
        self._dataset = dataset
        self._results = results
        self._thresholds = thresholds
        self._folds = folds
        self._labels = [dataset.has_disease[result.held_out] for result in results]

    def evaluation(self) -> Evaluation:
        figures = self._separation() | self._alarms() | self._blanked() | self._steadiness() | self._explanation()
        everybody = self._dataset.has_disease
        return Evaluation(
            folds=self._folds,
            repeats=len(self._results) // self._folds,
            stratified=can_be_stratified(self._dataset, self._folds),
            disease_free=int((~everybody).sum()),
            with_disease=int(everybody.sum()),
            figures={name: figure for name, figure in figures.items() if figure.ours.value is not None},
            groups=[self._group(name, members) for name, members in subgroups(self._dataset.values).items()],
            confusion=self._confusion(),
            additivity_patients=sum(r.explained.random_patients for r in self._results if r.explained),
        )

    def _separation(self) -> dict[str, Figure]:
        ours = [result.anomaly for result in self._results]
        usual = [result.usual.raw for result in self._results]
        return {
            "auroc": self._judged(_auroc, ours, usual),
            "sensitivity_at_90_specificity": self._judged(_sensitivity_at_specificity, ours, usual),
            "auprc": self._judged(_auprc, ours, usual),
            "auroc_less_logistic_regression": self._distance_to_labels(ours, usual),
        }

    def _distance_to_labels(self, ours: Sequence[Sequence[float]], usual: Sequence[Sequence[float]]) -> Figure:
        supervised = [
            _auroc(labels, result.supervised) if result.supervised else math.nan
            for labels, result in zip(self._labels, self._results, strict=True)
        ]

        def distances(scores: Sequence[Sequence[float]]) -> Estimate:
            by_fold = [own - other for own, other in zip(self._by_fold(_auroc, scores), supervised, strict=True)]
            return self._over(by_fold, lowest=-1)

        return Figure(ours=distances(ours), usual=distances(usual))

    def _alarms(self) -> dict[str, Figure]:
        ours = [result.anomaly for result in self._results]
        usual = [result.usual.raw for result in self._results]
        return self._levels_of(ours, usual)

    def _blanked(self) -> dict[str, Figure]:
        """Return what becomes of patients whose slope, vessels and thallium scan are taken as not measured."""
        ours = [result.blanked_anomaly for result in self._results]
        usual = [result.usual.blanked for result in self._results]
        figures = {"auroc": self._judged(_auroc, ours, usual)} | self._levels_of(ours, usual)
        return {f"blanked_{name}": figure for name, figure in figures.items()}

    def _levels_of(self, ours: Sequence[Sequence[float]], usual: Sequence[Sequence[float]]) -> dict[str, Figure]:
        thresholds = {
            "medium_or_higher": (self._thresholds.medium, USUAL_MEDIUM),
            "high": (self._thresholds.high, USUAL_HIGH),
        }
        return {
            f"{rate}_{level}": self._judged(_rate_at(rate, own), ours, usual, _rate_at(rate, other))
            for rate in ("false_alarm_rate", "sensitivity")
            for level, (own, other) in thresholds.items()
        }

    def _judged(
        self,
        judge: _Judge,
        ours: Sequence[Sequence[float]],
        usual: Sequence[Sequence[float]],
        judge_usual: _Judge | None = None,
    ) -> Figure:
        return Figure(
            ours=self._over(self._by_fold(judge, ours)),
            usual=self._over(self._by_fold(judge_usual or judge, usual)),
        )

    def _by_fold(self, judge: _Judge, scores: Sequence[Sequence[float]]) -> list[float]:
        return [judge(labels, of_fold) for labels, of_fold in zip(self._labels, scores, strict=True)]

    def _steadiness(self) -> dict[str, Figure]:
        again = [(result, result.second_seed) for result in self._results if result.second_seed is not None]
        changes = [float(np.mean(self._levels(first.anomaly) != self._levels(other.anomaly))) for first, other in again]
        lowering, usual_lowering = (
            self._over([s.steps_lowering / s.steps_worse if s.steps_worse else math.nan for s in forests])
            for forests in ([result.ours for result in self._results], [result.usual for result in self._results])
        )
        return {
            "two_seeds_spearman": Figure(
                ours=self._over([spearman(first.ours.raw, other.raw) for first, other in again]),
                usual=self._over([spearman(first.usual.raw, other.usual_raw) for first, other in again]),
            ),
            "two_seeds_level_changes": Figure(ours=self._over(changes)),
            "worse_finding_lowers": Figure(ours=lowering, usual=usual_lowering),
        }

    def _explanation(self) -> dict[str, Figure]:
        explained = [(result.anomaly, result.explained) for result in self._results if result.explained is not None]
        if not explained:
            return {}
        against_random, against_best = [], []
        for anomaly, falls in explained:
            flagged = np.array(anomaly) >= self._thresholds.medium
            top, random, best = (np.array(f)[flagged] for f in (falls.top_fall, falls.random_fall, falls.best_fall))
            against_random.append(_ratio(top, random))
            against_best.append(_ratio(top, best))
        return {
            "additivity_gap": Figure(ours=Estimate(value=max(falls.largest_gap for _, falls in explained))),
            "top_three_against_random": Figure(ours=self._over(against_random, highest=math.inf)),
            "top_three_against_best": Figure(ours=self._over(against_best)),
        }

    def _group(self, name: str, members: BoolArray) -> GroupRates:
        has_disease = self._dataset.has_disease[members]
        return GroupRates(
            name=name,
            disease_free=int((~has_disease).sum()),
            with_disease=int(has_disease.sum()),
            medium_or_higher=self._rates_over(members, self._thresholds.medium),
            high=self._rates_over(members, self._thresholds.high),
        )

    def _rates_over(self, members: BoolArray, threshold: float) -> Rates:
        by_fold = []
        for result, labels in zip(self._results, self._labels, strict=True):
            chosen = members[result.held_out]
            by_fold.append(rates(np.array(result.anomaly)[chosen] >= threshold, labels[chosen]))
        return Rates(**{name: self._over([fold[name] for fold in by_fold]) for name in by_fold[0]})

    def _confusion(self) -> Confusion:
        levels = np.concatenate([self._levels(result.anomaly) for result in self._results])
        repeats = len(self._results) // self._folds
        counted = confusion(np.concatenate(self._labels), levels)
        shares = {label: {level: n / repeats for level, n in row.items()} for label, row in counted.items()}
        return Confusion.model_validate(shares)

    def _levels(self, anomaly: Sequence[float]) -> LevelArray:
        return levels_of(np.array(anomaly), self._thresholds)

    def _over(self, by_fold: Sequence[float], *, lowest: float = 0, highest: float = 1) -> Estimate:
        return over_folds(by_fold, self._folds, lowest=lowest, highest=highest)


def held_out_scores(dataset: Dataset, results: Sequence[FoldResult]) -> FloatArray:
    """Return each patient's anomaly score, shape (n,), from the last of the folds in which it was held out."""
    scores = np.empty(len(dataset.values))
    for result in results:
        scores[result.held_out] = result.anomaly
    return scores


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's rank correlation (-1 to 1)."""
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])


def _auroc(has_disease: BoolArray, scores: Sequence[float]) -> float:
    return float(roc_auc_score(has_disease, scores)) if _has_both(has_disease) else math.nan


def _auprc(has_disease: BoolArray, scores: Sequence[float]) -> float:
    return float(average_precision_score(has_disease, scores)) if _has_both(has_disease) else math.nan


def _sensitivity_at_specificity(has_disease: BoolArray, scores: Sequence[float]) -> float:
    return sensitivity_at(SPECIFICITY, has_disease, np.array(scores)) if _has_both(has_disease) else math.nan


def _rate_at(rate: str, threshold: float) -> _Judge:
    return lambda has_disease, scores: rates(np.array(scores) >= threshold, has_disease)[rate]


def _has_both(has_disease: BoolArray) -> bool:
    return bool(has_disease.any() and not has_disease.all())


def _ratio(falls: FloatArray, others: FloatArray) -> float:
    """Return the ratio of two mean falls; NaN where there is none."""
    return float(falls.mean() / others.mean()) if others.any() else math.nan
