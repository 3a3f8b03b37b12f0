"""From the results of the folds to the figures: worked out fold by fold, then put together with their intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from common.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.evaluation_figures import SHOWN, Confusion, Estimate, Evaluation, Figure, Rates
from server.anomaly.intervals import over_folds
from server.evaluation.folds import Explained, FoldResult, Scores
from server.evaluation.measures import by_level, confusion, group_rates, levels_of, rates, sensitivity_at, subgroups
from server.evaluation.splits import can_be_stratified

USUAL = Thresholds(medium=0.5, high=0.6)
"""Raw scores from which the usual isolation forest, which has no calibration, is taken to say Medium and High."""

_LOWEST = {"auroc_less_logistic_regression": -1.0}
_HIGHEST = {"top_three_against_random": math.inf}
_WORST = "additivity_gap"
"""The figure of which the worst fold counts, and not the mean."""


def evaluation_of(dataset: Dataset, results: Sequence[FoldResult], thresholds: Thresholds, folds: int) -> Evaluation:
    """Return all figures of the results of some repeats of so many folds."""
    has_disease = dataset.has_disease
    labels = [has_disease[result.held_out] for result in results]
    ours = [_ours(result, of_fold, thresholds) for result, of_fold in zip(results, labels, strict=True)]
    usual = [_usual(result, of_fold) for result, of_fold in zip(results, labels, strict=True)]
    figures = {
        name: Figure(
            ours=_together(name, ours, folds), usual=_together(name, usual, folds) if name in usual[0] else None
        )
        for name in SHOWN
    }

    def rates_from(members: BoolArray, threshold: float) -> Rates:
        chosen = [members[result.held_out] for result in results]
        by_fold = [
            rates(result.anomaly[inside] >= threshold, of_fold[inside])
            for result, of_fold, inside in zip(results, labels, chosen, strict=True)
        ]
        return Rates(**{name: over_folds([fold[name] for fold in by_fold], folds) for name in by_fold[0]})

    return Evaluation(
        folds=folds,
        repeats=len(results) // folds,
        stratified=can_be_stratified(dataset, folds),
        disease_free=int((~has_disease).sum()),
        with_disease=int(has_disease.sum()),
        figures={name: figure for name, figure in figures.items() if figure.ours.value is not None},
        groups=group_rates(subgroups(dataset.values), has_disease, thresholds, rates_from),
        confusion=_confusion(results, labels, thresholds, len(results) // folds),
        additivity_patients=sum(result.explained.random_patients for result in results if result.explained),
    )


def _together(name: str, by_fold: Sequence[Mapping[str, float]], folds: int) -> Estimate:
    figures = [fold.get(name, math.nan) for fold in by_fold]
    if name == _WORST:
        return Estimate(value=max((figure for figure in figures if not math.isnan(figure)), default=None))
    return over_folds(figures, folds, lowest=_LOWEST.get(name, 0), highest=_HIGHEST.get(name, 1))


def _ours(result: FoldResult, labels: BoolArray, thresholds: Thresholds) -> dict[str, float]:
    """Return the figures of one fold by name; NaN, or none, where the fold has no such figure."""
    calibrated = replace(result.ours, raw=result.anomaly, blanked=result.blanked_anomaly)
    figures = _of_forest(calibrated, result.supervised, labels, thresholds)
    if second := result.second_seed:
        levels, again = (levels_of(anomaly, thresholds) for anomaly in (result.anomaly, second.anomaly))
        figures["two_seeds_spearman"] = spearman(result.ours.raw, second.raw)
        figures["two_seeds_level_changes"] = float(np.mean(levels != again))
    if result.explained:
        figures |= _of_explanation(result.explained, result.anomaly >= thresholds.medium)
    return figures


def _usual(result: FoldResult, labels: BoolArray) -> dict[str, float]:
    """Return the same of the usual forest, as far as it has them."""
    usual, second = result.usual, result.second_seed
    figures = _of_forest(usual, result.supervised, labels, USUAL)
    return figures | {"two_seeds_spearman": spearman(usual.raw, second.usual_raw) if second else math.nan}


def _of_forest(
    scores: Scores, supervised: FloatArray | None, labels: BoolArray, thresholds: Thresholds
) -> dict[str, float]:
    def judged(figure: Callable[[BoolArray, FloatArray], float], given: FloatArray | None) -> float:
        has_both = labels.any() and not labels.all()
        return float(figure(labels, given)) if has_both and given is not None else math.nan

    figures = {
        "auroc": judged(roc_auc_score, scores.raw),
        "sensitivity_at_90_specificity": judged(sensitivity_at, scores.raw),
        "auprc": judged(average_precision_score, scores.raw),
        "auroc_less_logistic_regression": judged(roc_auc_score, scores.raw) - judged(roc_auc_score, supervised),
        "blanked_auroc": judged(roc_auc_score, scores.blanked),
        "worse_finding_lowers": scores.steps_lowering / scores.steps_worse if scores.steps_worse else math.nan,
    }
    for prefix, given in (("", scores.raw), ("blanked_", scores.blanked)):
        for level, threshold in by_level(thresholds).items():
            by_rate = rates(given >= threshold, labels)
            figures |= {f"{prefix}{rate}_{level}": value for rate, value in by_rate.items()}
    return figures


def _of_explanation(falls: Explained, flagged: BoolArray) -> dict[str, float]:
    """Return the figures of the explanation, of the patients that it matters for: those at Medium or higher."""
    top, random, best = (fall[flagged] for fall in (falls.top_fall, falls.random_fall, falls.best_fall))
    return {
        "additivity_gap": falls.largest_gap,
        "top_three_against_random": float(top.mean() / random.mean()) if random.any() else math.nan,
        "top_three_against_best": float(top.mean() / best.mean()) if best.any() else math.nan,
    }


def _confusion(
    results: Sequence[FoldResult], labels: Sequence[BoolArray], thresholds: Thresholds, repeats: int
) -> Confusion:
    levels = levels_of(np.concatenate([result.anomaly for result in results]), thresholds)
    counted = confusion(np.concatenate(labels), levels)
    return Confusion.model_validate(
        {label: {at: n / repeats for at, n in row.items()} for label, row in counted.items()}
    )


def held_out_scores(dataset: Dataset, results: Sequence[FoldResult]) -> FloatArray:
    """Return each patient's anomaly score, shape (n,), from the last of the folds in which it was held out."""
    scores = np.empty(len(dataset.values))
    for result in results:
        scores[result.held_out] = result.anomaly
    return scores


def spearman(one: FloatArray, other: FloatArray) -> float:
    """Return Spearman's rank correlation (-1 to 1)."""
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])
