"""The evaluation command and the library behind it: what a fold may see, and folds that are kept."""

import json
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_equal

from common.messages import Thresholds
from config.secrets import PROJECT_ROOT
from server.anomaly.dataset import Dataset
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import SHOWN, Evaluation
from server.evaluation.__main__ import main
from server.evaluation.cross_validation import code_files, cross_validate
from server.evaluation.folds import evaluate_fold
from server.evaluation.measures import FoldResult, evaluation_of
from server.evaluation.report_text import evaluation_text, missed_targets, summary_text
from server.evaluation.splits import Fold, evaluation_folds, folds_of_repeat
from tests.support.estimates import ours
from tests.support.patients import real_patients, small_training, some_patients

THRESHOLDS = Thresholds(medium=0.8, high=0.95)


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


def test_each_repeat_holds_out_patients_another_way() -> None:
    settings = small_training().model_copy(update={"random_state": 2**32 - 1})  # the next seed is 0
    first, second = (folds_of_repeat(real_patients(), settings, repeat)[0].fit.scored.tolist() for repeat in range(2))
    assert first != second


def test_the_first_repeat_is_the_evaluation_of_a_training(results: list[FoldResult], detector: Detector) -> None:
    first = evaluation_of(real_patients(), results[:2], THRESHOLDS, folds=2)
    recorded = detector.manifest.evaluation
    assert first.figures.keys() == recorded.figures.keys() == SHOWN.keys()
    assert (first.groups, first.confusion) == (recorded.groups, recorded.confusion)
    assert detector.metrics["auroc"] == ours(first, "auroc") == ours(recorded, "auroc") > 0.85
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


def test_false_alarms_at_high_meet_their_target_with_three_tests_not_measured_too(evaluation: Evaluation) -> None:
    assert not {"false_alarm_rate_high", "blanked_false_alarm_rate_high"} & set(missed_targets(evaluation))


def test_the_report_names_every_figure_its_target_and_whether_it_is_met(evaluation: Evaluation) -> None:
    lines = evaluation_text(evaluation, THRESHOLDS).splitlines()
    with_target = [(name, shown) for name, shown in SHOWN.items() if shown.target]
    for name, shown in with_target:
        (said,) = (text for text in lines if text.startswith(f"{shown.title:<60}"))
        assert (" NO" if name in missed_targets(evaluation) else " yes") in said
        assert f" {shown.target}" in said
    assert f"{len(missed_targets(evaluation))} of {len(with_target)} targets missed." in lines
    assert max(map(len, lines)) <= 120


def test_kept_folds_are_not_measured_again_and_missing_or_damaged_ones_are(
    results: list[FoldResult], kept_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(kept_in, tmp_path / "copy"))

    def progress_of_the_same_again() -> str:
        found = cross_validate(evaluate_fold, real_patients(), small_training(), copy, repeats=2)
        assert_equal([asdict(fold) for fold in found], [asdict(fold) for fold in results])
        return capsys.readouterr().err

    assert progress_of_the_same_again() == ""
    damaged, missing, *_ = copy.rglob("output.pkl")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    shutil.rmtree(missing.parent)
    assert progress_of_the_same_again().endswith("Evaluating: 1 of 1 folds\n")


def made_of(_: Fold) -> None:
    """A measure that takes no time."""


def test_a_kept_fold_belongs_to_values_labels_settings_code_and_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, settings = real_patients(), small_training()
    values, has_disease = whole.values.copy(), whole.has_disease.copy()
    values[0, 0] += 1
    has_disease[0] = not has_disease[0]

    def measured_again(dataset: Dataset, **changes: object) -> bool:
        changed = settings.model_copy(update=changes)
        cross_validate(made_of, dataset, changed, tmp_path, repeats=1)
        return "Evaluating" in capsys.readouterr().err

    assert measured_again(whole)
    assert not measured_again(replace(whole, name="copy.csv", sha256="0" * 64, values=whole.values.copy()), workers=2)
    assert measured_again(replace(whole, values=values))
    assert measured_again(replace(whole, has_disease=has_disease))
    assert measured_again(whole, high_threshold=0.97)
    monkeypatch.setattr(platform, "python_version", lambda: "3.0.0")
    assert measured_again(whole)
    cross_validate(is_dataclass, whole, settings, tmp_path, repeats=1)  # any other code
    assert "Evaluating: 2 of 2 folds" in capsys.readouterr().err


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


def test_one_patient_with_disease_gives_all_figures_and_no_nan(tmp_path: Path) -> None:
    site = some_patients(disease_free=60, diseased=1)
    results = cross_validate(evaluate_fold, site, small_training(), tmp_path)
    found = evaluation_of(site, results, THRESHOLDS, folds=2)
    assert found.design.startswith("1 x 2-fold cross-validation, not stratified by label, of 60 disease-free")
    assert {"auroc", "sensitivity_high"} <= found.figures.keys()
    assert 0 <= ours(found, "false_alarm_rate_high") < 0.2
    for text in (evaluation_text(found, THRESHOLDS), summary_text(found, THRESHOLDS)):
        assert "nan" not in text
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_the_command_prints_the_table_and_names_a_folder_it_cannot_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"MODEL_N_ESTIMATORS": "50", "MODEL_CALIBRATION_FOLDS": "2", "MODEL_WORKERS": "1"}
    for name, value in (small | {"DATA_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    words = ["--folds", "2", "--repeats", "1"]
    assert main(words) == 1
    first = capsys.readouterr()
    assert re.search(r"\n[1-9]\d* of 18 targets missed\.\n", first.out)
    assert first.out.startswith("1 x 2-fold stratified cross-validation")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    assert main(words) == 1
    assert f"cannot be kept in {tmp_path / 'file'}" in capsys.readouterr().err
