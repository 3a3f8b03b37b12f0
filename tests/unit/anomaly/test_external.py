"""External validation: figures on a clinic's file, and what was done with it is said."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import train_model
from common.patient import LABEL_COLUMN
from server.anomaly.dataset import COLUMNS, rows_of
from server.anomaly.detector import Detector
from server.anomaly.recognition import load_dataset, read_patients
from server.evaluation import __main__ as command
from server.evaluation.__main__ import main
from server.evaluation.external import ExternalValidation, validate
from server.evaluation.report_text import validation_text
from tests.support.estimates import interval
from tests.support.patients import DATA

HEADER, *ROWS = DATA.read_text().splitlines()

Validated = Callable[..., tuple[ExternalValidation, str]]


def changed(row: str, cells: Mapping[str, str]) -> str:
    """A row with other cells under some columns."""
    return ",".join(cells.get(name, cell) for name, cell in zip(HEADER.split(","), row.split(","), strict=True))


def written(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def validated(tmp_path: Path, detector: Detector) -> Validated:
    """Validate on a file; return what was found, and how it is told."""

    def validate_file(rows: list[str] | Path, header: str = HEADER) -> tuple[ExternalValidation, str]:
        path = rows if isinstance(rows, Path) else written(tmp_path / "clinic.csv", rows, header)
        found = validate(read_patients(path, needs_label=False), detector, seed=0, resamples=20)
        return found, validation_text(found, detector.thresholds)

    return validate_file


def test_a_complete_csv_gets_the_figures_that_follow_from_the_models_answers(validated: Validated) -> None:
    found, text = validated(ROWS)
    counts, everybody = found.confusion, found.groups[0]
    assert "303 patients: 164 disease-free, 139 with disease, 0 without label." in text
    raised = sum(counts[label][level] for label in counts for level in ("Medium", "High"))
    assert found.alarms["medium_or_higher"].value == pytest.approx(raised / 303)
    assert everybody.high.sensitivity.value == pytest.approx(counts["with_disease"]["High"] / 139)
    assert everybody.high.false_alarm_rate.value == pytest.approx(counts["disease_free"]["High"] / 164)
    low, auroc, high = interval(found.separation["auroc"])
    assert low < auroc < high
    assert 0.02 < high - low < 0.15


def test_the_figures_are_of_the_scores_that_people_see(validated: Validated, detector: Detector) -> None:
    """With other fields not measured, raw scores order patients otherwise than anomaly scores."""
    found, _ = validated(
        [changed(row, {"Thallium": "", "Slope of ST": ""}) if i % 2 else row for i, row in enumerate(ROWS)]
    )
    has_disease, values = load_dataset(DATA).has_disease, load_dataset(DATA).values.copy()
    values[1::2, [COLUMNS.index(name) for name in ("thallium_scan", "st_slope")]] = np.nan
    said = detector.model.assessments(rows_of(values))
    anomaly, raw = (
        roc_auc_score(has_disease, [getattr(one, kind) for one in said]) for kind in ("anomaly_score", "raw_score")
    )
    assert found.separation["auroc"].value == pytest.approx(anomaly, abs=1e-12)
    assert abs(raw - anomaly) > 1e-6


def test_a_file_that_the_model_was_made_of_is_no_external_validation(validated: Validated, detector: Detector) -> None:
    assert validated(DATA)[1].startswith(
        "Not an external validation: this model was trained and calibrated on heart_disease.csv itself. The figures are"
    )
    assert validated(ROWS[:40])[1].startswith("Model ")
    moved = detector.manifest.data.model_copy(update={"sha256": "0" * 64})
    calibrated = replace(detector, manifest=detector.manifest.model_copy(update={"data": moved}))
    found = validate(read_patients(DATA, needs_label=False), calibrated, seed=0, resamples=5)
    assert list(found.used_to) == ["calibrated"]


def test_a_csv_without_label_column_gets_scores_and_alarm_rates_alone(validated: Validated) -> None:
    found, text = validated([row.rpartition(",")[0] for row in ROWS], HEADER.rpartition(",")[0])
    assert found.alarms == validated(ROWS)[0].alarms
    assert (found.separation, found.groups, found.confusion) == ({}, [], {})
    assert "303 without label" in text
    assert "No patient has a label" in text
    assert "sensitivity" not in text


@pytest.mark.parametrize("rows", [[row for row in ROWS if row.endswith("Absence")], ROWS[:1]])
def test_labels_of_one_kind_and_one_patient_give_the_rates_there_are(validated: Validated, rows: list[str]) -> None:
    found, text = validated(rows)
    assert found.separation == {}
    assert found.groups[0].high.false_alarm_rate.value == found.alarms["high"].value
    assert "All labels are the same" in text
    assert "nan" not in text


def test_the_command_reports_what_the_file_lacks_and_no_patients_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "validate", partial(validate, resamples=20))  # for 2,000 take half a minute
    rows = [
        changed(ROWS[0], {LABEL_COLUMN: ""}),
        changed(ROWS[1], {"Cholesterol": "723"}),
        *(changed(row, {"Slope of ST": ""}) for row in ROWS[2:90]),
    ]
    data = written(tmp_path / "elsewhere.csv", rows)
    assert main(["--data", str(data), "--model", str(detector_dir)]) == 0
    said = capsys.readouterr().out
    for part in (
        "on elsewhere.csv",
        "1 without label.",
        "1 of them have a value outside the range",
        "Recognized the columns by their names, codes uci/367",
        "Slope of ST was not measured in 88 of 90 patients.",
        "AUROC",
    ):
        assert part in said
    assert "723" not in said


def test_a_label_that_is_the_wrong_way_round_is_told_before_any_figure(validated: Validated) -> None:
    exchanged = [row.replace("Absence", "X").replace("Presence", "Absence").replace("X", "Presence") for row in ROWS]
    assert " ".join(validated(exchanged)[1].split()).startswith(
        "The figures below mean nothing if this is true: the label is the wrong way round: 303 rows"
    )


def test_of_very_many_patients_a_random_sample_is_used_and_said(validated: Validated) -> None:
    found, text = validated(ROWS * 34)
    assert len(found.patients.values) == 10_000
    assert "A random sample is used: 10,000 of its 10,302 patients." in text
    assert found.separation["auroc"].value == pytest.approx(validated(ROWS)[0].separation["auroc"].value, abs=0.005)


def test_every_command_answers_a_file_it_cannot_use_with_one_sentence(
    tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, data = tmp_path / "models", written(tmp_path / "clinic.csv", [])
    for call, words in (
        (main, ["--data", data, "--model", detector_dir]),
        (train_model.main, ["--data", data, "--out", models]),
        (train_model.main, ["--recalibrate", data, "--out", models]),
    ):
        assert call([str(word) for word in words]) == 1
        assert capsys.readouterr() == ("", f"{data}: it holds no patients.\n")
    assert not models.exists()


def test_a_model_without_the_signature_of_the_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", "k" * 32)
    assert main(["--data", str(DATA), "--model", str(detector_dir)]) == 1
    assert "is not signed with MODEL_SIGNING_KEY" in capsys.readouterr().err
