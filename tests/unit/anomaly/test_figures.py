"""Figures, intervals and levels against values worked out by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from common.messages import Thresholds
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray
from server.anomaly.evaluation_figures import Estimate
from server.anomaly.intervals import by_bootstrap, of_share, over_folds
from server.evaluation.measures import SEPARATION, FoldResult, evaluation_of, forest_figures
from tests.support.estimates import interval

THRESHOLDS = Thresholds(medium=0.8, high=0.95)
LABELS = np.array([False, False, False, False, True, True])
ANOMALY = np.array([0.1, 0.2, 0.8, 0.96, 0.94, 0.99])
BLANKED = np.array([0.1, 0.2, 0.3, 0.9, 0.85, 0.96])
SUPERVISED = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.35])
BY_HAND = {
    "auroc": 7 / 8,
    "sensitivity_at_90_specificity": 0.5,
    "auprc": (1 + 2 / 3) / 2,
    "auroc_less_logistic_regression": 7 / 8 - 7 / 8,
    "blanked_auroc": 7 / 8,
    "false_alarm_rate_medium_or_higher": 0.5,
    "sensitivity_medium_or_higher": 1,
    "false_alarm_rate_high": 0.25,
    "sensitivity_high": 0.5,
    "blanked_false_alarm_rate_medium_or_higher": 0.25,
    "blanked_sensitivity_medium_or_higher": 1,
    "blanked_false_alarm_rate_high": 0,
    "blanked_sensitivity_high": 0.5,
}


def site(labels: BoolArray) -> Dataset:
    """Women of 45 years without, and of 65 years with disease."""
    values = np.zeros((len(labels), 13))
    values[:, COLUMNS.index("age")] = np.where(labels, 65, 45)
    return Dataset("six.csv", "0" * 64, values, labels)


def fold(rows: Sequence[int], anomaly: FloatArray, **figures: float) -> FoldResult:
    return FoldResult(np.array(rows), anomaly[rows], figures, {"auroc": 0.5})


def test_the_figures_of_a_forest_are_those_worked_out_by_hand() -> None:
    assert forest_figures(ANOMALY, BLANKED, SUPERVISED, LABELS, THRESHOLDS) == pytest.approx(BY_HAND)
    of_one_label = forest_figures(ANOMALY, BLANKED, None, np.zeros(6, dtype=np.bool_), THRESHOLDS)
    numbers = {name for name, figure in of_one_label.items() if not math.isnan(figure)}
    assert numbers == {name for name in BY_HAND if "false_alarm_rate" in name}


def test_groups_levels_and_the_average_of_two_repeats_are_those_worked_out_by_hand() -> None:
    again = np.array([0.99, *ANOMALY[1:]])
    results = [fold(rows, scores) for scores in (ANOMALY, again) for rows in ([0, 1, 4], [2, 3, 5])]
    found = evaluation_of(site(LABELS), results, THRESHOLDS, folds=2)
    assert (found.repeats, found.stratified, found.additivity_patients) == (2, True, 10_000)
    assert found.confusion == {
        "disease_free": {"Low": 1.5, "Medium": 1, "High": 1.5},
        "with_disease": {"Low": 0, "Medium": 1, "High": 1},
    }
    groups = {group.name: group for group in found.groups}
    young, old = groups["age under 50"], groups["age 60 and over"]
    assert (young.disease_free, young.with_disease, old.disease_free, old.with_disease) == (4, 0, 0, 2)
    assert young.high.false_alarm_rate.value == pytest.approx((0 + 1 / 2 + 1 / 2 + 1 / 2) / 4)
    assert (young.high.sensitivity.value, old.high.sensitivity.value) == (None, 0.5)
    assert groups["male"].high.sensitivity == Estimate(value=None)


def test_of_the_folds_that_have_a_figure_the_mean_counts_and_of_the_gap_the_worst() -> None:
    results = [
        fold([0, 1, 4], ANOMALY, auroc=0.8, top_three_against_random=4, additivity_gap=1e-13),
        fold([2, 3, 5], ANOMALY, auroc=0.9, top_three_against_random=math.nan, additivity_gap=1e-14),
    ]
    figures = evaluation_of(site(LABELS), results, THRESHOLDS, folds=2).figures
    expected = {"auroc": 0.85, "top_three_against_random": 4, "additivity_gap": 1e-13}
    assert {name: figures[name].ours.value for name in expected} == pytest.approx(expected)
    assert figures["auroc"].usual == Estimate(value=0.5)
    assert figures["additivity_gap"].usual is None


def test_the_interval_over_folds_is_the_papers_formula() -> None:
    figures = [0.90, 0.92, 0.88, 0.94, 0.91, 0.93]
    plain = ttest_1samp(figures, 0).confidence_interval(0.95)
    widened = math.sqrt((1 / 6 + 1 / 2) / (1 / 6))
    low, mean, high = interval(over_folds([*figures, math.nan], folds=3))
    assert mean == pytest.approx(np.mean(figures))
    assert (high - mean, mean - low) == pytest.approx(((plain.high - mean) * widened, (mean - plain.low) * widened))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([math.nan, 0.5, math.nan], (0.5, None, None)),
        ([math.nan], (None, None, None)),
        ([0.25 + 1e-15, 0.25, 0.25], (0.25, None, None)),
        ([0.0, 0.5, 1.0], (0.5, 0, 1)),
    ],
)
def test_an_interval_is_there_where_figures_differ_and_ends_where_figures_do(
    figures: list[float], expected: tuple[float | None, ...]
) -> None:
    found = over_folds(figures, folds=3)
    assert (found.value, found.low, found.high) == pytest.approx(expected)


def test_the_bootstrap_interval_is_that_of_the_binomial_keeps_the_groups_and_comes_from_the_seed() -> None:
    is_so, ill = np.arange(400) < 100, np.ones(400, dtype=np.bool_)
    shares = is_so.astype(np.float64)
    one, again, other = (
        by_bootstrap(lambda _, drawn: drawn.mean(), ill, shares, seed=seed, resamples=2000) for seed in (1, 1, 2)
    )
    margin = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert interval(one) == pytest.approx((0.25 - margin, 0.25, 0.25 + margin), abs=0.006)
    assert one == again != other
    kept = by_bootstrap(lambda labels, _: labels.sum(), is_so, shares, seed=0, resamples=200)
    assert interval(kept) == (100, 100, 100)


def test_the_interval_of_a_share_is_wilsons_and_is_wide_where_nothing_was_seen() -> None:
    expected = binomtest(3, 20).proportion_ci(0.95, method="wilson")
    assert interval(of_share(np.arange(20) < 3)) == pytest.approx((expected.low, 0.15, expected.high))
    assert interval(of_share(np.zeros(20, dtype=np.bool_))) == pytest.approx((0, 0, 0.161), abs=5e-4)
    assert of_share(np.zeros(0, dtype=np.bool_)) == Estimate(value=None)


def test_sensitivity_at_90_specificity_allows_one_false_alarm_in_ten() -> None:
    scores = np.concatenate([np.arange(10), [9.5, 8.5, 8.5, 7.5, 1, 1, 1, 1, 1, 1]])
    assert SEPARATION["sensitivity_at_90_specificity"](np.arange(20) >= 10, scores) == 0.3
