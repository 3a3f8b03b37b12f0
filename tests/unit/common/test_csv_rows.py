"""Reading patient CSVs: the real file, and a sentence with row and column for every bad one."""

from pathlib import Path

import pytest

from common.csv_rows import read_patients, survey_patients
from common.errors import InvalidDataError
from config.secrets import PROJECT_ROOT

DATA = PROJECT_ROOT / "data" / "heart_disease.csv"
HEADER = DATA.read_bytes().splitlines()[0]


@pytest.fixture
def lines() -> list[str]:
    return DATA.read_text(encoding="utf-8-sig").splitlines()[:4]


def written(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def refusal(path: Path, *, needs_label: bool = True) -> str:
    with pytest.raises(InvalidDataError) as raised:
        read_patients(path, needs_label=needs_label)
    return raised.value.message


def renamed(lines: list[str], names: dict[str, str]) -> list[str]:
    return [",".join(names.get(column, column) for column in lines[0].split(",")), *lines[1:]]


def cell(lines: list[str], row: int, column: str, value: str) -> list[str]:
    place = lines[0].split(",").index(column)
    cells = lines[row].split(",")
    cells[place] = value
    return [*lines[:row], ",".join(cells), *lines[row + 1 :]]


def test_the_data_set_is_read_whole() -> None:
    patients = read_patients(DATA, needs_label=True)
    assert len(patients) == 303
    assert {patient.has_disease for patient in patients} == {True, False}


@pytest.mark.parametrize("gap", ["", "?", "NA", "N/A", "nan", "NaN", "NULL", " null "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_people_and_programs_write_for_a_gap_and_a_zero_where_none_can_be_are_not_measured(
    tmp_path: Path, lines: list[str], gap: str, encoding: str
) -> None:
    changed = cell(cell(cell(lines, 1, "Max HR", gap), 1, "Thallium", gap), 1, "BP", "0")
    (first, *_) = read_patients(
        written(tmp_path / "a.csv", cell(changed, 1, "Cholesterol", "0"), encoding), needs_label=True
    )
    assert first.record.imputed() == ["resting_bp", "cholesterol", "max_heart_rate", "thallium_scan"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Age", "old", "Row 3: column Age must be a number."),
        ("Age", "", "Row 3: column Age is required."),
        ("Age", "54.5", "Row 3: column Age must be a whole number."),
        ("Sex", "2", "Row 3: column Sex must be one of"),
        ("BP", "999", "Row 3: column BP must be between 40 and 300 mm Hg."),
        ("BP", "1_20", "Row 3: column BP must be a number."),
        ("BP", "none", "Row 3: column BP must be a number, or left empty or written ? where nothing was measured."),
        ("BP", "-9", "Row 3: column BP must be between 40 and 300 mm Hg, or left empty or written ? where"),
        ("Thallium", "-9.0", "7 (reversible defect), or left empty or written ? where nothing was measured."),
        ("Slope of ST", "-", "1 (up), 2 (flat), 3 (down), or left empty or written ? where nothing was measured."),
        ("Age", "-9", "Row 3: column Age must be between 1 and 120 years."),
        ("Age", "nan", "Row 3: column Age is required."),
        ("Sex", "M", "Row 3: column Sex must be one of: 0 (female), 1 (male)."),
        ("Age", "inf", "Row 3: column Age must be a finite number."),
        ("ST depression", '"1,5"', "Row 3: column ST depression must be a number: use a decimal point"),
        ("Cholesterol", "5.2", "between 50 and 1000 mg/dL; multiply mmol/L by 38.67 to have mg/dL."),
        ("Cholesterol", "49", "Row 3: column Cholesterol must be between 50 and 1000 mg/dL."),
        (
            "Heart Disease",
            "1",
            "must be one of: Absence, Presence; write the word for the number: UCI's num is Absence",
        ),
        ("BP", "inf", "Row 3: column BP must be a finite number."),
        ("Heart Disease", "Maybe", "Row 3: column Heart Disease must be one of: Absence, Presence."),
        ("Heart Disease", "", "Row 3: column Heart Disease must be one of: Absence, Presence."),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(
    tmp_path: Path, lines: list[str], column: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidDataError) as raised:
        read_patients(written(tmp_path / "a.csv", cell(lines, 2, column, value)), needs_label=True)
    assert said in raised.value.message


def test_a_label_is_not_needed_for_samples(tmp_path: Path, lines: list[str]) -> None:
    path = written(tmp_path / "a.csv", [line.rpartition(",")[0] for line in lines])
    assert {patient.has_disease for patient in read_patients(path, needs_label=False)} == {None}
    with pytest.raises(InvalidDataError, match="lacks the column Heart Disease"):
        read_patients(path, needs_label=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (HEADER, "holds no patients"),
        (HEADER + b",Age", "has the column Age more than once"),
        (b"Age,Sex\n1,1\n", "lacks the columns Chest pain type"),
        (HEADER.replace(b",", b";"), "separated by commas, and its numbers written with a decimal point."),
        (b"\xff\xfe\x00", "is not encoded in UTF-8: save it as CSV UTF-8"),
    ],
)
def test_a_file_that_is_no_patient_csv_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert said in refusal(path)
    assert refusal(tmp_path) == f"{tmp_path} cannot be read: Is a directory."
    assert refusal(tmp_path / "nothing.csv") == f"There is no file {tmp_path / 'nothing.csv'}."


@pytest.mark.parametrize("change", [lambda row: row + ",1", lambda row: row.rpartition(",")[0]])
def test_a_row_of_another_length_is_refused(tmp_path: Path, lines: list[str], change: object) -> None:
    assert callable(change)
    with pytest.raises(InvalidDataError, match="Row 2 has another number of cells"):
        read_patients(written(tmp_path / "a.csv", [lines[0], change(lines[1])]), needs_label=True)


def test_every_bad_row_is_named_in_one_error(tmp_path: Path, lines: list[str]) -> None:
    changed = cell(cell(lines, 1, "BP", "999"), 3, "Sex", "male")
    assert refusal(path := written(tmp_path / "a.csv", changed)) == (
        f"{path} is taken whole or not at all, and 2 of its rows cannot be used:\n"
        "Row 2: column BP must be between 40 and 300 mm Hg.\n"
        "Row 4: column Sex must be one of: 0 (female), 1 (male)."
    )


def test_every_bad_cell_of_a_row_is_named(tmp_path: Path, lines: list[str]) -> None:
    changed = cell(cell(cell(lines, 2, "BP", "999"), 2, "Max HR", "fast"), 2, "Heart Disease", "Maybe")
    said = refusal(written(tmp_path / "a.csv", changed))
    assert said.startswith("Row 3: column BP must be between 40 and 300 mm Hg; column ")
    assert "column Max HR must be a number" in said
    assert "column Heart Disease must be one of: Absence, Presence" in said


@pytest.mark.parametrize(("rows", "end"), [(20, ""), (21, "\nand 1 more row."), (45, "\nand 25 more rows.")])
def test_of_many_bad_rows_the_first_twenty_are_named(tmp_path: Path, lines: list[str], rows: int, end: str) -> None:
    bad = cell(lines, 1, "Age", "old")[1]
    said = refusal(written(tmp_path / "a.csv", [*lines, *[bad] * rows]))
    assert (said.count("\nRow "), said.count("column Age")) == (20, 20)
    assert said.endswith(f"Row 24: column Age must be a number.{end}")


def test_header_and_labels_are_known_in_any_case_and_with_spaces_around(tmp_path: Path, lines: list[str]) -> None:
    header = lines[0].upper().replace(",", " , ").replace("CHEST PAIN", "Chest  Pain")
    rows = [line.replace("Absence", " ABSENCE").replace("Presence", "presence  ") for line in lines[1:]]
    changed = read_patients(written(tmp_path / "a.csv", [header, *rows]), needs_label=True)
    assert changed == read_patients(written(tmp_path / "b.csv", lines), needs_label=True)


def test_of_ucis_short_names_is_said_what_they_must_be_called(tmp_path: Path, lines: list[str]) -> None:
    names = {"Cholesterol": "chol", "Thallium": "THAL", "Max HR": "thalach"}
    said = refusal(written(tmp_path / "a.csv", renamed(lines, names)))
    assert "lacks the columns Cholesterol, Max HR, Thallium. The column chol must be called Cholesterol, " in said
    assert "the column thalach must be called Max HR, the column thal must be called Thallium; compare" in said


@pytest.mark.parametrize("short", ["num", "target"])
def test_a_label_in_numbers_is_never_guessed(tmp_path: Path, lines: list[str], short: str) -> None:
    said = refusal(written(tmp_path / "a.csv", renamed(lines, {"Heart Disease": short})))
    assert f"In place of {short} a column Heart Disease must hold Absence or Presence: UCI's num is" in said


def test_lines_without_content_are_no_rows(tmp_path: Path, lines: list[str]) -> None:
    lines = [f"{line},," for line in lines]  # columns without a name may stand beside
    empty = ["," * lines[0].count(","), "   ", " , ,", ""]
    path = written(tmp_path / "a.csv", [*lines[:2], *empty, *lines[2:], *empty])
    assert [patient.line for patient in read_patients(path, needs_label=True)] == [2, 7, 8]
    survey = survey_patients(path)
    assert (len(survey.patients), survey.left_out) == (3, [])
    assert refusal(written(tmp_path / "a.csv", [lines[0], *empty])).endswith("holds no patients.")


@pytest.mark.parametrize("column", ["Age", "Sex", "BP", "Thallium", "ST depression", "Heart Disease"])
@pytest.mark.parametrize("content", ["MARKER", "987654", '"98765,4"'])
def test_no_error_holds_a_cells_content(tmp_path: Path, lines: list[str], column: str, content: str) -> None:
    said = refusal(path := written(tmp_path / "a.csv", cell(lines, 1, column, content)))
    assert content.strip('"') not in said.replace(str(path), "")
