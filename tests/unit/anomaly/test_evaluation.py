"""The evaluation command and the library behind it: what a fold may see, and folds that are kept."""

import json
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
from server.anomaly.dataset import COLUMNS
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import SHOWN, Evaluation
from server.evaluation.__main__ import main
from server.evaluation.cross_validation import code_files, cross_validate, kept_repeats
from server.evaluation.figures import evaluation_of
from server.evaluation.folds import FoldResult, evaluate_fold, worsened
from server.evaluation.new_version import trained_version
from server.evaluation.references import usual_forest_scores
from server.evaluation.report_text import TARGETS, evaluation_text, missed_targets, summary_text
from server.evaluation.splits import Fold, evaluation_folds, folds_of_repeat, reseeded
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
    return cross_validate(evaluate_fold, real_patients(), small_training(), kept_in, repeats=2)


@pytest.fixture(scope="module")
def evaluation(results: list[FoldResult]) -> Evaluation:
    return evaluation_of(real_patients(), results, THRESHOLDS, folds=2)


def test_every_measured_finding_that_can_is_made_worse_alone() -> None:
    first = real_patients().values[:1].copy()
    first[0, COLUMNS.index("thallium_scan")] = 7
    first[0, COLUMNS.index("cholesterol")] = np.nan
    owners, changed = worsened(first)
    differing = [np.flatnonzero(~np.isclose(row, first[0], equal_nan=True)).tolist() for row in changed]
    at_worst = {name for name, f in FIELDS.items() if f.codes and first[0, COLUMNS.index(name)] == max(f.codes)}
    assert set(owners) == {0}
    assert sorted(COLUMNS[column] for (column,) in differing) == sorted(
        set(FIELDS) - {"age", "sex", "cholesterol"} - at_worst
    )


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


def test_each_repeat_holds_out_every_patient_once_and_another_way() -> None:
    folds = [folds_of_repeat(real_patients(), small_training(), repeat) for repeat in range(2)]
    for of_repeat in folds:
        assert sorted(row for fold in of_repeat for row in fold.fit.scored) == list(range(303))
    assert folds[0][0].fit.scored.tolist() != folds[1][0].fit.scored.tolist()
    assert reseeded(TrainingSettings(random_state=2**32 - 1), 1).random_state == 0


def test_the_first_repeat_is_the_evaluation_of_a_training(results: list[FoldResult], detector: Detector) -> None:
    first = evaluation_of(real_patients(), results[:2], THRESHOLDS, folds=2)
    recorded = detector.manifest.evaluation
    assert first.figures.keys() == recorded.figures.keys() >= TARGETS.keys()
    for name in ("auroc", "false_alarm_rate_high", "sensitivity_high", "blanked_auroc"):
        assert ours(first, name) == ours(recorded, name)
    assert (first.groups, first.confusion) == (recorded.groups, recorded.confusion)
    assert detector.metrics["auroc"] == ours(first, "auroc") > 0.85
    assert detector.metrics["high"]["sensitivity"] == ours(first, "sensitivity_high") > 0.4


def test_nobody_with_disease_takes_part_in_fit_and_calibration() -> None:
    """What the ill are like changes the supervised scores, and nothing else that is said of the others."""
    dataset, settings = real_patients(), small_training()
    fold = evaluation_folds(dataset, settings)[0]
    changed = dataset.values.copy()
    ill = np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.scored)
    changed[ill] = dataset.values[dataset.disease_free[0]]
    other = replace(dataset, values=changed)
    before, after = (asdict(evaluate_fold(Fold(1, 0, settings, fold, data))) for data in (dataset, other))
    supervised = "auroc_less_logistic_regression"
    assert before["ours"].pop(supervised) != after["ours"].pop(supervised)
    assert before["usual"].pop(supervised) != after["usual"].pop(supervised)
    assert_equal(before, after)


def test_two_seeds_worse_findings_and_the_explanation_are_put_to_the_proof(evaluation: Evaluation) -> None:
    assert ours(evaluation, "additivity_gap") < 1e-9
    assert ours(evaluation, "top_three_against_random") > 2
    assert 0.8 < ours(evaluation, "top_three_against_best") <= 1
    assert 0.9 < ours(evaluation, "two_seeds_spearman") < 1
    assert 0 < ours(evaluation, "two_seeds_level_changes") < 0.5
    assert 0 < ours(evaluation, "worse_finding_lowers") < 0.05


