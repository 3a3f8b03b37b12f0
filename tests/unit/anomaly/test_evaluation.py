"""The evaluation command and the library behind it: figures worked out by hand, and folds that are kept."""

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_equal
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.messages import Thresholds
from common.patient import FIELDS
from config.secrets import PROJECT_ROOT
from config.settings import TrainingSettings
from server.anomaly.dataset import COLUMNS, frame_of
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import SHOWN, Estimate, Evaluation
from server.anomaly.fitting import fit_parts
from server.evaluation.__main__ import main
from server.evaluation.cross_validation import code_files, code_hash, cross_validate, kept_repeats
from server.evaluation.figures import evaluation_of
from server.evaluation.folds import FoldResult, evaluate_fold, random_values, worsened
from server.evaluation.new_version import trained_version
from server.evaluation.references import supervised_scores, usual_forest_scores
from server.evaluation.report_text import TARGETS, evaluation_text, missed_targets, summary_text
from server.evaluation.splits import Fold, calibration_folds, evaluation_folds, folds_of_repeat, reseeded
from server.evaluation.training import unwatched
from tests.support.estimates import known, ours
from tests.support.patients import real_patients, small_training, some_patients

THRESHOLDS = Thresholds(medium=0.8, high=0.95)


class Counted:
    """Progress that notes how many folds it was told of each time."""

    def __init__(self) -> None:
        self.totals: list[int] = []

    def __call__(self, results: Iterable[Any], total: int) -> Iterable[Any]:
        self.totals.append(total)
        return results


@pytest.fixture(scope="module")
def kept_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def results(kept_in: Path) -> list[FoldResult]:
    """Two repeats of two folds."""
    return cross_validate(evaluate_fold, real_patients(), small_training(), kept_in, repeats=2, progress=unwatched)


@pytest.fixture(scope="module")
def evaluation(results: list[FoldResult]) -> Evaluation:
    return evaluation_of(real_patients(), results, THRESHOLDS, folds=2)


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
    assert results[0].held_out.tolist() != results[2].held_out.tolist()
    assert [result.second_seed is not None for result in results] == [True, True, False, False]


def test_the_first_repeat_agrees_with_the_evaluation_of_a_training(
    results: list[FoldResult], detector: Detector
) -> None:
    first = evaluation_of(real_patients(), results[:2], THRESHOLDS, folds=2)
    recorded = detector.manifest.evaluation
    for name in ("auroc", "false_alarm_rate_high", "sensitivity_high", "blanked_auroc"):
        assert ours(first, name) == ours(recorded, name)
    assert (first.groups, first.confusion) == (recorded.groups, recorded.confusion)
    assert detector.metrics["auroc"] == ours(first, "auroc")
    assert detector.metrics["high"]["sensitivity"] == ours(first, "sensitivity_high")
    assert first.confusion.with_disease["High"] / 139 == pytest.approx(ours(first, "sensitivity_high"), abs=1e-3)


