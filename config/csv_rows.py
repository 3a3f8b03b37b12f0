"""Reading and checking the rows of a patient CSV with the standard library alone."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.errors import InvalidDataError, InvalidRecordError
from config.patient import FIELDS, LABEL_COLUMN, LABELS, PatientRecord

NOT_MEASURED_CELLS = frozenset({"", "?"})

ZERO_IS_NOT_MEASURED = frozenset({"resting_bp", "cholesterol"})
"""Fields for which some clinics write 0 where nothing was measured."""

_Row = dict[str, str]


@dataclass(frozen=True)
class LabelledPatient:
    """A row of a patient CSV: where it stands, the record, and whether disease was found (``None``: no label)."""

    line: int
    record: PatientRecord
    has_disease: bool | None


def read_patients(path: Path, *, needs_label: bool) -> list[LabelledPatient]:
    """Read and check a CSV with the columns of UCI Heart Disease; a blood pressure or cholesterol of 0 is not measured.

    Raises
    ------
    InvalidDataError
        With a sentence that names row and column: an unreadable file, a missing column, an unknown code, a value out of
        its possible range, or no row at all.
    """
    return [_patient(_without_zeros(row)[0], line, needs_label) for row, line in _rows(path, needs_label)]


@dataclass(frozen=True)
class Survey:
    """What a CSV from elsewhere holds.

    ``left_out`` says of every row that cannot be used why, by row and column; ``zeros`` counts by wire name the values
    of the other rows that were 0 and taken as not measured.
    """

    patients: Sequence[LabelledPatient]
    left_out: Sequence[str]
    zeros: Mapping[str, int]


def survey_patients(path: Path) -> Survey:
    """Read a CSV with the columns of UCI Heart Disease as it comes: rows that cannot be used are left out.

    The label is optional, as a column and in every row. A blood pressure or cholesterol of 0 is not measured.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, lacks a column, or holds no row that can be used.
    """
    patients: list[LabelledPatient] = []
    left_out: list[str] = []
    zeros: Counter[str] = Counter()
    for row, line in _rows(path, needs_label=False):
        try:
            cleared, zero_fields = _without_zeros(row)
            patients.append(_patient(cleared, line, needs_label=False))
        except InvalidDataError as error:
            left_out.append(error.message)
        else:
            zeros.update(zero_fields)
    if not patients:
        raise InvalidDataError(f"{path} holds no patient that can be used. {left_out[0]}")
    return Survey(patients, left_out, zeros)


def _without_zeros(row: _Row) -> tuple[_Row, list[str]]:
    zero_fields = [name for name in sorted(ZERO_IS_NOT_MEASURED) if _is_zero(row[FIELDS[name].csv_column])]
    return row | {FIELDS[name].csv_column: "" for name in zero_fields}, zero_fields


def _is_zero(cell: str | None) -> bool:
    try:
        return cell is not None and float(cell) == 0
    except ValueError:
        return False


def _rows(path: Path, needs_label: bool) -> Iterator[tuple[_Row, int]]:
    """Read the rows after the header and the line each ends on."""
    line = None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or [], needs_label)
            for row in reader:
                line = reader.line_num
                yield row, line
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not encoded in UTF-8: save it as CSV UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise InvalidDataError(f"{path} cannot be read as a CSV file: {error}") from error
    if line is None:
        raise InvalidDataError(f"{path} holds no patients.")


def _check_header(path: Path, header: Sequence[str], needs_label: bool) -> None:
    wanted = [description.csv_column for description in FIELDS.values()]
    missing = [column for column in [*wanted, *([LABEL_COLUMN] if needs_label else [])] if column not in header]
    if not header:
        raise InvalidDataError(f"{path} is empty.")
    if missing:
        hint = " Its cells must be separated by commas." if len(header) == 1 else ""
        raise InvalidDataError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.{hint}")
    doubled = sorted({column for column in header if header.count(column) > 1})
    if doubled:
        raise InvalidDataError(f"{path} has the column {', '.join(doubled)} more than once.")


def _patient(row: _Row, line: int, needs_label: bool) -> LabelledPatient:
    if None in row or None in row.values():
        raise InvalidDataError(f"Row {line} has another number of cells than the header.")
    return LabelledPatient(line, record_of_row(row, line), _label(row, line, needs_label))


def record_of_row(row: Mapping[str, str], line: int) -> PatientRecord:
    """Turn one CSV row into a checked record.

    Raises
    ------
    InvalidDataError
        Naming the row and the column.
    """
    values = {name: _number(row[field.csv_column], line, field.csv_column) for name, field in FIELDS.items()}
    try:
        return PatientRecord.check(values)
    except InvalidRecordError as error:
        said = "; ".join(
            f"column {FIELDS[name].csv_column} {', '.join(errors)}" for name, errors in error.fields.items()
        )
        raise InvalidDataError(f"Row {line}: {said}.") from None


def _number(cell: str, line: int, column: str) -> float | int | None:
    text = cell.strip()
    if text in NOT_MEASURED_CELLS:
        return None
    try:
        number = float(text)
    except ValueError:
        hint = ", with a decimal point and no other marks" if "," in text else ""
        raise InvalidDataError(f"Row {line}: column {column} must be a number{hint}.") from None
    return int(number) if number.is_integer() else number


def _label(row: Mapping[str, str], line: int, needs_label: bool) -> bool | None:
    cell = row.get(LABEL_COLUMN, "").strip()
    if cell in LABELS:
        return LABELS[cell]
    if cell in NOT_MEASURED_CELLS and not needs_label:
        return None
    raise InvalidDataError(f"Row {line}: column {LABEL_COLUMN} must be one of: {', '.join(LABELS)}.")