def test_the_report_names_every_figure_its_target_and_whether_it_is_met(evaluation: Evaluation) -> None:
    lines = evaluation_text(evaluation, THRESHOLDS).splitlines()
    for name, target in TARGETS.items():
        (said,) = (text for text in lines if text.startswith(f"{SHOWN[name].title:<60}"))
        assert (" NO" if name in missed_targets(evaluation) else " yes") in said
        assert f" {target.sign} " in said
    assert f"{len(missed_targets(evaluation))} of {len(TARGETS)} targets missed." in lines
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
def test_whole_repeats_are_counted_and_belong_to_values_labels_settings_code_and_python(
    kept_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, settings = real_patients(), small_training()
    values, has_disease = whole.values.copy(), whole.has_disease.copy()
    values[0, 0] += 1
    has_disease[0] = not has_disease[0]
    for kept, dataset, changes in (
        (2, replace(whole, name="copy.csv", sha256="0" * 64, values=whole.values.copy()), {"workers": 2}),
        (0, replace(whole, values=values), {}),
        (0, replace(whole, has_disease=has_disease), {}),
        (0, whole, {"calibration_by_age": True}),
        (0, whole, {"high_threshold": 0.97}),
    ):
        assert kept_repeats(evaluate_fold, dataset, settings.model_copy(update=changes), kept_in) == kept
    assert kept_repeats(lambda _: None, whole, settings, kept_in) == 0
    monkeypatch.setattr(platform, "python_version", lambda: "3.0.0")
    assert kept_repeats(evaluate_fold, whole, settings, kept_in) == 0


@pytest.mark.usefixtures("results")
def test_what_is_written_beside_a_kept_fold_holds_no_patient(kept_in: Path) -> None:
    described = [json.loads(path.read_text())["input_args"] for path in kept_in.rglob("metadata.json")]
    assert [set(arguments) for arguments in described] == [{"made_of", "repeat", "number"}] * 4
    assert "values" not in repr(folds_of_repeat(real_patients(), small_training(), 0)[0])


def test_the_code_that_counts_is_all_of_the_project_that_evaluating_a_fold_imports() -> None:
    code = (
        f"import sys, {evaluate_fold.__module__} as m\nfor m in sys.modules.values(): print(getattr(m, '__file__', ''))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    ours = {path for path in map(Path, loaded) if path.is_relative_to(PROJECT_ROOT) and ".venv" not in path.parts}
    assert PROJECT_ROOT / "common" / "patient.py" in ours
    assert {path for path in ours if path.read_text().count("\n") > 1} <= code_files()


def test_a_training_records_what_an_evaluation_kept_and_works_nothing_out_again(
    evaluation: Evaluation, kept_in: Path
) -> None:
    made_at, watch = datetime(2026, 1, 1, tzinfo=UTC), Counted()
    new = trained_version(real_patients(), small_training(), kept_in, made_at=made_at, watch_evaluation=watch)
    assert watch.totals == []
    assert new.evaluation == evaluation


def test_by_age_the_old_raise_fewer_false_alarms(results: list[FoldResult], tmp_path: Path) -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    by_age = cross_validate(evaluate_fold, real_patients(), settings, tmp_path, repeats=1)
    apart, together = (
        evaluation_of(real_patients(), folds, THRESHOLDS, folds=2).groups[-1] for folds in (by_age, results[:2])
    )
    assert apart.name == "age 60 and over"
    rates = [known(group.medium_or_higher.false_alarm_rate.value) for group in (apart, together)]
    assert rates[0] < rates[1] - 0.05


@pytest.mark.parametrize("diseased", [0, 1])
def test_without_patients_with_disease_there_are_false_alarms_alone(tmp_path: Path, diseased: int) -> None:
    site = some_patients(disease_free=60, diseased=diseased)
    results = cross_validate(evaluate_fold, site, small_training(), tmp_path, repeats=1)
    found = evaluation_of(site, results, THRESHOLDS, folds=2)
    assert found.design.startswith("1 x 2-fold cross-validation, not stratified by label, of 60 disease-free")
    assert ("auroc" in found.figures, "sensitivity_high" in found.figures) == (diseased > 0, diseased > 0)
    assert 0 <= ours(found, "false_alarm_rate_high") < 0.2
    for text in (evaluation_text(found, THRESHOLDS), summary_text(found, THRESHOLDS)):
        assert "nan" not in text
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


@pytest.fixture
def small_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"N_ESTIMATORS": 50, "CALIBRATION_FOLDS": 2, "WORKERS": 1}.items():
        monkeypatch.setenv(f"MODEL_{name}", str(value))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


@pytest.mark.usefixtures("small_command")
def test_the_command_prints_the_table_and_keeps_the_folds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    first = capsys.readouterr()
    assert re.search(r"\n[1-9]\d* of 17 targets missed\.\n", first.out)
    assert first.out.startswith("1 x 2-fold stratified cross-validation")
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    second = capsys.readouterr()
    assert (second.out, second.err) == (first.out, "")


@pytest.mark.usefixtures("small_command")
def test_a_folder_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    assert main(["--folds", "2", "--repeats", "1"]) == 1
    assert f"cannot be kept in {tmp_path / 'file'}{os.sep}" in capsys.readouterr().err
