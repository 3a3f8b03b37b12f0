"""Reading patient CSVs: the real file, and a sentence with row and column for every bad one."""

from pathlib import Path

import pytest

from config.csv_rows import read_patients
from config.errors import InvalidDataError
from config.secret_store import PROJECT_ROOT

DATA = PROJECT_ROOT / "data" / "heart_disease.csv"


@pytest.fixture
def lines() -> list[str]:
    return DATA.read_text(encoding="utf-8-sig").splitlines()[:4]


def written(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def cell(lines: list[str], row: int, column: str, value: str) -> list[str]:
    place = lines[0].split(",").index(column)
    cells = lines[row].split(",")
    cells[place] = value
    return [*lines[:row], ",".join(cells), *lines[row + 1 :]]


def test_the_data_set_is_read_whole() -> None:
    patients = read_patients(DATA, needs_label=True)
    assert len(patients) == 303
    assert {patient.has_disease for patient in patients} == {True, False}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_empty_cells_and_question_marks_are_not_measured(tmp_path: Path, lines: list[str], encoding: str) -> None:
    changed = cell(cell(lines, 1, "Cholesterol", ""), 1, "Thallium", "?")
    (first, *_) = read_patients(written(tmp_path / "a.csv", changed, encoding), needs_label=True)
    assert first.record.imputed() == ["cholesterol", "thallium_scan"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Age", "old", "Row 3: column Age must be a number."),
        ("Age", "", "Row 3: column Age is required."),
        ("Age", "54.5", "Row 3: column Age must be a whole number."),
        ("Sex", "2", "Row 3: column Sex must be one of"),
        ("BP", "999", "Row 3: column BP must be between 40 and 300 mm Hg."),
        ("BP", "nan", "Row 3: column BP must be a finite number."),
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
        (b"Age,Sex\n1,1\n", "lacks the columns Chest pain type"),
        (b"\xff\xfe\x00", "is not encoded in UTF-8: save it as CSV UTF-8"),
    ],
)
def test_a_file_that_is_no_patient_csv_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=said):
        read_patients(path, needs_label=True)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="cannot be read as a CSV file"):
        read_patients(tmp_path / "nothing.csv", needs_label=True)


def test_a_header_alone_holds_no_patients(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(InvalidDataError, match="holds no patients"):
        read_patients(written(tmp_path / "a.csv", lines[:1]), needs_label=True)


def test_a_doubled_column_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(InvalidDataError, match="the column Age more than once"):
        read_patients(written(tmp_path / "a.csv", [f"{line},Age" for line in lines[:1]] + lines[1:]), needs_label=True)


@pytest.mark.parametrize("change", [lambda row: row + ",1", lambda row: row.rpartition(",")[0]])
def test_a_row_of_another_length_is_refused(tmp_path: Path, lines: list[str], change: object) -> None:
    assert callable(change)
    with pytest.raises(InvalidDataError, match="Row 2 has another number of cells"):
        read_patients(written(tmp_path / "a.csv", [lines[0], change(lines[1])]), needs_label=True)


@pytest.mark.parametrize(("column", "field"), [("BP", "resting_bp"), ("Cholesterol", "cholesterol")])
def test_a_zero_where_none_can_be_is_not_measured(tmp_path: Path, lines: list[str], column: str, field: str) -> None:
    (first, *_) = read_patients(written(tmp_path / "a.csv", cell(lines, 1, column, "0")), needs_label=True)
    assert first.record.imputed() == [field]
