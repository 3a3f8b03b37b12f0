"""A patient's row as it is pasted from a spreadsheet: which cell is of which field, and what it means."""

import csv
import io
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from common import dialects
from common.dialects import LABEL, NUMBERINGS, UCI_NAMES
from common.errors import InvalidDataError
from common.patient import FIELDS

MAX_CHARACTERS: Final = 10_000
_DELIMITERS: Final = "\t;,"  # commas last: beside the others they are decimal signs
_FEWEST_NAMES: Final = 3
_MOST_UNREADABLE: Final = 2
"""Cells of a row without column names; if more cannot be read, they stand in another order."""
_NEEDED: Final = (
    "Copy the row of one patient together with the names of its columns, or all of UCI's columns in their order: "
    f"{', '.join(UCI_NAMES[:-1])} and, if it is there, the label."
)

Values = dict[str, float | int | None]

_PART_OF: Final = {name: about for about, part in NUMBERINGS.items() for codes in part.values() for name in codes}
_OURS: Final = frozenset({"uci", "367"})
_NO_CODE: Final = -1


@dataclass(frozen=True)
class Reading:
    """One way to read some cells; ``names`` are the conventions, or the unit, that read them so."""

    names: list[str]
    record: Values
    entered: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """Which of several readings is right; what was answered last ``about`` the same thing is likely right again."""

    about: str
    readings: list[Reading]


@dataclass(frozen=True)
class PastedRow:
    """What was read, by field: ``None`` is *not measured*, and fields that are nowhere in it have no column."""

    record: Values
    entered: dict[str, object]
    questions: list[Question]
    errors: dict[str, str]
    """What must stand in cells that cannot be read."""
    cells: dict[str, str]
    ignored: list[str]
    """Columns that are of no field, and the label's."""


def read_row(text: str) -> PastedRow:
    """Read the row of one patient, below the names of its columns or in UCI's order.

    Raises
    ------
    InvalidDataError
        When it cannot be told which cell is of which field; the sentence says what is needed.
    """
    *above, cells = _rows(text) or [[]]
    headers, found, ignored = _columns(_named_cells(above, cells))
    row = PastedRow({}, {}, [], {}, found, ignored)
    codes: dict[str, dict[str, int]] = {about: {} for about in NUMBERINGS}
    for name, cell in found.items():
        number = dialects.number_in(cell)
        if name not in _PART_OF or number is None or dialects.is_gap(name, cell):
            _read(row, name, headers[name].casefold())
        else:
            codes[_PART_OF[name]][name] = int(number) if number.is_integer() else _NO_CODE
    own = {name for name, header in headers.items() if above and dialects.is_own_name(header)}
    for about, of_part in codes.items():
        _decode(row, about, of_part, own)
    if not above and len(row.errors) > _MOST_UNREADABLE:
        raise InvalidDataError(f"{len(row.errors)} cells do not fit their columns. {_NEEDED}")
    return row


def _rows(text: str) -> list[list[str]]:
    if len(text) > MAX_CHARACTERS:
        raise InvalidDataError(f"This is longer than the row of one patient. {_NEEDED}")
    delimiter = next((mark for mark in _DELIMITERS if mark in text), ",")
    lines = io.StringIO(text.strip("\r\n \ufeff"), newline=None)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    return [row for row in rows if any(row)]


def _named_cells(above: Sequence[list[str]], cells: list[str]) -> list[tuple[str, str]]:
    if len(above) > 1:
        raise InvalidDataError(f"There are {len(above) + 1} rows. {_NEEDED}")
    names = above[0] if above else UCI_NAMES[: max(len(cells), len(UCI_NAMES) - 1)]
    while len(cells) > len(names) and not cells[-1]:
        cells = cells[:-1]
    if len(cells) != len(names):
        raise InvalidDataError(f"There are {len(cells)} cells for {len(names)} columns. {_NEEDED}")
    return list(zip(names, cells, strict=True))


def _columns(named: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return, by field, the names of the columns and the cells, and the columns that are of no field."""
    headers, found, ignored = dict[str, str](), dict[str, str](), []
    for header, cell in named:
        name = dialects.field_named(header)
        if name is None or name == LABEL:
            ignored += [f"{header} (the label)" if name else header or "a column without name"] * bool(header or cell)
        elif name in headers:
            raise InvalidDataError(f"The columns {headers[name]} and {header} are the same field. Leave one out.")
        else:
            headers[name], found[name] = header, dialects.as_stated(name, header, cell)
    if len(headers) < _FEWEST_NAMES:
        raise InvalidDataError(f"No known column names were found in the first row. {_NEEDED}")
    return headers, found, ignored


def _read(row: PastedRow, name: str, header: str = "") -> None:
    other, number = FIELDS[name].other_unit, dialects.number_in(row.cells[name])
    factor = dialects.factor_in(name, header)
    is_in_other = bool(other) and factor == FIELDS[name].other_factor
    entered: dict[str, object] = {name: {"value": number, "unit": other}}
    try:
        row.record[name] = dialects.value_of(name, row.cells[name], factor=factor)
        if is_in_other and row.record[name] is not None:
            row.entered.update(entered)
    except InvalidDataError as error:
        row.errors[name] = error.message
        if other and number is not None and "mg" not in header and factor == 1:
            _ask_for_unit(row, name, entered)


def _ask_for_unit(row: PastedRow, name: str, entered: dict[str, object]) -> None:
    """Ask whether a number that is impossible in its field's unit is in the other one, if it can be."""
    with suppress(InvalidDataError):
        in_other = {name: dialects.value_of(name, row.cells[name], factor=FIELDS[name].other_factor)}
        row.questions.append(Question(name, [Reading([FIELDS[name].other_unit], in_other, entered), Reading([], {})]))
        del row.errors[name]


def _decode(row: PastedRow, about: str, codes: Mapping[str, int], own: Set[str]) -> None:
    """Decode fields that conventions number differently; columns of our ``own`` names have our codes."""
    part, unclear = NUMBERINGS[about], list[str]()
    meant = {name: [of[name].get(code, _NO_CODE) for of in part.values()] for name, code in codes.items()}
    # What all conventions read alike needs no question; where none has the code, the cell is an error of its own.
    for name, meanings in meant.items():
        if len({*meanings}) > 1:
            unclear.append(name)
        elif meanings[0] == _NO_CODE:
            _read(row, name)  # which says what must stand there
        else:
            row.record[name] = meanings[0]
    readings: dict[tuple[int | None, ...], Reading] = {}
    for place, named in enumerate(part):
        key = tuple(meant[name][place] for name in unclear)
        if _NO_CODE not in key:
            readings.setdefault(key, Reading([], dict(zip(unclear, key, strict=True)))).names.append(named)
    # Under this product's own names codes are its own: another convention would use other names.
    ours = [reading for reading in readings.values() if own >= {*unclear} and _OURS & {*reading.names}]
    _choose(row, about, ours or [*readings.values()], unclear)


def _choose(row: PastedRow, about: str, possible: Sequence[Reading], names: Sequence[str]) -> None:
    """Take what all readings agree on, and ask where they do not."""
    if not possible:
        row.errors.update(dict.fromkeys(names, "uses a different numbering than the row's other codes"))
        return
    agreed = {name for name in names if len({reading.record[name] for reading in possible}) == 1}
    row.record.update({name: possible[0].record[name] for name in agreed})
    if len(possible) > 1:
        differing = [replace(one, record={n: v for n, v in one.record.items() if n not in agreed}) for one in possible]
        row.questions.append(Question(about, differing))
