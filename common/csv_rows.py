"""Reading and checking the rows of a patient CSV with the standard library alone."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.csv_cells import ABOUT_NUMBERS, advice_on, label_of, number_of
from common.errors import InvalidDataError, InvalidRecordError
from common.patient import FIELDS, LABEL_COLUMN, LABELS, PatientRecord

ZERO_IS_NOT_MEASURED = frozenset({"resting_bp", "cholesterol"})
"""Fields for which some clinics write 0 where nothing was measured."""

_UCI_COLUMNS: Mapping[str, str] = {
    "cp": "chest_pain_type",
    "trestbps": "resting_bp",
    "chol": "cholesterol",
    "fbs": "fasting_blood_sugar_high",
    "restecg": "resting_ecg",
    "thalach": "max_heart_rate",
    "exang": "exercise_angina",
    "oldpeak": "st_depression",
    "slope": "st_slope",
    "ca": "major_vessels",
    "thal": "thallium_scan",
}
"""The fields under UCI's own short names. They are no aliases: files that use them often have other codes."""
_UCI_LABELS = frozenset({"num", "target"})

_MOST_NAMED = 20

_Row = dict[str, str]
_Values = dict[str, float | int | None]
_Problems = dict[str, str]
"""What is wrong with a row, by CSV column."""


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
        its possible range, or no row at all. Of several rows the first twenty are named, one a line.
    """
    patients: list[LabelledPatient] = []
    refused: list[str] = []
    for row, line in _rows(path, needs_label):
        try:
            patients.append(_patient(row, line, needs_label)[0])
        except InvalidDataError as error:
            refused.append(error.message)
    if refused:
        raise InvalidDataError(_refusal(path, refused))
    return patients


def _refusal(path: Path, refused: Sequence[str]) -> str:
    if len(refused) == 1:
        return refused[0]
    more = len(refused) - _MOST_NAMED
    return "\n".join(
        [
            f"{path} is taken whole or not at all, and {len(refused)} of its rows cannot be used:",
            *refused[:_MOST_NAMED],
            *([f"and {more} more row{'s' * (more > 1)}."] if more > 0 else []),
        ]
    )


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
            patient, zero_fields = _patient(row, line, needs_label=False)
        except InvalidDataError as error:
            left_out.append(error.message)
        else:
            patients.append(patient)
            zeros.update(zero_fields)
    if not patients:
        raise InvalidDataError(f"{path} holds no patient that can be used. {left_out[0]}")
    return Survey(patients, left_out, zeros)


def _rows(path: Path, needs_label: bool) -> Iterator[tuple[_Row | None, int]]:
    """Read the rows after the header and the line each ends on; one without any content is none.

    In place of a row with another number of cells than the header comes ``None``.
    """
    line = None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = _header(path, reader, needs_label)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    line = reader.line_num
                    yield dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None, line
    except FileNotFoundError:
        raise InvalidDataError(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not encoded in UTF-8: save it as CSV UTF-8.") from None
    except OSError as error:
        raise InvalidDataError(f"{path} cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise InvalidDataError(f"{path} cannot be read as a CSV file: {error}.") from error
    if line is None:
        raise InvalidDataError(f"{path} holds no patients.")


def _header(path: Path, lines: Iterator[list[str]], needs_label: bool) -> list[str]:
    """Read the header; known columns are found in any case and with spaces around."""
    wanted = {field.csv_column.casefold(): field.csv_column for field in FIELDS.values()}
    known = wanted | {LABEL_COLUMN.casefold(): LABEL_COLUMN}
    given = [" ".join(column.split()) for column in next(lines, [])]
    if not given:
        raise InvalidDataError(f"{path} is empty.")
    header = [known.get(column.casefold(), column) for column in given]
    missing = [column for column in (known if needs_label else wanted).values() if column not in header]
    if missing:
        hint = _renaming(header, missing) if len(header) > 1 else _other_marks(header, lines)
        raise InvalidDataError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.{hint}")
    doubled = [column for column in known.values() if header.count(column) > 1]
    if doubled:
        raise InvalidDataError(f"{path} has the column {', '.join(doubled)} more than once.")
    return header


def _other_marks(header: Sequence[str], lines: Iterator[list[str]]) -> str:
    """Say what separates cells; where a comma parts the lines after a header without any, it is a decimal one."""
    is_separated = any(mark in header[0] for mark in ";\t|")
    has_decimal_commas = is_separated and any(len(cells) > 1 for cells in lines)
    numbers = ", and its numbers written with a decimal point" if has_decimal_commas else ""
    return f" Its cells must be separated by commas{numbers}."


def _renaming(header: Sequence[str], missing: Sequence[str]) -> str:
    """Say which column stands under which of UCI's short names."""
    given = {column.casefold() for column in header}
    renamed = [
        f"{short} must be called {column}"
        for short, name in _UCI_COLUMNS.items()
        if short in given and (column := FIELDS[name].csv_column) in missing
    ]
    said = ""
    if renamed:
        said = f" The column {', the column '.join(renamed)}; compare the codes with data/README.md, as copies differ."
    labels = sorted(_UCI_LABELS & given) if LABEL_COLUMN in missing else []
    if labels:
        said += f" In place of {labels[0]} a column {LABEL_COLUMN} must hold {' or '.join(LABELS)}: {ABOUT_NUMBERS}."
    return said


def _patient(row: _Row | None, line: int, needs_label: bool) -> tuple[LabelledPatient, list[str]]:
    """Check a row; return the patient and the fields whose 0 was taken as not measured."""
    if row is None:
        raise InvalidDataError(f"Row {line} has another number of cells than the header.")
    values, unreadable = _values(row)
    zero_fields = [name for name in sorted(ZERO_IS_NOT_MEASURED) if values[name] == 0]
    record, refused = _record(values | dict.fromkeys(zero_fields))
    has_disease, unlabelled = _label(row, needs_label)
    problems = refused | unreadable | unlabelled
    if record is None or problems:
        said = "; ".join(f"column {column} {problem}" for column, problem in problems.items())
        raise InvalidDataError(f"Row {line}: {said}.")
    return LabelledPatient(line, record, has_disease), zero_fields


def _values(row: _Row) -> tuple[_Values, _Problems]:
    """Read the 13 fields, by wire name; one that cannot be read is ``None`` and a problem."""
    values: _Values = {}
    problems: _Problems = {}
    for name, field in FIELDS.items():
        try:
            values[name] = number_of(row[field.csv_column], field)
        except InvalidDataError as error:
            values[name] = None
            problems[field.csv_column] = error.message
    return values, problems


def _record(values: _Values) -> tuple[PatientRecord | None, _Problems]:
    try:
        return PatientRecord.check(values), {}
    except InvalidRecordError as error:
        return None, {
            FIELDS[name].csv_column: ", ".join(errors) + advice_on(name, values[name])
            for name, errors in error.fields.items()
        }


def _label(row: _Row, needs_label: bool) -> tuple[bool | None, _Problems]:
    try:
        return label_of(row.get(LABEL_COLUMN, ""), needs_label=needs_label), {}
    except InvalidDataError as error:
        return None, {LABEL_COLUMN: error.message}
