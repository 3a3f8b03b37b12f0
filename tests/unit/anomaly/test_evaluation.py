"""The evaluation command and the library behind it: figures worked out by hand, and folds that are kept."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from config.messages import Thresholds
from config.patient import FIELDS
from config.settings import TrainingSettings
from server.anomaly.dataset import COLUMNS
from server.anomaly.evaluation.__main__ import main
from server.anomaly.evaluation.cross_validation import cross_validate
from server.anomaly.evaluation.figures import Evaluation, Summary, spearman
from server.anomaly.evaluation.folds import FoldResult, evaluate_fold, random_values, reseeded, worsened
from server.anomaly.evaluation.intervals import by_bootstrap, over_folds
from server.anomaly.evaluation.keeping import KeptResults, code_hash
from server.anomaly.evaluation.metrics import confusion, levels_of, sensitivity_at, share, subgroups
from server.anomaly.evaluation.references import supervised_scores, usual_forest_scores
from server.anomaly.evaluation.report import evaluation_text
from server.anomaly.training import calibration_fits, evaluation_folds, train, unwatched
from tests.unit.anomaly.patients import real_patients, small_training

THRESHOLDS = Thresholds(medium=0.8, high=0.95)


@pytest.fixture(scope="module")
def kept_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def results(kept_in: Path) -> list[FoldResult]:
    """Two repeats of two folds."""
    return cross_validate(real_patients(), small_training(), kept_in, repeats=2, progress=unwatched)


@pytest.fixture(scope="module")
def evaluation(results: list[FoldResult]) -> Evaluation:
    return Summary(real_patients(), results, THRESHOLDS, folds=2).evaluation()


def figure(evaluation: Evaluation, name: str) -> float:
    (found,) = (figure.ours.value for figure in evaluation.figures if figure.name == name)
    return found


def test_the_corrected_interval_is_the_paper_s_formula() -> None:
    figures = [0.90, 0.92, 0.88, 0.94, 0.91, 0.93]
    found = over_folds(figures, folds=3)
    plain = ttest_1samp(figures, 0).confidence_interval(0.95)
    widened = math.sqrt((1 / 6 + 1 / 2) / (1 / 6))
    assert found.value == pytest.approx(np.mean(figures))
    assert found.high - found.value == pytest.approx((plain.high - found.value) * widened)
    assert found.value - found.low == pytest.approx((found.value - plain.low) * widened)


def test_an_interval_leaves_out_folds_without_figure_and_ends_where_figures_do() -> None:
    assert over_folds([math.nan, 0.5, math.nan], folds=5).value == 0.5
    assert math.isnan(over_folds([math.nan], folds=5).value)
    found = over_folds([0.0, 1.0, 1.0], folds=5)
    assert (found.low, found.high) == (0, 1)


def test_the_bootstrap_interval_is_that_of_the_binomial_and_comes_from_the_seed() -> None:
    is_so = np.arange(400) < 100
    groups = np.ones(400, dtype=np.bool_)
    found = by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=1)
    margin = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.value == 0.25
    assert (found.low, found.high) == pytest.approx((0.25 - margin, 0.25 + margin), abs=0.006)
    assert found == by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=1)
    assert found != by_bootstrap(lambda rows: share(is_so[rows]), groups, seed=2)


def test_the_bootstrap_keeps_the_size_of_each_group() -> None:
    groups = np.arange(50) < 7
    found = by_bootstrap(lambda rows: float(groups[rows].sum()), groups, seed=0)
    assert (found.value, found.low, found.high) == (7, 7, 7)


def test_sensitivity_at_a_specificity_allows_just_so_many_false_alarms() -> None:
    labels = np.arange(20) >= 10
    scores = np.concatenate([np.arange(10), [9.5, 8.5, 8.5, 7.5, 1, 1, 1, 1, 1, 1]])
    assert sensitivity_at(1.0, labels, scores) == 0.1
    assert sensitivity_at(0.9, labels, scores) == 0.3
    assert sensitivity_at(0.8, labels, scores) == 0.4


def test_spearman_is_of_the_ranks_with_ties_shared() -> None:
    assert spearman([1, 2, 3, 400], [0.1, 0.2, 0.3, 0.31]) == pytest.approx(1)
    assert spearman([1, 2, 2, 3], [3, 2, 2, 1]) == pytest.approx(-1)


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
        "disease-free": {"Low": 1, "Medium": 1, "High": 0},
        "with disease": {"Low": 0, "Medium": 0, "High": 2},
    }


def test_every_measured_finding_that_can_is_made_worse_alone() -> None:
    first = real_patients().values[:1].copy()
    first[0, COLUMNS.index("thallium_scan")] = 7
    first[0, COLUMNS.index("cholesterol")] = np.nan
    owners, changed = worsened(first)
    differing = [np.flatnonzero(~np.isclose(row, first[0], equal_nan=True)).tolist() for row in changed]
    assert set(owners) == {0}
    assert all(len(columns) == 1 for columns in differing)
    names = [COLUMNS[columns[0]] for columns in differing]
    at_worst = {name for name, f in FIELDS.items() if f.codes and first[0, COLUMNS.index(name)] == max(f.codes)}
    assert set(names) == set(FIELDS) - {"age", "sex", "cholesterol"} - at_worst
    assert len(names) == len(set(names))


def test_made_up_patients_have_possible_values_and_gaps_where_these_may_be() -> None:
    values = random_values(2000, seed=3)
    for column, (name, field) in zip(values.T, FIELDS.items(), strict=True):
        measured = column[~np.isnan(column)]
        assert np.isnan(column).mean() == pytest.approx(0 if field.required else 0.25, abs=0.05), name
        assert not field.codes or set(measured) == set(field.codes)
        lowest, highest = field.possible_range or (-math.inf, math.inf)
        assert lowest <= measured.min() < measured.max() <= highest
    assert not np.array_equal(values, random_values(2000, seed=4), equal_nan=True)


def test_the_usual_forest_is_scikit_learns() -> None:
    dataset = real_patients()
    fitted_on, others = dataset.values[dataset.disease_free], dataset.values
    forest = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        IsolationForest(n_estimators=300, max_samples=164, random_state=5),
    ).fit(fitted_on)
    found = usual_forest_scores(fitted_on, others, seed=5)
    np.testing.assert_allclose(found, -forest.score_samples(others), rtol=0, atol=1e-12)


def test_logistic_regression_learns_from_labels_and_takes_gaps() -> None:
    dataset = real_patients()
    scores = supervised_scores(dataset.values[::2], dataset.has_disease[::2], dataset.values[1::2])
    held_out = dataset.has_disease[1::2]
    assert scores[held_out].mean() > 0.6
    assert scores[~held_out].mean() < 0.4
    opposite = supervised_scores(dataset.values[::2], ~dataset.has_disease[::2], dataset.values[1::2])
    assert opposite == pytest.approx(1 - scores, abs=1e-3)


def test_each_repeat_holds_out_every_patient_once(results: list[FoldResult]) -> None:
    for repeat in (results[:2], results[2:]):
        assert sorted(row for result in repeat for row in result.held_out) == list(range(303))
    assert results[0].held_out != results[2].held_out
    assert [result.second_seed is not None for result in results] == [True, True, False, False]


def test_the_first_repeat_agrees_with_the_evaluation_of_a_training(results: list[FoldResult]) -> None:
    metrics = train(real_patients(), small_training()).metrics
    first = Summary(real_patients(), results[:2], THRESHOLDS, folds=2).evaluation()
    assert figure(first, "AUROC") == pytest.approx(metrics["auroc"], abs=1e-12)
    assert figure(first, "false alarms at High") == pytest.approx(metrics["high"]["false_alarm_rate"], abs=1e-3)
    assert first.confusion["with disease"]["High"] == pytest.approx(metrics["high"]["sensitivity"] * 139)


def test_nobody_with_disease_takes_part_in_fit_and_calibration() -> None:
    """What the ill are like changes the supervised scores, and nothing else that is said of the others."""
    dataset, settings = real_patients(), small_training()
    fold = evaluation_folds(dataset, settings)[0]
    changed = dataset.values.copy()
    ill = np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.scored)
    changed[ill] = dataset.values[dataset.disease_free[0]]
    other = type(dataset)(dataset.name, dataset.sha256, changed, dataset.has_disease)
    before, after = (
        evaluate_fold(data, fold, settings, in_depth=False, random_patients=0) for data in (dataset, other)
    )
    assert before.ours == after.ours
    assert before.anomaly == after.anomaly
    assert before.usual == after.usual
    assert before.supervised != after.supervised
    assert not dataset.has_disease[np.concatenate([f.scored for f in calibration_fits(fold.fitted_on, settings)])].any()


def test_the_explanation_is_put_to_the_proof(results: list[FoldResult], evaluation: Evaluation) -> None:
    for result in results[:2]:
        assert result.explained is not None
        assert result.explained.random_patients == 5000
        assert result.explained.largest_gap < 1e-9
        falls = zip(result.explained.top_fall, result.explained.random_fall, result.explained.best_fall, strict=True)
        assert all(best >= max(top, random) for top, random, best in falls)
    assert figure(evaluation, "contributions against log2 score, 10,000 patients") < 1e-9
    assert figure(evaluation, "top three typical: fall against three at random") > 2
    assert 0.8 < figure(evaluation, "top three typical: fall against the best three") <= 1


def test_a_steadier_forest_agrees_more_with_another_seed(evaluation: Evaluation) -> None:
    assert 0.9 < figure(evaluation, "two seeds: Spearman correlation") < 1
    assert 0 < figure(evaluation, "two seeds: patients whose level changes") < 0.5
    assert 0 < figure(evaluation, "one finding made worse lowers the score") < 0.05


def test_groups_add_up_and_levels_are_nested(evaluation: Evaluation) -> None:
    for names in (("female", "male"), ("age under 50", "age 50 to 59", "age 60 and over")):
        members = [group for group in evaluation.groups if group.name in names]
        assert sum(group.disease_free for group in members) == 164
        assert sum(group.with_disease for group in members) == 139
    for group in evaluation.groups:
        for rate, estimate in group.high.items():
            assert estimate.value <= group.medium_or_higher[rate].value


def test_the_report_names_every_figure_its_target_and_whether_it_is_met(evaluation: Evaluation) -> None:
    text = evaluation_text(evaluation, THRESHOLDS)
    for figure in evaluation.figures:
        (line,) = (line for line in text.splitlines() if line.startswith(f"{figure.name:<50}"))
        assert (" yes" if figure.is_met else " NO") in line
    missed = sum(not figure.is_met for figure in evaluation.figures)
    assert f"{missed} of {len(evaluation.figures)} targets missed." in text
    assert max(map(len, text.splitlines())) <= 120


def test_kept_folds_are_not_worked_out_again_and_missing_or_damaged_ones_are(
    results: list[FoldResult], kept_in: Path
) -> None:
    counted: list[int] = []

    def watch(computed: Iterable[FoldResult], total: int) -> Iterable[FoldResult]:
        counted.append(total)
        return computed

    def again() -> list[FoldResult]:
        return cross_validate(real_patients(), small_training(), kept_in, repeats=2, progress=watch)

    assert again() == results
    assert counted == []
    (damaged,) = kept_in.rglob("0-1.json")
    damaged.write_text(damaged.read_text()[:-9])
    (missing,) = kept_in.rglob("1-0.json")
    missing.unlink()
    assert again() == results
    assert counted == [2]


def test_other_data_settings_or_code_are_kept_apart(tmp_path: Path, results: list[FoldResult]) -> None:
    KeptResults(tmp_path, {"data": "a", "n_estimators": 50}).write("0-0", results[0])
    assert KeptResults(tmp_path, {"data": "a", "n_estimators": 50}).read("0-0") == results[0]
    assert KeptResults(tmp_path, {"data": "b", "n_estimators": 50}).read("0-0") is None
    assert KeptResults(tmp_path, {"data": "a", "n_estimators": 51}).read("0-0") is None
    code = tmp_path / "code"
    code.mkdir()
    hashes = set()
    for content in ("one", "two"):
        (code / "module.py").write_text(content)
        hashes.add(code_hash(code))
    (code / "module.py").rename(code / "renamed.py")
    assert len(hashes | {code_hash(code)}) == 3


def test_another_seed_stays_within_what_numpy_takes() -> None:
    settings = TrainingSettings(random_state=2**32 - 1)
    assert reseeded(settings, 1).random_state == 0


@pytest.fixture
def small_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {"N_ESTIMATORS": 50, "CALIBRATION_FOLDS": 2, "WORKERS": 1}
    for name, value in small.items():
        monkeypatch.setenv(f"MODEL_{name}", str(value))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


@pytest.mark.usefixtures("small_command")
def test_the_command_prints_the_table_and_keeps_the_folds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--folds", "2", "--repeats", "1"]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("1 x 2-fold stratified cross-validation")
    assert len([*(tmp_path / "evaluation").rglob("*.json")]) == 2
    assert main(["--folds", "2", "--repeats", "1"]) == 0
    second = capsys.readouterr()
    assert (second.out, second.err) == (first.out, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folds", "1"], "evaluation_folds"),
        (["--repeats", "0"], "--repeats must be 1 or more"),
        (["--model", "somewhere"], "--model needs --data"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("small_command")
def test_a_folder_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    assert f"cannot be kept in {tmp_path / 'file'}{os.sep}" in capsys.readouterr().err
