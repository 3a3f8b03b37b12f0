"""The training command: what it prints, what it refuses, and how it ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

import train_model
from config.secret_store import PROJECT_ROOT
from server.anomaly.artifact import load_detector

HEADER, *ROWS = (PROJECT_ROOT / "data" / "heart_disease.csv").read_text().splitlines()

SMALL = {
    "MODEL_N_ESTIMATORS": "50",
    "MODEL_CALIBRATION_FOLDS": "4",
    "MODEL_EVALUATION_FOLDS": "2",
    "MODEL_WORKERS": "2",
}

WriteCsv = Callable[..., Path]


@pytest.fixture
def csv_file(tmp_path: Path) -> WriteCsv:
    def write(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "clinic.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def run(
    *words: str | Path, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as people do; ``options`` are the interpreter's."""
    return subprocess.run(
        [sys.executable, *options, str(PROJECT_ROOT / "train_model.py"), *map(str, words)],
        env=os.environ | dict(environment or {}),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def refusal(capsys: pytest.CaptureFixture[str], data: Path, out: Path) -> str:
    assert train_model.main(["--data", str(data), "--out", str(out)]) == 1
    assert not out.exists()
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.strip()


def test_a_model_is_trained_reported_and_saved(tmp_path: Path) -> None:
    done = run("--out", tmp_path / "model", environment=SMALL)
    assert done.returncode == 0, done.stderr
    assert "AUROC" in done.stdout
    assert "303 (164 disease-free, 139 with disease)" in done.stdout
    assert "14 of 14 forests fitted" in done.stderr
    assert load_detector(tmp_path / "model").model_version in done.stdout


def test_a_bad_row_ends_the_command_with_one_sentence_that_names_row_and_column(
    csv_file: WriteCsv, tmp_path: Path
) -> None:
    done = run("--data", csv_file(ROWS[0], ROWS[1].replace("67,1,4,", "67,1,9,")), "--out", tmp_path / "model")
    assert done.returncode == 1
    assert done.stderr.startswith("Row 3: column Chest pain type must be one of: 1 (typical angina)")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROWS[0].replace("63,1,1,145", "63,1,1,500"), "Row 2: column BP must be between 40 and 300 mm Hg."),
        (ROWS[0].replace("63,1,1,145", "63,1,1,high"), "Row 2: column BP must be a number."),
        (ROWS[0].replace("63,1,", "63,,"), "Row 2: column Sex is required."),
        (ROWS[0].replace("Absence", "Unclear"), "Row 2: column Heart Disease must be one of: Absence, Presence."),
        (ROWS[0].replace("Absence", ""), "Row 2: column Heart Disease must be one of: Absence, Presence."),
        (ROWS[0] + ",7", "Row 2 has another number of cells than the header."),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_column(
    csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, said: str
) -> None:
    assert refusal(capsys, csv_file(row), tmp_path / "model") == said


def test_a_missing_column_is_named(csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = csv_file(*ROWS, header=HEADER.replace("Thallium", "Thal"))
    assert refusal(capsys, data, tmp_path / "model").endswith("clinic.csv lacks the column Thallium.")


def test_patients_who_all_have_disease_are_refused(
    csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = csv_file(*(row for row in ROWS if row.endswith("Presence")))
    assert "clinic.csv holds no disease-free patients" in refusal(capsys, data, tmp_path / "model")


def test_too_few_disease_free_patients_are_refused(
    csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, csv_file(*ROWS[:30]), tmp_path / "model")
    assert "each tree is grown on 16" in said


def test_a_field_that_was_never_measured_is_named_without_a_traceback(csv_file: WriteCsv, tmp_path: Path) -> None:
    data = csv_file(*(",".join([*row.split(",")[:-2], "", row.split(",")[-1]]) for row in ROWS))
    done = run("--data", data, "--out", tmp_path / "model", environment=SMALL)
    assert done.returncode == 1
    assert done.stderr.startswith("Column Thallium was measured in too few disease-free patients")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be read as a CSV file" in refusal(capsys, tmp_path / "none.csv", tmp_path / "model")


def test_a_setting_out_of_its_bounds_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_N_ESTIMATORS", "7")
    with pytest.raises(SystemExit) as caught:
        train_model.main([])
    assert caught.value.code == 2
    assert "MODEL_N_ESTIMATORS input should be greater than or equal to 50" in capsys.readouterr().err


def test_thresholds_that_do_not_ascend_are_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_MEDIUM_THRESHOLD", "0.97")
    with pytest.raises(SystemExit) as caught:
        train_model.main([])
    assert caught.value.code == 2
    assert "MODEL_MEDIUM_THRESHOLD must be below MODEL_HIGH_THRESHOLD" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        train_model.main(["--fast"])
    assert caught.value.code == 2
    assert "--fast" in capsys.readouterr().err


def test_without_its_packages_the_command_says_what_to_run() -> None:
    done = run(options=["-S"])
    assert done.returncode == 1
    assert done.stderr.endswith("Run: pip install -r requirements.txt && pip install -e . --no-deps\n")
    assert "Traceback" not in done.stderr