def test_a_fold_s_scores_are_those_of_scikit_learns_forest(results: list[FoldResult]) -> None:
    dataset = real_patients()
    fold = evaluation_folds(dataset, small_training())[0]
    preprocessor, forest = fit_parts(dataset.frame(fold.fitted_on), small_training())
    held_out = dataset.values[results[0].held_out]
    blanked = held_out.copy()
    blanked[:, [COLUMNS.index(name) for name in ("st_slope", "major_vessels", "thallium_scan")]] = np.nan
    for values, found in ((held_out, results[0].ours.raw), (blanked, results[0].ours.blanked)):
        expected = -forest.score_samples(preprocessor.transform(frame_of(values)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_nobody_with_disease_takes_part_in_fit_and_calibration() -> None:
    """What the ill are like changes the supervised scores, and nothing else that is said of the others."""
    dataset, settings = real_patients(), small_training()
    fold = evaluation_folds(dataset, settings)[0]
    changed = dataset.values.copy()
    ill = np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.scored)
    changed[ill] = dataset.values[dataset.disease_free[0]]
    other = type(dataset)(dataset.name, dataset.sha256, changed, dataset.has_disease)
    before, after = (evaluate_fold(Fold(1, 0, settings, fold, data)) for data in (dataset, other))
    for part in ("ours", "anomaly", "usual"):
        assert_equal(asdict(before)[part], asdict(after)[part])
    assert before.supervised is not None
    assert after.supervised is not None
    assert not np.array_equal(before.supervised, after.supervised)
    assert not dataset.has_disease[
        np.concatenate([f.scored for f in calibration_folds(fold.fitted_on, settings)])
    ].any()


def test_the_explanation_is_put_to_the_proof(results: list[FoldResult], evaluation: Evaluation) -> None:
    for result in results[:2]:
        assert result.explained is not None
        assert result.explained.random_patients == 5000
        assert result.explained.largest_gap < 1e-9
        falls = zip(result.explained.top_fall, result.explained.random_fall, result.explained.best_fall, strict=True)
        assert all(best >= max(top, random) for top, random, best in falls)
    assert ours(evaluation, "additivity_gap") < 1e-9
    assert evaluation.additivity_patients == 10_000
    assert ours(evaluation, "top_three_against_random") > 2
    assert 0.8 < ours(evaluation, "top_three_against_best") <= 1


def test_a_steadier_forest_agrees_more_with_another_seed(evaluation: Evaluation) -> None:
    assert 0.9 < ours(evaluation, "two_seeds_spearman") < 1
    assert 0 < ours(evaluation, "two_seeds_level_changes") < 0.5
    assert 0 < ours(evaluation, "worse_finding_lowers") < 0.05


def test_the_report_names_every_figure_its_target_and_whether_it_is_met(evaluation: Evaluation) -> None:
    lines = evaluation_text(evaluation, THRESHOLDS).splitlines()
    missed = 0
    for name, target in TARGETS.items():
        (said,) = (text for text in lines if text.startswith(f"{SHOWN[name].title:<60}"))
        is_met = target.is_met(ours(evaluation, name))
        assert (" yes" if is_met else " NO") in said
        assert f" {target.sign} " in said
        missed += not is_met
    assert f"{missed} of {len(TARGETS)} targets missed." in lines
    assert len(missed_targets(evaluation)) == missed
    assert max(map(len, lines)) <= 120


def test_kept_folds_are_not_measured_again_and_missing_or_damaged_ones_are(
    results: list[FoldResult], kept_in: Path, tmp_path: Path
) -> None:
    copy, watch = Path(shutil.copytree(kept_in, tmp_path / "copy")), Counted()

    def assert_same_again() -> None:
        dataset, settings = real_patients(), small_training()
        found = cross_validate(evaluate_fold, dataset, settings, copy, repeats=2, progress=watch)
        assert_equal([asdict(fold) for fold in found], [asdict(fold) for fold in results])

    assert_same_again()
    assert watch.totals == []
    damaged, missing, *_ = copy.rglob("output.pkl")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    shutil.rmtree(missing.parent)
    assert_same_again()
    assert watch.totals == [1]


@pytest.mark.usefixtures("results")
def test_whole_repeats_are_counted_and_belong_to_values_labels_and_settings(kept_in: Path, tmp_path: Path) -> None:
    whole, settings = real_patients(), small_training()
    values, has_disease = whole.values.copy(), whole.has_disease.copy()
    values[0, 0] += 1
    has_disease[0] = not has_disease[0]
    by_age, other_thresholds = {"calibration_by_age": True}, {"high_threshold": 0.97, "workers": 2}
    for kept, dataset, changes in (
        (2, replace(whole, name="copy.csv", sha256="0" * 64, values=whole.values.copy()), other_thresholds),
        (0, replace(whole, values=values), {}),
        (0, replace(whole, has_disease=has_disease), {}),
        (0, whole, by_age),
    ):
        assert kept_repeats(evaluate_fold, dataset, settings.model_copy(update=changes), kept_in) == kept
    assert kept_repeats(evaluate_fold, whole, settings, tmp_path) == 0


@pytest.mark.usefixtures("results")
def test_results_of_other_code_or_another_python_are_kept_apart(monkeypatch: pytest.MonkeyPatch, kept_in: Path) -> None:
    assert kept_repeats(lambda _: None, real_patients(), small_training(), kept_in) == 0
    monkeypatch.setattr(platform, "python_version", lambda: "3.0.0")
    assert kept_repeats(evaluate_fold, real_patients(), small_training(), kept_in) == 0


@pytest.mark.usefixtures("results")
def test_what_is_written_beside_a_kept_fold_holds_no_patient(kept_in: Path) -> None:
    described = [json.loads(path.read_text())["input_args"] for path in kept_in.rglob("metadata.json")]
    assert len(described) == 4
    assert all(set(arguments) == {"made_of", "repeat", "number"} for arguments in described)
    assert "values" not in repr(folds_of_repeat(real_patients(), small_training(), 0)[0])


def test_the_code_hash_covers_all_of_the_project_that_evaluating_a_fold_imports() -> None:
    code = (
        f"import sys, {evaluate_fold.__module__} as m\nfor m in sys.modules.values(): print(getattr(m, '__file__', ''))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    ours = {path for path in map(Path, loaded) if path.is_relative_to(PROJECT_ROOT) and ".venv" not in path.parts}
    assert PROJECT_ROOT / "common" / "patient.py" in ours
    assert {path for path in ours if path.read_text().count("\n") > 1} <= code_files()


def test_changed_code_counts_and_comments_do_not(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    hashes = []
    for half in ("x / 2", "x / 2  # exactly", "x // 2"):
        module.write_text(f"def half(x):\n    return {half}\n")
        hashes.append(code_hash([module]))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_training_records_what_an_evaluation_kept_and_works_nothing_out_again(
    evaluation: Evaluation, kept_in: Path
) -> None:
    made_at, watch = datetime(2026, 1, 1, tzinfo=UTC), Counted()
    new = trained_version(real_patients(), small_training(), kept_in, made_at=made_at, watch_evaluation=watch)
    assert watch.totals == []
    assert new.evaluation == evaluation
    assert new.evaluation.repeats == 2
    assert {"two_seeds_spearman", "additivity_gap"} <= set(new.evaluation.figures)


def test_without_kept_results_a_training_has_one_repeat_with_every_figure(detector: Detector) -> None:
    recorded = detector.manifest.evaluation
    assert (recorded.repeats, recorded.additivity_patients) == (1, 10_000)
    assert set(TARGETS) <= set(recorded.figures)


def test_by_age_the_old_raise_fewer_false_alarms_and_the_raw_scores_stay(
    results: list[FoldResult], evaluation: Evaluation, tmp_path: Path
) -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    by_age = cross_validate(evaluate_fold, real_patients(), settings, tmp_path, repeats=1, progress=unwatched)
    assert_equal([asdict(fold.ours) for fold in by_age], [asdict(fold.ours) for fold in results[:2]])
    apart = evaluation_of(real_patients(), by_age, THRESHOLDS, folds=2)
    together = evaluation_of(real_patients(), results[:2], THRESHOLDS, folds=2)
    old_apart, old_together = (
        known(found.groups[-1].medium_or_higher.false_alarm_rate.value) for found in (apart, together)
    )
    assert evaluation.groups[-1].name == "age 60 and over"
    assert old_apart < old_together - 0.05
    assert ours(apart, "auroc") < ours(together, "auroc")


@pytest.mark.parametrize("diseased", [0, 1])
def test_without_patients_with_disease_there_are_false_alarms_alone(tmp_path: Path, diseased: int) -> None:
    site = some_patients(disease_free=60, diseased=diseased)
    results = cross_validate(evaluate_fold, site, small_training(), tmp_path, repeats=1, progress=unwatched)
    found = evaluation_of(site, results, THRESHOLDS, folds=2)
    assert not found.stratified
    assert found.design.startswith("1 x 2-fold cross-validation, not stratified by label, of 60 disease-free")
    assert (found.disease_free, found.with_disease) == (60, diseased)
    assert ("auroc" in found.figures, "sensitivity_high" in found.figures) == (diseased > 0, diseased > 0)
    assert 0 <= ours(found, "false_alarm_rate_high") < 0.2
    for text in (evaluation_text(found, THRESHOLDS), summary_text(found, THRESHOLDS)):
        assert "nan" not in text
        assert ("AUROC" in text) or not diseased
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_another_seed_stays_within_what_numpy_takes() -> None:
    settings = TrainingSettings(random_state=2**32 - 1)
    assert reseeded(settings, 1).random_state == 0


def test_a_figure_at_its_target_meets_it_and_one_beyond_misses_it(evaluation: Evaluation) -> None:
    limits = {
        "auroc": (TARGETS["auroc"].limit, True),
        "false_alarm_rate_high": (TARGETS["false_alarm_rate_high"].limit + 0.01, False),
    }
    for name, (value, is_met) in limits.items():
        figure = evaluation.figures[name].model_copy(update={"ours": Estimate(value=value)})
        changed = evaluation.model_copy(update={"figures": {name: figure}})
        assert missed_targets(changed) == ([] if is_met else [name])


@pytest.fixture
def small_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {"N_ESTIMATORS": 50, "CALIBRATION_FOLDS": 2, "WORKERS": 1}
    for name, value in small.items():
        monkeypatch.setenv(f"MODEL_{name}", str(value))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


@pytest.mark.usefixtures("small_command")
def test_the_command_prints_the_table_and_keeps_the_folds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    first = capsys.readouterr()
    assert re.search(r"\n[1-9]\d* of 17 targets missed\.\n", first.out)
    assert first.out.startswith("1 x 2-fold stratified cross-validation")
    assert len([*(tmp_path / "evaluation").rglob("output.pkl")]) == 2
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    second = capsys.readouterr()
    assert (second.out, second.err) == (first.out, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folds", "1"], "evaluation_folds"),
        (["--repeats", "0"], "--repeats must be 1 or more"),
        (["--model", "somewhere"], "--model needs --data"),
        (["--peers"], "python -m benchmarks.peers"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.lower()


@pytest.mark.usefixtures("small_command")
def test_a_folder_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    assert f"cannot be kept in {tmp_path / 'file'}{os.sep}" in capsys.readouterr().err
