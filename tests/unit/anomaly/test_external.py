"""External validation: a clinic's CSV is taken as it comes, and what was done with it is said."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import train_model
from common.csv_rows import survey_patients
from common.errors import InvalidDataError
from common.patient import LABEL_COLUMN
from server.anomaly import dataset
from server.anomaly.dataset import load_dataset
from server.anomaly.detector import Detector
from server.evaluation import __main__ as command
from server.evaluation.__main__ import main
from server.evaluation.external import ExternalValidation, validate
from server.evaluation.report_text import validation_text
from tests.support.estimates import interval, known
from tests.support.patients import DATA

HEADER, *ROWS = DATA.read_text().splitlines()
COLUMNS = HEADER.split(",")

Validated = Callable[..., ExternalValidation]


def changed(row: str, cells: Mapping[str, str]) -> str:
    """A row with other cells under some columns."""
    return ",".join(cells.get(column, cell) for column, cell in zip(COLUMNS, row.split(","), strict=True))


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
    has_disease = load_dataset(DATA).has_disease
    alarms = found.alarms["medium_or_higher"].value
    counts = found.confusion
    assert "303 patients: 164 disease-free, 139 with disease, 0 without label." in text_of(found, detector)
    assert list(found.survey.left_out) == []
    assert sum(counts["disease_free"].values()) == 164
    raised = sum(counts[label][level] for label in counts for level in ("Medium", "High"))
    assert alarms == pytest.approx(raised / 303)
    everybody = found.groups[0]
    assert everybody.high.sensitivity.value == pytest.approx(counts["with_disease"]["High"] / 139)
    assert everybody.high.false_alarm_rate.value == pytest.approx(counts["disease_free"]["High"] / 164)
    answers = detector.assess([patient.record for patient in survey_patients(DATA).patients])
    expected = roc_auc_score(has_disease, [said.anomaly_score for said in answers])
    low, auroc, high = interval(found.separation["AUROC"])
    assert auroc == pytest.approx(expected)
    assert low < auroc < high
    assert 0.02 < high - low < 0.15


def test_the_figures_are_of_the_scores_that_people_see_as_those_of_the_model_card_are(
    validated: Validated, detector: Detector
) -> None:
    """With other fields not measured, raw scores order patients otherwise than anomaly scores."""
    rows = [changed(row, {"Thallium": "", "Slope of ST": ""}) if i % 2 else row for i, row in enumerate(ROWS)]
    found = validated(rows)
    has_disease, values = load_dataset(DATA).has_disease, load_dataset(DATA).values.copy()
    values[1::2, [dataset.COLUMNS.index(name) for name in ("thallium_scan", "st_slope")]] = np.nan
    model = detector.model
    anomaly = model.anomaly_scores(values)
    raw = -model.forest.score_samples(model.preprocessor.factors(model.preprocessor.impute(values)))
    for name, figure in (("AUROC", roc_auc_score), ("AUPRC", average_precision_score)):
        assert found.separation[name].value == pytest.approx(figure(has_disease, anomaly), abs=1e-12)
        assert abs(figure(has_disease, raw) - figure(has_disease, anomaly)) > 1e-6


def test_no_alarm_among_a_few_patients_is_no_proof_of_a_rate_of_zero(validated: Validated) -> None:
    found = validated([ROWS[i] for i in (5, 7, 10)])
    low, value, high = interval(found.alarms["high"])
    assert (low, value, high) == pytest.approx((0, 0, 0.5615), abs=1e-4)


def test_a_file_that_the_model_was_made_of_is_no_external_validation(detector: Detector, tmp_path: Path) -> None:
    theirs = detector.manifest.data
    other = validate(written(tmp_path / "other.csv", ROWS[:40]), detector, seed=0, resamples=5)
    own = validate(DATA, detector, seed=0, resamples=5)
    assert (list(own.used_to), list(other.used_to)) == (["trained", "calibrated"], [])
    said = validation_text(own, detector.thresholds, data=DATA.name)
    assert said.startswith(
        "Not an external validation: this model was trained and calibrated on heart_disease.csv itself. The figures are"
    )
    assert validation_text(other, detector.thresholds, data="other.csv").startswith("Model ")
    moved = theirs.model_copy(update={"sha256": "0" * 64})
    calibrated = replace(detector, manifest=detector.manifest.model_copy(update={"data": moved}))
    assert list(validate(DATA, calibrated, seed=0, resamples=5).used_to) == ["calibrated"]


@pytest.mark.parametrize("zero", ["0", "0.0", " 0 "])
def test_a_blood_pressure_or_cholesterol_of_zero_is_not_measured_and_counted(
    validated: Validated, detector: Detector, zero: str
) -> None:
    rows = [changed(ROWS[0], {"Cholesterol": zero, "BP": ""}), changed(ROWS[1], {"BP": zero}), *ROWS[2:20]]
    text = text_of(validated(rows), detector)
    assert "Cholesterol was not measured in 1 of 20 patients, 1 of these given as 0." in text
    assert "BP was not measured in 2 of 20 patients, 1 of these given as 0." in text


def test_a_zero_counts_as_an_empty_cell_would(validated: Validated) -> None:
    as_zero = validated([changed(row, {"Cholesterol": "0"}) for row in ROWS[:40]])
    as_gap = validated([changed(row, {"Cholesterol": ""}) for row in ROWS[:40]])
    assert as_zero.score_quantiles == as_gap.score_quantiles
    assert as_zero.separation == as_gap.separation


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Max HR", "0"),
        ("Age", ""),
        ("Thallium", "5"),
        ("ST depression", "none"),
        (LABEL_COLUMN, "7"),
    ],
)
def test_a_row_with_an_impossible_value_is_left_out_and_named_without_the_value(
    validated: Validated, column: str, cell: str
) -> None:
    found = validated([ROWS[0], changed(ROWS[1], {column: cell}), *ROWS[2:10]])
    (said,) = found.survey.left_out
    assert said.startswith("Row 3: column " + column)
    assert len(found.survey.patients) == 9
    if cell not in {"", "0", "7", "5"}:  # these may be part of what is possible
        assert cell not in said.replace(column, "")


def test_zeros_of_rows_that_are_left_out_are_not_counted(validated: Validated) -> None:
    found = validated([*ROWS[:5], changed(ROWS[5], {"Cholesterol": "0", "Sex": "9"})])
    assert "cholesterol" not in found.survey.zeros


def test_columns_without_any_value_are_fine(validated: Validated, detector: Detector) -> None:
    empty = {"Slope of ST": "", "Number of vessels fluro": "?", "Thallium": ""}
    found = validated([changed(row, empty) for row in ROWS])
    text = text_of(found, detector)
    assert all(f"{column} was not measured in 303 of 303 patients." in text for column in empty)
    without, complete = (known(one.separation["AUROC"].value) for one in (found, validated(ROWS)))
    assert 0.7 < without < complete


def test_a_csv_without_label_column_gets_scores_and_alarm_rates_alone(validated: Validated, detector: Detector) -> None:
    found = validated([row.rpartition(",")[0] for row in ROWS], HEADER.rpartition(",")[0])
    with_labels = validated(ROWS)
    assert found.alarms == with_labels.alarms
    assert found.score_quantiles == with_labels.score_quantiles
    assert (found.separation, found.groups, found.confusion) == ({}, [], {})
    text = text_of(found, detector)
    assert "303 without label" in text
    assert "No patient has a label" in text
    assert "sensitivity" not in text


def test_patients_without_label_count_for_the_scores_alone(validated: Validated) -> None:
    rows = [changed(row, {LABEL_COLUMN: "?"}) for row in ROWS[:100]] + ROWS[100:]
    found = validated(rows)
    assert (len(found.survey.patients), found.groups[0].disease_free + found.groups[0].with_disease) == (303, 203)
    assert found.separation == validated(ROWS[100:]).separation


def test_labels_of_one_kind_give_the_rates_there_are(validated: Validated, detector: Detector) -> None:
    found = validated([row for row in ROWS if row.endswith("Absence")])
    assert found.separation == {}
    assert found.groups[0].high.false_alarm_rate.value == found.alarms["high"].value
    text = text_of(found, detector)
    assert "All labels are the same" in text
    assert "nan" not in text


def test_one_patient_is_enough(validated: Validated, detector: Detector) -> None:
    found = validated(ROWS[:1])
    assert len(found.survey.patients) == 1
    assert "nan" not in text_of(found, detector)


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (ROWS[:3], HEADER.replace("Thallium", "Thal"), "lacks the column Thallium"),
        ([], HEADER, "holds no patients"),
        ([changed(ROWS[0], {"Sex": ""})], HEADER, "no patient that can be used. Row 2: column Sex is required"),
        (['63,"1'], HEADER, "cannot be read as a CSV file"),
        ([], " ", "lacks the columns Age, Sex"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused(
    validated: Validated, rows: list[str], header: str, said: str
) -> None:
    with pytest.raises(InvalidDataError, match=said):
        validated(rows, header)


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
    assert "on elsewhere.csv" in said
    assert "1 without label." in said
    assert "1 of them have a value outside the range" in said
    assert "Rows left out: 1.\n  Row 3: column BP must be between 40 and 300 mm Hg." in said
    assert "Cholesterol was not measured in 1 of 89 patients, 1 of these given as 0." in said
    assert "Slope of ST was not measured in 86 of 89 patients." in said
    assert "777" not in said
    assert "AUROC" in said


def test_many_rows_left_out_are_counted_after_the_first_fifty(validated: Validated, detector: Detector) -> None:
    found = validated([*ROWS[:3], *(changed(row, {"Sex": "9"}) for row in ROWS[:60])])
    text = text_of(found, detector)
    assert text.count("column Sex") == 50
    assert "and 10 more." in text


def test_that_more_than_one_row_in_twenty_was_left_out_is_said_before_any_figure(
    validated: Validated, detector: Detector
) -> None:
    bad = changed(ROWS[0], {"Sex": "9"})
    few = text_of(validated([bad, *ROWS[:19]]), detector)
    more = text_of(validated([bad, bad, *ROWS[:37]]), detector)
    assert "biased" not in few
    assert more.startswith(
        "2 of 39 rows were left out: the figures are those of the rest, which may be a biased choice.\n\nModel "
    )


def test_without_a_model_the_command_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(DATA), "--model", str(tmp_path)]) == 1
    assert "Run: python train_model.py" in capsys.readouterr().err


def as_bytes(rows: Iterable[str], *, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join(f"{row}{end}" for row in rows).encode(encoding)


SOME = [HEADER, *ROWS[:40]]
SAME_PATIENTS: dict[str, bytes] = {
    "as it is": as_bytes(SOME),
    "byte order mark": as_bytes(SOME, encoding="utf-8-sig"),
    "Windows line ends": as_bytes(SOME, end="\r\n"),
    "old Macintosh line ends": as_bytes(SOME, end="\r"),
    "blank lines": as_bytes(SOME, end="\n\n"),
    "no line end after the last row": as_bytes(SOME).rstrip(),
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
    "semicolons": (as_bytes(row.replace(",", ";") for row in SOME), "Its cells must be separated by commas."),
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


def test_training_and_recalibration_name_the_row_they_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cells, sentence in (
        ({"Cholesterol": "49"}, "Row 3: column Cholesterol must be between 50 and 1000 mg/dL.\n"),
        ({"BP": "777"}, "Row 3: column BP must be between 40 and 300 mm Hg.\n"),
        ({LABEL_COLUMN: ""}, "Row 3: column Heart Disease must be one of: Absence, Presence.\n"),
    ):
        data = written(tmp_path / "clinic.csv", [ROWS[0], changed(ROWS[1], cells), *ROWS[2:]])
        for option in ("--data", "--recalibrate"):
            assert train_model.main([option, str(data), "--out", str(tmp_path / "models")]) == 1
            assert capsys.readouterr() == ("", sentence)


def test_with_a_signing_key_an_unsigned_model_is_not_even_loaded(
    monkeypatch: pytest.MonkeyPatch, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", "k" * 32)
    assert main(["--data", str(DATA), "--model", str(detector_dir)]) == 1
    assert "is not signed with MODEL_SIGNING_KEY" in capsys.readouterr().err
