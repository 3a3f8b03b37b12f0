"""How well patients are told apart: the figures of a forest in one fold, and of all folds with their intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from common.messages import LEVELS, Thresholds
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray, IndexArray
from server.anomaly.evaluation_figures import (
    RATES,
    SHOWN,
    Abstention,
    Estimate,
    Evaluation,
    Figure,
    GroupRates,
    Rates,
    by_level,
)
from server.anomaly.intervals import OfLabels, over_folds
from server.anomaly.sufficiency import Sufficiency
from server.evaluation.splits import can_be_stratified

RANDOM_PATIENTS = 10_000
"""Made-up patients, over all folds of the first repeat, whose contributions are added up."""
_A_TENTH = 0.1 + 1e-12  # for rounding
_MIDDLE, _OLD = 50, 60


@dataclass(frozen=True)
class FoldResult:
    """One fold: the rows held out, their anomaly scores, and the figures of ours and of the usual forest by name.

    A figure that the fold has not is NaN, or not there: the second seed and the explanation are of the first repeat.
    """

    held_out: IndexArray
    anomaly: FloatArray
    ours: Mapping[str, float]
    usual: Mapping[str, float]


def forest_figures(
    scores: FloatArray,
    blanked: FloatArray,
    supervised: FloatArray | None,
    has_disease: BoolArray,
    thresholds: Thresholds,
) -> dict[str, float]:
    """Return the figures of held-out patients by name; those that compare both labels only where there are both.

    ``scores`` are of the patients as they are, ``blanked`` with three tests not measured, and ``supervised`` those of a
    classifier that saw labels, if there is one; all have the shape (n,).
    """
    figures: dict[str, float] = {}
    if has_disease.any() and not has_disease.all():
        figures |= {name: figure(has_disease, scores) for name, figure in SEPARATION.items()}
        figures["blanked_auroc"] = roc_auc_score(has_disease, blanked)
        if supervised is not None:
            figures["auroc_less_logistic_regression"] = figures["auroc"] - roc_auc_score(has_disease, supervised)
    for prefix, given in (("", scores), ("blanked_", blanked)):
        for level, threshold in by_level(thresholds).items():
            for rate, value in _rates(given >= threshold, has_disease).items():
                figures[f"{prefix}{rate}_{level}"] = value
    return figures


def _sensitivity_at_90_specificity(has_disease: BoolArray, scores: FloatArray) -> float:
    """Return the highest sensitivity (0 to 1) of a threshold that at most a tenth of the disease-free reach."""
    # All points of the curve: one that scikit-learn would drop as intermediate may be the last that is allowed.
    false_alarms, sensitivities, _ = roc_curve(has_disease, scores, drop_intermediate=False)
    return float(sensitivities[false_alarms <= _A_TENTH].max())


SEPARATION: Mapping[str, OfLabels] = {
    "auroc": roc_auc_score,
    "sensitivity_at_90_specificity": _sensitivity_at_90_specificity,
    "auprc": average_precision_score,
}
"""Figures of labels and scores that need patients of both labels, by name."""


def _rates(is_alarm: BoolArray, has_disease: BoolArray) -> dict[str, float]:
    """Return the shares (0 to 1) of the patients without and with disease that raise an alarm; NaN of none."""
    # NaN and not zero: a fold without patients with disease says nothing about sensitivity.
    groups = zip(RATES, (is_alarm[~has_disease], is_alarm[has_disease]), strict=True)
    return {name: float(group.mean()) if group.size else math.nan for name, group in groups}


def levels_of(anomaly_scores: FloatArray, thresholds: Thresholds) -> IndexArray:
    """Return the risk levels of anomaly scores, shape (n,), as their places in ``RiskLevel``."""
    return np.digitize(anomaly_scores, [thresholds.medium, thresholds.high])


def confusion(has_disease: BoolArray, anomaly_scores: FloatArray, thresholds: Thresholds) -> dict[str, dict[str, int]]:
    """Count the patients without and with disease at each level; those without one have NaN for a score."""
    levels, has_level = levels_of(anomaly_scores, thresholds), ~np.isnan(anomaly_scores)
    return {
        name: {level.value: int((levels[labeled & has_level] == place).sum()) for place, level in enumerate(LEVELS)}
        for name, labeled in (("disease_free", ~has_disease), ("with_disease", has_disease))
    }


def abstention_of(
    sufficiency: Sufficiency, has_level: BoolArray, has_disease: BoolArray, anomaly_scores: FloatArray, high: float
) -> Abstention:
    """Count from whom of some patients, all of shape (n,), a level is withheld, by the score that is High otherwise."""
    withheld = ~has_level
    return Abstention(
        patterns=sufficiency.abstained_patterns,
        patients=int(withheld.sum()),
        with_disease=int((withheld & has_disease).sum()),
        would_have_been_high=int((withheld & has_disease & (anomaly_scores >= high)).sum()),
    )


def group_rates(
    values: FloatArray,
    has_disease: BoolArray,
    thresholds: Thresholds,
    rates_from: Callable[[BoolArray, float], Rates],
) -> list[GroupRates]:
    """Return how patients of shape (n, 13) fare, everybody first and then each subgroup by sex and by age.

    ``rates_from`` is given the members of a group and the score that is an alarm.
    """
    sex, age = values[:, COLUMNS.index("sex")], values[:, COLUMNS.index("age")]
    groups = {
        "everybody": np.ones(len(values), dtype=np.bool_),
        **{word: sex == code for code, word in FIELDS["sex"].codes.items()},
        f"age under {_MIDDLE}": age < _MIDDLE,
        f"age {_MIDDLE} to {_OLD - 1}": (age >= _MIDDLE) & (age < _OLD),
        f"age {_OLD} and over": age >= _OLD,
    }
    return [
        GroupRates(
            name=name,
            disease_free=int((members & ~has_disease).sum()),
            with_disease=int((members & has_disease).sum()),
            **{level: rates_from(members, threshold) for level, threshold in by_level(thresholds).items()},
        )
        for name, members in groups.items()
    ]


def evaluation_of(
    dataset: Dataset,
    results: Sequence[FoldResult],
    thresholds: Thresholds,
    folds: int,
    has_level: BoolArray | None = None,
) -> Evaluation:
    """Return all figures of the results of some repeats of so many folds.

    Whom ``has_level``, shape (n,), excludes is no alarm at any level; they are told apart by their scores all the same.
    """
    has_disease, repeats = dataset.has_disease, len(results) // folds
    if has_level is not None:
        results = [replace(one, anomaly=np.where(has_level[one.held_out], one.anomaly, np.nan)) for one in results]

    def rates_from(members: BoolArray, threshold: float) -> Rates:
        by_fold = []
        for result in results:
            inside = members[result.held_out]
            by_fold.append(_rates(result.anomaly[inside] >= threshold, has_disease[result.held_out][inside]))
        return Rates(**{rate: over_folds([fold[rate] for fold in by_fold], folds) for rate in RATES})

    everybody, *groups = group_rates(dataset.values, has_disease, thresholds, rates_from)
    at_levels = {f"{rate}_{level}": of for level in by_level(thresholds) for rate, of in getattr(everybody, level)}
    figures = {}
    for name in SHOWN:
        ours = at_levels.get(name) or _together(name, [result.ours for result in results], folds)
        usual = _together(name, [result.usual for result in results], folds)
        if ours.value is not None:
            figures[name] = Figure(ours=ours, usual=None if usual.value is None else usual)
    held_out = np.concatenate([result.held_out for result in results])
    counted = confusion(has_disease[held_out], np.concatenate([result.anomaly for result in results]), thresholds)
    return Evaluation(
        folds=folds,
        repeats=repeats,
        stratified=can_be_stratified(dataset, folds),
        disease_free=everybody.disease_free,
        with_disease=everybody.with_disease,
        figures=figures,
        groups=groups,
        # Every repeat has held out every patient: divided by their number, the counts are those of one.
        confusion={label: {level: n / repeats for level, n in row.items()} for label, row in counted.items()},
        additivity_patients=folds * ceil(RANDOM_PATIENTS / folds),
    )


def _together(name: str, by_fold: Sequence[Mapping[str, float]], folds: int) -> Estimate:
    figures = [fold.get(name, math.nan) for fold in by_fold]
    if name == "additivity_gap":
        # The worst fold counts, and not the mean: one patient whose contributions do not add up is one too many.
        return Estimate(value=max((figure for figure in figures if not math.isnan(figure)), default=None))
    return over_folds(figures, folds, lowest=SHOWN[name].lowest, highest=SHOWN[name].highest)
