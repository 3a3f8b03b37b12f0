"""From the figures of the folds to those of the evaluation, with their intervals."""

import math
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from common.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.evaluation_figures import SHOWN, Confusion, Estimate, Evaluation, Figure, Rates
from server.anomaly.intervals import over_folds
from server.evaluation.folds import RANDOM_PATIENTS, FoldResult
from server.evaluation.measures import confusion, group_rates, levels_of, rates, subgroups
from server.evaluation.splits import can_be_stratified

_LOWEST = {"auroc_less_logistic_regression": -1.0}
_HIGHEST = {"top_three_against_random": math.inf}


def evaluation_of(dataset: Dataset, results: Sequence[FoldResult], thresholds: Thresholds, folds: int) -> Evaluation:
    """Return all figures of the results of some repeats of so many folds."""
    has_disease, repeats = dataset.has_disease, len(results) // folds
    figures = {}
    for name in SHOWN:
        ours = _together(name, [result.ours for result in results], folds)
        usual = _together(name, [result.usual for result in results], folds)
        if ours.value is not None:
            figures[name] = Figure(ours=ours, usual=usual if name in results[0].usual else None)

    def rates_from(members: BoolArray, threshold: float) -> Rates:
        by_fold = []
        for result in results:
            inside = members[result.held_out]
            by_fold.append(rates(result.anomaly[inside] >= threshold, has_disease[result.held_out][inside]))
        return Rates(**{name: over_folds([fold[name] for fold in by_fold], folds) for name in by_fold[0]})

    levels = levels_of(np.concatenate([result.anomaly for result in results]), thresholds)
    counted = confusion(has_disease[np.concatenate([result.held_out for result in results])], levels)
    return Evaluation(
        folds=folds,
        repeats=repeats,
        stratified=can_be_stratified(dataset, folds),
        disease_free=int((~has_disease).sum()),
        with_disease=int(has_disease.sum()),
        figures=figures,
        groups=group_rates(subgroups(dataset.values), has_disease, thresholds, rates_from),
        # Every repeat has held out every patient: divided by their number, the counts are those of one.
        confusion=Confusion(**{label: {at: n / repeats for at, n in row.items()} for label, row in counted.items()}),
        additivity_patients=folds * ceil(RANDOM_PATIENTS / folds),
    )


def _together(name: str, by_fold: Sequence[Mapping[str, float]], folds: int) -> Estimate:
    figures = [fold.get(name, math.nan) for fold in by_fold]
    if name == "additivity_gap":
        # The worst fold counts, and not the mean: one patient whose contributions do not add up is one too many.
        return Estimate(value=max((figure for figure in figures if not math.isnan(figure)), default=None))
    return over_folds(figures, folds, lowest=_LOWEST.get(name, 0), highest=_HIGHEST.get(name, 1))


def held_out_scores(dataset: Dataset, results: Sequence[FoldResult]) -> FloatArray:
    """Return each patient's anomaly score, shape (n,), from the last of the folds in which it was held out."""
    scores = np.empty(len(dataset.values))
    for result in results:
        scores[result.held_out] = result.anomaly
    return scores
