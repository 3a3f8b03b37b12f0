"""Reading and checking the rows of a patient CSV with the standard library alone."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.errors import InvalidDataError, InvalidRecordError
from config.patient import FIELDS, LABEL_COLUMN, LABELS, PatientRecord

NOT_MEASURED_CELLS = frozenset({"", "?"})


@dataclass(frozen=True)
class LabelledPatient:
    """A row of a patient CSV: where it stands, the record, and whether disease was found (``None``: no label)."""

    line: int
    record: PatientRecord
    has_disease: bool | None


def read_patients(path: Path, *, needs_label: bool) -> list[LabelledPatient]:
    """Read and check a CSV with the columns of UCI Heart Disease.

    Raises
    ------
    InvalidDataError
        With a sentence that names row and column: an unreadable file, a missing column, an unknown code, a value out of
        its possible range, or no row at all.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or [], needs_label)
            patients = list(_patients(reader, needs_label))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{path} cannot be read as a CSV file: {error}") from error
    if not patients:
        raise InvalidDataError(f"{path} holds no patients.")
    return patients


def _check_header(path: Path, header: Sequence[str], needs_label: bool) -> None:
    wanted = [description.csv_column for description in FIELDS.values()]
    missing = [column for column in [*wanted, *([LABEL_COLUMN] if needs_label else [])] if column not in header]
    if missing:
        raise InvalidDataError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    doubled = sorted({column for column in header if header.count(column) > 1})
    if doubled:
        raise InvalidDataError(f"{path} has the column {', '.join(doubled)} more than once.")


def _patients(reader: "csv.DictReader[str]", needs_label: bool) -> Iterator[LabelledPatient]:
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise InvalidDataError(f"Row {line} has another number of cells than the header.")
        yield LabelledPatient(line, record_of_row(row, line), _label(row, line, needs_label))


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
        raise InvalidDataError(f"Row {line}: column {column} must be a number.") from None
    return int(number) if number.is_integer() else number


def _label(row: Mapping[str, str], line: int, needs_label: bool) -> bool | None:
    cell = row.get(LABEL_COLUMN, "").strip()
    if cell in LABELS:
        return LABELS[cell]
    if cell in NOT_MEASURED_CELLS and not needs_label:
        return None
    raise InvalidDataError(f"Row {line}: column {LABEL_COLUMN} must be one of: {', '.join(LABELS)}.")
