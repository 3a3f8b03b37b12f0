"""Reading and checking the rows of a patient CSV with the standard library alone."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.csv_cells import ABOUT_NUMBERS, advice_on, label_of, number_of
from common.errors import InvalidDataError, InvalidRecordError
from common.patient import FIELDS, LABEL_COLUMN, LABELS, PatientRecord

# Some clinics write 0 where nothing was measured, and in a living patient it is nothing else.
ZERO_IS_NOT_MEASURED = frozenset({"resting_bp", "cholesterol"})

# The fields under UCI's own short names. They are no aliases: files that use them often have other codes.
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
_UCI_LABELS = frozenset({"num", "target"})
_MOST_NAMED = 20


@dataclass(frozen=True)
class LabelledPatient:
    """A row of a patient CSV: where it stands, the record, and whether disease was found (``None``: no label)."""

    line: int
    record: PatientRecord
    has_disease: bool | None


@dataclass(frozen=True)
class Survey:
    """What a CSV from elsewhere holds; ``left_out`` says by row and column why a row cannot be used."""

    patients: Sequence[LabelledPatient]
    left_out: Sequence[str]


def read_patients(path: Path, *, needs_label: bool) -> list[LabelledPatient]:
    """Read and check a CSV with the columns of UCI Heart Disease; a blood pressure or cholesterol of 0 is not measured.

    Raises
    ------
    InvalidDataError
        With a sentence that names row and column: an unreadable file, a missing column, an unknown code, a value out of
        its possible range, or no row at all. Of several rows the first twenty are named, one a line.
    """
    survey = _survey(path, needs_label=needs_label)
    refused = survey.left_out
    if len(refused) == 1:
        raise InvalidDataError(refused[0])
    if refused:
        # The file is taken whole or not at all: a model must not depend on which rows happened to be readable.
        lines = [f"{path} is taken whole or not at all, and {len(refused)} of its rows cannot be used:"]
        lines += refused[:_MOST_NAMED]
        more = len(refused) - _MOST_NAMED
        raise InvalidDataError("\n".join(lines + [f"and {more} more row{'s' * (more > 1)}."] * (more > 0)))
    return list(survey.patients)


def survey_patients(path: Path) -> Survey:
    """Read a CSV with the columns of UCI Heart Disease as it comes: rows that cannot be used are left out.

    The label is optional, as a column and in every row. A blood pressure or cholesterol of 0 is not measured.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, lacks a column, or holds no row that can be used.
    """
    survey = _survey(path, needs_label=False)
    if not survey.patients:
        raise InvalidDataError(f"{path} holds no patient that can be used. {survey.left_out[0]}")
    return survey


def _survey(path: Path, *, needs_label: bool) -> Survey:
    patients, left_out = [], []
    for row, line in _rows(path, needs_label):
        try:
            patients.append(_patient(row, line, needs_label))
        except InvalidDataError as error:
            left_out.append(error.message)
    return Survey(patients, left_out)


def _rows(path: Path, needs_label: bool) -> Iterator[tuple[dict[str, str] | None, int]]:
    """Read the rows after the header and the line each ends on; one without any content is none.

    In place of a row with another number of cells than the header comes ``None``.
    """
    line = None
    try:
        # Excel writes UTF-8 with a byte order mark; without "-sig" it would be part of the first column's name.
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
        # One column in all means that something else separates the cells, as where commas are decimal marks.
        marks = " Its cells must be separated by commas, and its numbers written with a decimal point."
        hint = _renaming(header, missing) if len(header) > 1 else marks
        raise InvalidDataError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.{hint}")
    doubled = [column for column in known.values() if header.count(column) > 1]
    if doubled:
        raise InvalidDataError(f"{path} has the column {', '.join(doubled)} more than once.")
    return header


def _renaming(header: Sequence[str], missing: Sequence[str]) -> str:
    """Say which column stands under which of UCI's short names."""
    given = {column.casefold() for column in header}
    columns = {short: FIELDS[name].csv_column for short, name in _UCI_COLUMNS.items() if short in given}
    renamed = [f"{short} must be called {column}" for short, column in columns.items() if column in missing]
    said = ""
    if renamed:
        said = f" The column {', the column '.join(renamed)}; compare the codes with data/README.md, as copies differ."
    labels = sorted(_UCI_LABELS & given) if LABEL_COLUMN in missing else []
    if labels:
        said += f" In place of {labels[0]} a column {LABEL_COLUMN} must hold {' or '.join(LABELS)}: {ABOUT_NUMBERS}."
    return said


def _patient(row: dict[str, str] | None, line: int, needs_label: bool) -> LabelledPatient:
    """Check a row; every column that is wrong is named, and no cell's content: it may be a patient's value."""
    if row is None:
        raise InvalidDataError(f"Row {line} has another number of cells than the header.")
    values, unreadable = _values(row)
    refused, has_disease, record = {}, None, None
    try:
        has_disease = label_of(row.get(LABEL_COLUMN, ""), needs_label=needs_label)
    except InvalidDataError as error:
        unreadable[LABEL_COLUMN] = error.message
    try:
        record = PatientRecord.check(values)
    except InvalidRecordError as error:
        for name, errors in error.fields.items():
            refused[FIELDS[name].csv_column] = ", ".join(errors) + advice_on(name, values[name])
    # What could not be read wins over "is required", which is said of it as well: it was taken as not measured.
    problems = refused | unreadable
    if record is None or problems:
        said = "; ".join(f"column {column} {problem}" for column, problem in problems.items())
        raise InvalidDataError(f"Row {line}: {said}.")
    return LabelledPatient(line, record, has_disease)


def _values(row: dict[str, str]) -> tuple[dict[str, float | int | None], dict[str, str]]:
    """Read the 13 fields, by wire name; one that cannot be read is ``None`` and, by column, a problem."""
    values, problems = {}, {}
    for name, field in FIELDS.items():
        try:
            values[name] = number_of(row[field.csv_column], field)
        except InvalidDataError as error:
            values[name], problems[field.csv_column] = None, error.message
        if values[name] == 0 and name in ZERO_IS_NOT_MEASURED:
            values[name] = None
    return values, problems
