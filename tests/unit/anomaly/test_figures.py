"""Figures, intervals and levels against values worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from common.messages import Thresholds
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray
from server.anomaly.evaluation_figures import Estimate, Evaluation
from server.anomaly.intervals import by_bootstrap, of_share, over_folds, wilson_interval
from server.evaluation.figures import evaluation_of, held_out_scores, spearman
from server.evaluation.folds import Explained, FoldResult, Scores, SecondSeed
from server.evaluation.measures import confusion, levels_of, sensitivity_at, share, subgroups
from server.evaluation.report_text import summary_text
from tests.support.estimates import interval, ours, usual

THRESHOLDS = Thresholds(medium=0.8, high=0.95)
LABELS = [False, False, False, False, True, True]
ANOMALY = np.array([0.1, 0.2, 0.8, 0.96, 0.94, 0.99])
BLANKED = np.array([0.1, 0.2, 0.3, 0.9, 0.85, 0.96])
USUAL = np.array([0.4, 0.61, 0.5, 0.3, 0.55, 0.45])


def dataset(labels: list[bool]) -> Dataset:
    """Women of 45 years without, and of 65 years with disease."""
    values = np.zeros((len(labels), 13))
    values[:, COLUMNS.index("age")] = np.where(labels, 65, 45)
    return Dataset("six.csv", "0" * 64, values, np.array(labels))


def fold(
    anomaly: Sequence[float] | FloatArray, *, second_seed: SecondSeed | None = None, explained: Explained | None = None
) -> FoldResult:
    """All six patients held out at once; the anomaly scores stand for the raw scores of ours as well."""
    scores, usual = np.array(anomaly), USUAL[: len(anomaly)]
    return FoldResult(
        held_out=np.arange(len(anomaly)),
        ours=Scores(raw=scores, blanked=scores, steps_worse=40, steps_lowering=2),
        anomaly=scores,
        blanked_anomaly=BLANKED[: len(anomaly)],
        usual=Scores(raw=usual, blanked=usual, steps_worse=40, steps_lowering=10),
        supervised=np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.35])[: len(anomaly)],
        second_seed=second_seed,
        explained=explained,
    )


@pytest.fixture
def by_hand() -> Evaluation:
    return evaluation_of(dataset(LABELS), [fold(ANOMALY)], THRESHOLDS, folds=1)


def test_the_figures_of_an_evaluation_are_those_worked_out_by_hand(by_hand: Evaluation) -> None:
    assert ours(by_hand, "auroc") == pytest.approx(7 / 8)
    assert ours(by_hand, "auprc") == pytest.approx((1 + 2 / 3) / 2)
    assert ours(by_hand, "sensitivity_at_90_specificity") == 0.5
    assert ours(by_hand, "false_alarm_rate_medium_or_higher") == 0.5
    assert ours(by_hand, "sensitivity_medium_or_higher") == 1.0
    assert ours(by_hand, "false_alarm_rate_high") == 0.25
    assert ours(by_hand, "sensitivity_high") == 0.5
    assert ours(by_hand, "auroc_less_logistic_regression") == pytest.approx(7 / 8 - 7 / 8)
    assert ours(by_hand, "worse_finding_lowers") == 2 / 40


def test_the_usual_forest_s_are_too_by_its_own_thresholds(by_hand: Evaluation) -> None:
    assert usual(by_hand, "auroc") == pytest.approx(5 / 8)
    assert usual(by_hand, "false_alarm_rate_medium_or_higher") == 0.5
    assert usual(by_hand, "sensitivity_medium_or_higher") == 0.5
    assert usual(by_hand, "false_alarm_rate_high") == 0.25
    assert usual(by_hand, "sensitivity_high") == 0.0
    assert usual(by_hand, "auroc_less_logistic_regression") == pytest.approx(5 / 8 - 7 / 8)
    assert usual(by_hand, "worse_finding_lowers") == 10 / 40


def test_the_figures_of_blanked_patients_are_of_their_own_scores(by_hand: Evaluation) -> None:
    assert ours(by_hand, "blanked_auroc") == pytest.approx(7 / 8)
    assert ours(by_hand, "blanked_false_alarm_rate_medium_or_higher") == 0.25
    assert ours(by_hand, "blanked_sensitivity_medium_or_higher") == 1.0
    assert ours(by_hand, "blanked_false_alarm_rate_high") == 0.0
    assert ours(by_hand, "blanked_sensitivity_high") == 0.5


def test_groups_and_levels_are_those_worked_out_by_hand(by_hand: Evaluation) -> None:
    groups = {group.name: group for group in by_hand.groups}
    young, old = groups["age under 50"], groups["age 60 and over"]
    assert (young.disease_free, young.with_disease) == (4, 0)
    assert (old.disease_free, old.with_disease) == (0, 2)
    assert young.high.false_alarm_rate == Estimate(value=0.25)
    assert young.high.sensitivity == Estimate(value=None)
    assert old.high.sensitivity == Estimate(value=0.5)
    assert groups["male"].high.sensitivity == Estimate(value=None)
    assert by_hand.confusion.disease_free == {"Low": 2, "Medium": 1, "High": 1}
    assert by_hand.confusion.with_disease == {"Low": 0, "Medium": 1, "High": 1}


def half(anomaly: Sequence[float] | FloatArray, rows: list[int]) -> FoldResult:
    """A fold in which some of the six patients were held out."""
    raw, blanked = np.array(anomaly)[rows], np.full(len(rows), 0.5)
    scores = Scores(raw, blanked, steps_worse=1, steps_lowering=0)
    return FoldResult(np.array(rows), scores, raw, blanked, scores, None, None, None)


def test_two_repeats_count_every_patient_once_on_average() -> None:
    again = [0.99, *ANOMALY[1:]]
    results = [half(scores, rows) for scores in (ANOMALY, again) for rows in ([0, 1, 4], [2, 3, 5])]
    found = evaluation_of(dataset(LABELS), results, THRESHOLDS, folds=2)
    assert found.repeats == 2
    assert found.confusion.disease_free == {"Low": 1.5, "Medium": 1, "High": 1.5}
    assert found.stratified
    assert ours(found, "false_alarm_rate_high") == pytest.approx((0 / 2 + 1 / 2 + 1 / 2 + 1 / 2) / 4)
    assert "auroc_less_logistic_regression" not in found.figures


def test_another_seed_and_the_explanation_are_compared_by_hand() -> None:
    seed = SecondSeed(raw=ANOMALY[::-1], anomaly=np.array([0.1, 0.2, 0.79, 0.96, 0.94, 0.94]), usual_raw=USUAL)
    falls = Explained(
        top_fall=np.array([9, 9, 0.2, 0.3, 0.4, 0.5]),
        random_fall=np.array([9, 9, 0.1, 0.1, 0.1, 0.1]),
        best_fall=np.array([9, 9, 0.2, 0.4, 0.5, 0.5]),
        random_patients=100,
        largest_gap=1e-13,
    )
    results = [fold(ANOMALY, second_seed=seed, explained=falls), fold(ANOMALY)]
    found = evaluation_of(dataset(LABELS), results, THRESHOLDS, folds=2)
    assert ours(found, "two_seeds_level_changes") == pytest.approx(2 / 6)
    assert ours(found, "two_seeds_spearman") == pytest.approx(spearman(ANOMALY, ANOMALY[::-1]))
    assert usual(found, "two_seeds_spearman") == pytest.approx(1)
    assert ours(found, "additivity_gap") == 1e-13
    assert found.additivity_patients == 100
    assert ours(found, "top_three_against_random") == pytest.approx(1.4 / 0.4)  # of the four at Medium or higher
    assert ours(found, "top_three_against_best") == pytest.approx(1.4 / 1.6)


def test_patients_in_whom_nothing_can_get_worse_leave_that_figure_out() -> None:
    nothing = Scores(raw=ANOMALY, blanked=ANOMALY, steps_worse=0, steps_lowering=0)
    result = replace(fold(ANOMALY), ours=nothing)
    found = evaluation_of(dataset(LABELS), [result], THRESHOLDS, folds=1)
    assert "worse_finding_lowers" not in found.figures


def test_the_summary_holds_every_figure_in_words() -> None:
    labels, scores = [False, False, True, True], [0.1, 0.9, 0.94, 0.99]
    evaluation = evaluation_of(dataset(labels), [fold(scores)], THRESHOLDS, folds=1)
    assert summary_text(evaluation, THRESHOLDS).splitlines() == [
        "Held-out evaluation, 1 x 1-fold: 2 disease-free patients, 2 with disease; 95 % intervals in brackets",
        "AUROC 1.000",
        "Medium or higher, from a score of 0.8: false alarms 50.0%, 20% by design; sensitivity 100.0%",
        "High, from a score of 0.95: false alarms 0.0%, 5% by design; sensitivity 50.0%",
    ]


def test_of_several_repeats_a_patient_s_last_score_counts() -> None:
    again = [0.3, *ANOMALY[1:]]
    assert held_out_scores(dataset(LABELS), [fold(ANOMALY), fold(again)]).tolist() == again


def test_the_corrected_interval_is_the_paper_s_formula() -> None:
    figures = [0.90, 0.92, 0.88, 0.94, 0.91, 0.93]
    found = over_folds(figures, folds=3)
    plain = ttest_1samp(figures, 0).confidence_interval(0.95)
    widened = math.sqrt((1 / 6 + 1 / 2) / (1 / 6))
    low, mean, high = interval(found)
    assert mean == pytest.approx(np.mean(figures))
    assert high - mean == pytest.approx((plain.high - mean) * widened)
    assert mean - low == pytest.approx((mean - plain.low) * widened)


def test_an_interval_leaves_out_folds_without_figure_and_ends_where_figures_do() -> None:
    assert over_folds([math.nan, 0.5, math.nan], folds=5) == Estimate(value=0.5)
    assert over_folds([math.nan], folds=5) == Estimate(value=None)
    assert over_folds([0.0] * 10, folds=5) == Estimate(value=0)
    assert over_folds([0.1 + 0.2, 0.3, 0.3], folds=3).low is None
    found = over_folds([0.0, 1.0, 1.0], folds=5)
    assert (found.low, found.high) == (0, 1)


def test_the_bootstrap_interval_is_that_of_the_binomial_and_comes_from_the_seed() -> None:
    is_so = np.arange(400) < 100
    groups = np.ones(400, dtype=np.bool_)
    found = by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=1, resamples=2000)
    margin = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.value == 0.25
    assert (found.low, found.high) == pytest.approx((0.25 - margin, 0.25 + margin), abs=0.006)
    assert found == by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=1, resamples=2000)
    assert found != by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=2, resamples=2000)


def test_the_interval_of_a_share_is_wilson_s_and_is_wide_where_nothing_was_seen() -> None:
    expected = binomtest(3, 20).proportion_ci(0.95, method="wilson")
    assert interval(of_share(np.arange(20) < 3)) == pytest.approx((expected.low, 0.15, expected.high))
    none, everybody = of_share(np.zeros(20, dtype=np.bool_)), of_share(np.ones(20, dtype=np.bool_))
    assert interval(none) == pytest.approx((0, 0, 0.161), abs=5e-4)
    assert interval(everybody) == pytest.approx((0.839, 1, 1), abs=5e-4)
    assert of_share(np.zeros(0, dtype=np.bool_)) == Estimate(value=None)
    narrow, wide = (wilson_interval(3, 20, error=error) for error in (0.5, 0.01))
    assert wide[0] < narrow[0] < 0.15 < narrow[1] < wide[1]


def test_the_bootstrap_keeps_the_size_of_each_group() -> None:
    groups = np.arange(50) < 7
    found = by_bootstrap(lambda rows: float(groups[rows].sum()), groups, seed=0, resamples=200)
    assert (found.value, found.low, found.high) == (7, 7, 7)


def test_sensitivity_at_a_specificity_allows_just_so_many_false_alarms() -> None:
    labels = np.arange(20) >= 10
    scores = np.concatenate([np.arange(10), [9.5, 8.5, 8.5, 7.5, 1, 1, 1, 1, 1, 1]])
    assert sensitivity_at(labels, scores, 1.0) == 0.1
    assert sensitivity_at(labels, scores, 0.9) == 0.3
    assert sensitivity_at(labels, scores, 0.8) == 0.4


def test_spearman_is_of_the_ranks_with_ties_shared() -> None:
    assert spearman(np.array([1.0, 2, 3, 400]), np.array([0.1, 0.2, 0.3, 0.31])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 2, 3]), np.array([3.0, 2, 2, 1])) == pytest.approx(-1)


def test_subgroups_divide_all_patients_by_sex_and_by_age() -> None:
    values = np.zeros((4, 13))
    values[:, COLUMNS.index("age")] = [49, 50, 59, 60]
    values[:, COLUMNS.index("sex")] = [0, 1, 1, 1]
    found = {name: np.flatnonzero(members).tolist() for name, members in subgroups(values).items()}
    assert found == {
        "female": [0],
        "male": [1, 2, 3],
        "age under 50": [0],
        "age 50 to 59": [1, 2],
        "age 60 and over": [3],
    }


def test_patients_are_counted_by_label_and_level() -> None:
    levels = levels_of(np.array([0.1, 0.8, 0.95, 0.99]), THRESHOLDS)
    assert confusion(np.array([False, False, True, True]), levels) == {
        "disease_free": {"Low": 1, "Medium": 1, "High": 0},
        "with_disease": {"Low": 0, "Medium": 0, "High": 2},
    }
