"""External validation: a clinic's CSV is taken as it comes, and what was done with it is said."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import train_model
from common.patient import LABEL_COLUMN
from server.anomaly.dataset import COLUMNS, load_dataset, rows_of
from server.anomaly.detector import Detector
from server.evaluation import __main__ as command
from server.evaluation.__main__ import main
from server.evaluation.external import ExternalValidation, validate
from server.evaluation.report_text import validation_text
from tests.support.estimates import interval, known
from tests.support.patients import DATA

HEADER, *ROWS = DATA.read_text().splitlines()

Validated = Callable[..., ExternalValidation]


def changed(row: str, cells: Mapping[str, str]) -> str:
    """A row with other cells under some columns."""
    return ",".join(cells.get(name, cell) for name, cell in zip(HEADER.split(","), row.split(","), strict=True))


def written(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def text_of(found: ExternalValidation, detector: Detector) -> str:
    return validation_text(found, detector.thresholds, data="clinic.csv")


@pytest.fixture
def validated(tmp_path: Path, detector: Detector) -> Validated:
    def validate_rows(rows: list[str], header: str = HEADER) -> ExternalValidation:
        return validate(written(tmp_path / "clinic.csv", rows, header), detector, seed=0, resamples=40)

    return validate_rows


def test_a_complete_csv_gets_the_figures_that_follow_from_the_models_answers(
    validated: Validated, detector: Detector
) -> None:
    found = validated(ROWS)
    counts, everybody = found.confusion, found.groups[0]
    assert "303 patients: 164 disease-free, 139 with disease, 0 without label." in text_of(found, detector)
    raised = sum(counts[label][level] for label in counts for level in ("Medium", "High"))
    assert found.alarms["medium_or_higher"].value == pytest.approx(raised / 303)
    assert everybody.high.sensitivity.value == pytest.approx(counts["with_disease"]["High"] / 139)
    assert everybody.high.false_alarm_rate.value == pytest.approx(counts["disease_free"]["High"] / 164)
    low, auroc, high = interval(found.separation["AUROC"])
    assert low < auroc < high
    assert 0.02 < high - low < 0.15


def test_the_figures_are_of_the_scores_that_people_see(validated: Validated, detector: Detector) -> None:
    """With other fields not measured, raw scores order patients otherwise than anomaly scores."""
    rows = [changed(row, {"Thallium": "", "Slope of ST": ""}) if i % 2 else row for i, row in enumerate(ROWS)]
    found = validated(rows)
    has_disease, values = load_dataset(DATA).has_disease, load_dataset(DATA).values.copy()
    values[1::2, [COLUMNS.index(name) for name in ("thallium_scan", "st_slope")]] = np.nan
    said = [detector.model.assessment(list(patient)) for patient in rows_of(values)]
    for name, figure in (("AUROC", roc_auc_score), ("AUPRC", average_precision_score)):
        anomaly, raw = (
            figure(has_disease, [getattr(one, kind) for one in said]) for kind in ("anomaly_score", "raw_score")
        )
        assert found.separation[name].value == pytest.approx(anomaly, abs=1e-12)
        assert abs(raw - anomaly) > 1e-6


def test_a_file_that_the_model_was_made_of_is_no_external_validation(detector: Detector, tmp_path: Path) -> None:
    own = validate(DATA, detector, seed=0, resamples=5)
    assert validation_text(own, detector.thresholds, data=DATA.name).startswith(
        "Not an external validation: this model was trained and calibrated on heart_disease.csv itself. The figures are"
    )
    other = validate(written(tmp_path / "other.csv", ROWS[:40]), detector, seed=0, resamples=5)
    assert validation_text(other, detector.thresholds, data="other.csv").startswith("Model ")
    moved = detector.manifest.data.model_copy(update={"sha256": "0" * 64})
    calibrated = replace(detector, manifest=detector.manifest.model_copy(update={"data": moved}))
    assert list(validate(DATA, calibrated, seed=0, resamples=5).used_to) == ["calibrated"]


@pytest.mark.parametrize("zero", ["0", "0.0", " 0 "])
def test_a_blood_pressure_or_cholesterol_of_zero_counts_as_an_empty_cell(
    validated: Validated, detector: Detector, zero: str
) -> None:
    as_zero, as_gap = (
        validated([changed(row, {"Cholesterol": cell, "BP": cell}) for row in ROWS[:40]]) for cell in (zero, "")
    )
    assert text_of(as_zero, detector) == text_of(as_gap, detector)
    assert "Cholesterol was not measured in 40 of 40 patients." in text_of(as_zero, detector)


def test_columns_without_any_value_are_fine(validated: Validated, detector: Detector) -> None:
    empty = {"Slope of ST": "", "Number of vessels fluro": "?", "Thallium": ""}
    found = validated([changed(row, empty) for row in ROWS])
    text = text_of(found, detector)
    assert all(f"{column} was not measured in 303 of 303 patients." in text for column in empty)
    assert 0.7 < known(found.separation["AUROC"].value) < known(validated(ROWS).separation["AUROC"].value)


def test_a_csv_without_label_column_gets_scores_and_alarm_rates_alone(validated: Validated, detector: Detector) -> None:
    found = validated([row.rpartition(",")[0] for row in ROWS], HEADER.rpartition(",")[0])
    with_labels = validated(ROWS)
    assert (found.alarms, found.score_quantiles) == (with_labels.alarms, with_labels.score_quantiles)
    assert (found.separation, found.groups, found.confusion) == ({}, [], {})
    text = text_of(found, detector)
    assert "303 without label" in text
    assert "No patient has a label" in text
    assert "sensitivity" not in text


@pytest.mark.parametrize("rows", [[row for row in ROWS if row.endswith("Absence")], ROWS[:1]])
def test_labels_of_one_kind_and_one_patient_give_the_rates_there_are(
    validated: Validated, detector: Detector, rows: list[str]
) -> None:
    found = validated(rows)
    assert found.separation == {}
    assert found.groups[0].high.false_alarm_rate.value == found.alarms["high"].value
    assert "All labels are the same" in text_of(found, detector)
    assert "nan" not in text_of(found, detector)


def test_the_command_reports_on_a_csv_with_every_defect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "RESAMPLES", 40)
    rows = [
        changed(ROWS[0], {"Cholesterol": "0", "Thallium": "?"}),
        changed(ROWS[1], {"BP": "777"}),
        changed(ROWS[2], {LABEL_COLUMN: ""}),
        changed(ROWS[3], {"Cholesterol": "777"}),
        *(changed(row, {"Slope of ST": ""}) for row in ROWS[4:90]),
    ]
    data = written(tmp_path / "elsewhere.csv", rows)
    assert main(["--data", str(data), "--model", str(detector_dir)]) == 0
    said = capsys.readouterr().out
    for part in (
        "on elsewhere.csv",
        "1 without label.",
        "1 of them have a value outside the range",
        "Rows left out: 1.\n  Row 3: column BP must be between 40 and 300 mm Hg.",
        "Slope of ST was not measured in 86 of 89 patients.",
        "AUROC",
    ):
        assert part in said
    assert "777" not in said


def test_of_rows_left_out_the_first_fifty_are_named_and_a_bias_is_told_before_any_figure(
    validated: Validated, detector: Detector
) -> None:
    bad = changed(ROWS[0], {"Sex": "9"})
    many = text_of(validated([*ROWS[:3], *[bad] * 60]), detector)
    assert many.count("column Sex") == 50
    assert "and 10 more." in many
    assert "biased" not in text_of(validated([bad, *ROWS[:19]]), detector)
    assert text_of(validated([bad, bad, *ROWS[:37]]), detector).startswith(
        "2 of 39 rows were left out: the figures are those of the rest, which may be a biased choice.\n\nModel "
    )


def as_bytes(rows: Iterable[str], *, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join(f"{row}{end}" for row in rows).encode(encoding)


SOME = [HEADER, *ROWS[:40]]
SAME_PATIENTS: dict[str, bytes] = {
    "as it is": as_bytes(SOME),
    "byte order mark": as_bytes(SOME, encoding="utf-8-sig"),
    "Windows line ends": as_bytes(SOME, end="\r\n"),
    "old Macintosh line ends": as_bytes(SOME, end="\r"),
    "quoted cells": as_bytes('"' + row.replace(",", '","') + '"' for row in SOME),
    "columns in another order": as_bytes(",".join(row.split(",")[::-1]) for row in SOME),
    "a column more": as_bytes([f"{HEADER},Ward", *(f"{row},3b" for row in ROWS[:40])]),
    "spaces around": as_bytes([HEADER, *(row.replace(",", " , ") for row in ROWS[:40])]),
}


@pytest.mark.parametrize("form", SAME_PATIENTS)
def test_a_csv_in_any_usual_form_gives_the_same_answer(tmp_path: Path, detector: Detector, form: str) -> None:
    answers = []
    for name in ("as it is", form):
        (tmp_path / "clinic.csv").write_bytes(SAME_PATIENTS[name])
        answers.append(validate(tmp_path / "clinic.csv", detector, seed=0, resamples=20))
    assert text_of(answers[0], detector) == text_of(answers[1], detector)
    assert answers[0].score_quantiles == answers[1].score_quantiles
    assert len(answers[0].survey.patients) == 40


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "semicolons": (
        as_bytes(row.replace(",", ";") for row in SOME),
        "Its cells must be separated by commas, and its numbers written with a decimal point.",
    ),
    "another header": (as_bytes([HEADER.replace("BP", "RR"), *ROWS[:40]]), "lacks the column BP."),
    "UTF-16": (as_bytes(SOME, encoding="utf-16"), "is not encoded in UTF-8: save it as CSV UTF-8."),
    "a quote that never ends": (as_bytes([*SOME, '63,"1']), "cannot be read as a CSV file"),
    "every label unknown": (
        as_bytes([HEADER, *(row.replace("Presence", "1").replace("Absence", "0") for row in ROWS[:40])]),
        "column Heart Disease must be one of: Absence, Presence; write the word for the number: ",
    ),
}
"""Files that neither validation nor training can use, and what is said of them."""


@pytest.mark.parametrize("form", UNUSABLE)
def test_every_command_answers_a_file_it_cannot_use_with_one_sentence(
    tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    content, sentence = UNUSABLE[form]
    data, models = tmp_path / "clinic.csv", tmp_path / "models"
    data.write_bytes(content)
    for call, words in (
        (main, ["--data", data, "--model", detector_dir]),
        (train_model.main, ["--data", data, "--out", models]),
        (train_model.main, ["--recalibrate", data, "--out", models]),
    ):
        assert call([str(word) for word in words]) == 1
        said = capsys.readouterr()
        assert sentence in said.err
        assert said.out == ""
        assert said.err.count("\n") == 1 or said.err.endswith("and 20 more rows.\n")
    assert not models.exists()


def test_without_a_model_or_its_signature_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(DATA), "--model", str(tmp_path)]) == 1
    assert "Run: python train_model.py" in capsys.readouterr().err
    monkeypatch.setenv("MODEL_SIGNING_KEY", "k" * 32)
    assert main(["--data", str(DATA), "--model", str(detector_dir)]) == 1
    assert "is not signed with MODEL_SIGNING_KEY" in capsys.readouterr().err
