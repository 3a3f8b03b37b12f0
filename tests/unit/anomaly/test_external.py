"""External validation: a clinic's CSV is taken as it comes, and what was done with it is said."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from config.errors import InvalidDataError
from config.patient import LABEL_COLUMN
from server.anomaly.dataset import load_dataset
from server.anomaly.detector import Detector
from server.anomaly.evaluation.__main__ import main
from server.anomaly.evaluation.external import ExternalValidation, Gaps, validate
from server.anomaly.evaluation.report import validation_text
from tests.unit.anomaly.patients import DATA

HEADER, *ROWS = DATA.read_text().splitlines()
COLUMNS = HEADER.split(",")

Validated = Callable[..., ExternalValidation]


def changed(row: str, cells: Mapping[str, str]) -> str:
    """A row with other cells under some columns."""
    return ",".join(cells.get(column, cell) for column, cell in zip(COLUMNS, row.split(","), strict=True))


def written(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def validated(tmp_path: Path, detector: Detector) -> Validated:
    def validate_rows(rows: list[str], header: str = HEADER) -> ExternalValidation:
        return validate(written(tmp_path / "clinic.csv", rows, header), detector, seed=0, resamples=40)

    return validate_rows


def test_a_complete_csv_gets_the_figures_that_follow_from_the_models_answers(
    validated: Validated, detector: Detector
) -> None:
    found = validated(ROWS)
    dataset = load_dataset(DATA)
    alarms = found.alarms["medium_or_higher"].value
    counts = found.confusion
    assert (found.patients, found.disease_free, found.with_disease) == (303, 164, 139)
    assert list(found.left_out) == []
    assert sum(counts["disease-free"].values()) == 164
    raised = sum(counts[label][level] for label in counts for level in ("Medium", "High"))
    assert alarms == pytest.approx(raised / 303)
    everybody = found.groups[0]
    assert everybody.high["sensitivity"].value == pytest.approx(counts["with disease"]["High"] / 139)
    assert everybody.high["false_alarm_rate"].value == pytest.approx(counts["disease-free"]["High"] / 164)
    factors = detector.model.preprocessor.transform(dataset.frame(np.arange(303)))
    expected = roc_auc_score(dataset.has_disease, -detector.model.forest.score_samples(factors))
    auroc = found.separation["AUROC"]
    assert auroc.value == pytest.approx(expected)
    assert auroc.low < auroc.value < auroc.high
    assert 0.02 < auroc.high - auroc.low < 0.15


def test_the_same_seed_gives_the_same_intervals(validated: Validated) -> None:
    assert validated(ROWS[:60]) == validated(ROWS[:60])


def test_empty_cells_and_question_marks_are_not_measured(validated: Validated) -> None:
    rows = [changed(ROWS[0], {"Thallium": "?"}), changed(ROWS[1], {"Thallium": "", "Max HR": " "}), *ROWS[2:20]]
    before = validated(ROWS[:20]).gaps
    found = validated(rows)
    assert found.patients == 20
    assert found.gaps == dict(before) | {"Thallium": Gaps(2, 0), "Max HR": Gaps(1, 0)}


@pytest.mark.parametrize("zero", ["0", "0.0", " 0 "])
def test_a_blood_pressure_or_cholesterol_of_zero_is_not_measured_and_counted(validated: Validated, zero: str) -> None:
    rows = [changed(ROWS[0], {"Cholesterol": zero, "BP": ""}), changed(ROWS[1], {"BP": zero}), *ROWS[2:20]]
    gaps = validated(rows).gaps
    assert gaps["Cholesterol"] == Gaps(not_measured=1, given_as_zero=1)
    assert gaps["BP"] == Gaps(not_measured=2, given_as_zero=1)


def test_a_zero_counts_as_an_empty_cell_would(validated: Validated) -> None:
    as_zero = validated([changed(row, {"Cholesterol": "0"}) for row in ROWS[:40]])
    as_gap = validated([changed(row, {"Cholesterol": ""}) for row in ROWS[:40]])
    assert as_zero.score_quantiles == as_gap.score_quantiles
    assert as_zero.separation == as_gap.separation


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Max HR", "0"),
        ("BP", "301"),
        ("BP", "-1"),
        ("Cholesterol", "9999"),
        ("Age", "121"),
        ("Age", ""),
        ("Age", "61.5"),
        ("Sex", "?"),
        ("Sex", "2"),
        ("Thallium", "5"),
        ("ST depression", "nan"),
        ("ST depression", "1e999"),
        ("Max HR", "fast"),
        (LABEL_COLUMN, "7"),
    ],
)
def test_a_row_with_an_impossible_value_is_left_out_and_named_without_the_value(
    validated: Validated, column: str, cell: str
) -> None:
    found = validated([ROWS[0], changed(ROWS[1], {column: cell}), *ROWS[2:10]])
    (said,) = found.left_out
    assert said.startswith("Row 3: column " + column)
    assert found.patients == 9
    if cell not in {"", "?", "0", "2", "7", "5"}:  # these may be part of what is possible
        assert cell not in said.replace(column, "")


def test_a_row_of_another_length_is_left_out_and_named(validated: Validated) -> None:
    found = validated([ROWS[0], ROWS[1] + ",1", ROWS[2].rpartition(",")[0], *ROWS[3:10]])
    assert list(found.left_out) == [f"Row {row} has another number of cells than the header." for row in (3, 4)]


def test_zeros_of_rows_that_are_left_out_are_not_counted(validated: Validated) -> None:
    found = validated([*ROWS[:5], changed(ROWS[5], {"Cholesterol": "0", "Sex": "9"})])
    assert "Cholesterol" not in found.gaps


def test_columns_without_any_value_are_fine(validated: Validated) -> None:
    empty = {"Slope of ST": "", "Number of vessels fluro": "?", "Thallium": ""}
    found = validated([changed(row, empty) for row in ROWS])
    assert {column: found.gaps[column].not_measured for column in empty} == dict.fromkeys(empty, 303)
    assert 0.7 < found.separation["AUROC"].value < validated(ROWS).separation["AUROC"].value


def test_a_csv_without_label_column_gets_scores_and_alarm_rates_alone(validated: Validated, detector: Detector) -> None:
    found = validated([row.rpartition(",")[0] for row in ROWS], HEADER.rpartition(",")[0])
    with_labels = validated(ROWS)
    assert found.alarms == with_labels.alarms
    assert found.score_quantiles == with_labels.score_quantiles
    assert (found.separation, found.groups, found.confusion) == ({}, [], {})
    text = validation_text(found, detector.thresholds, data="clinic.csv")
    assert "303 without label" in text
    assert "No patient has a label" in text
    assert "sensitivity" not in text


def test_patients_without_label_count_for_the_scores_alone(validated: Validated) -> None:
    rows = [changed(row, {LABEL_COLUMN: "?"}) for row in ROWS[:100]] + ROWS[100:]
    found = validated(rows)
    assert found.patients == 303
    assert found.disease_free + found.with_disease == 203
    assert found.separation == validated(ROWS[100:]).separation


def test_labels_of_one_kind_give_the_rates_there_are(validated: Validated, detector: Detector) -> None:
    found = validated([row for row in ROWS if row.endswith("Absence")])
    assert found.separation == {}
    assert found.groups[0].high["false_alarm_rate"].value == found.alarms["high"].value
    text = validation_text(found, detector.thresholds, data="clinic.csv")
    assert "All labels are the same" in text
    assert "nan" not in text


def test_one_patient_is_enough(validated: Validated, detector: Detector) -> None:
    found = validated(ROWS[:1])
    assert found.patients == 1
    assert "nan" not in validation_text(found, detector.thresholds, data="clinic.csv")


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (ROWS[:3], HEADER.replace("Thallium", "Thal"), "lacks the column Thallium"),
        ([], HEADER, "holds no patients"),
        ([changed(ROWS[0], {"Sex": ""})], HEADER, "no patient that can be used. Row 2: column Sex is required"),
        (['63,"1'], HEADER, "cannot be read as a CSV file"),
        ([], "", "lacks the columns Age, Sex"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused(
    validated: Validated, rows: list[str], header: str, said: str
) -> None:
    with pytest.raises(InvalidDataError, match=said):
        validated(rows, header)


def test_the_command_reports_on_a_csv_with_every_defect(
    tmp_path: Path, detector_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    text = validation_text(found, detector.thresholds, data="clinic.csv")
    assert text.count("column Sex") == 50
    assert "and 10 more." in text


def test_without_a_model_the_command_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(DATA), "--model", str(tmp_path)]) == 1
    assert "Run: python train_model.py" in capsys.readouterr().err
