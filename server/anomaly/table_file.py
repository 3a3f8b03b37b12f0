"""Reading a file of patients as it comes from a spreadsheet, a statistics program or a download into columns."""

import csv
import hashlib
import io
import re
import zipfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from common import dialects
from common.dialects import LABEL, UCI_ORDER
from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN
from server.anomaly.dataset import BoolArray, FloatArray, IndexArray
from server.anomaly.questions import AmbiguousDataError, WrongAnswerError

Row = tuple[int, list[str]]
"""The line, or row of a sheet, on which a row ends, from 1, and its cells."""

_DELIMITERS = (",", ";", "\t", "|", " ")
_LOOKED_AT, _LOOKED_AT_LETTERS = 40, 100_000  # at the top, where the names of the columns stand
_FEWEST_NAMES, _FEWEST_UNKNOWN, _MOST_IN_A_TITLE = 3, 5, 2
_COMMENT_MARKS = ("#", "%")
_AT_ONCE = 20_000  # rows
_EXPLANATION = re.compile(r"\d\s*[=:→-]\s*[^\W\d]|[^\W\d]\s*[=:→]\s*\d")
"""What explains codes, as "1 = typical" does."""
_SUMMARY = re.compile(
    r"(mean|median|mode|average|avg|min(imum)?|max(imum)?|sum|total|std|stdev|sd|count|example|sample|template|test"
    r"|normal (range|values?))(\W+\w+)?\W*",
    re.IGNORECASE,
)
"""What rows are called that look like patients and are none."""


@dataclass(frozen=True)
class Column:
    """A column: ``cells`` are its distinct texts, and ``places``, shape (n,), says which of them each row has."""

    name: str
    header: str
    cells: Sequence[str]
    places: IndexArray

    @cached_property
    def filled(self) -> Mapping[int, str]:
        """The cells, by place, that do not mean *not measured*."""
        return {place: text for place, text in enumerate(self.cells) if not dialects.is_gap(self.name, text)}

    @cached_property
    def numbers(self) -> Mapping[int, float]:
        """The numbers among the filled cells, by place."""
        read = {place: dialects.number_in(text) for place, text in self.filled.items()}
        return {place: number for place, number in read.items() if number is not None}

    @cached_property
    def codes(self) -> Set[int]:
        """The numbers among the cells as codes."""
        return {int(number) for number in self.numbers.values()}

    @cached_property
    def times(self) -> IndexArray:
        """In how many rows each cell stands, shape (cells,)."""
        return np.bincount(self.places, minlength=len(self.cells))

    def only(self, rows: BoolArray) -> "Column":
        """Return some rows of it, and the cells that stand in them."""
        used, places = np.unique(self.places[rows], return_inverse=True)
        return replace(self, cells=[self.cells[place] for place in used], places=places)

    def by_row(self, by_place: Mapping[int, float | None]) -> FloatArray:
        """Return a value for each row, shape (n,), NaN where there is none for its cell."""
        by_cell = np.full(len(self.cells), np.nan)
        by_cell[list(by_place)] = [np.nan if value is None else value for value in by_place.values()]
        return by_cell[self.places]


@dataclass(frozen=True)
class Table:
    """The columns that are known, by wire name or ``LABEL``, and the names of those that are not, with some cells.

    ``lines`` are the rows' own numbers in the file, shape (n,); ``uneven`` those of rows with another number of cells
    than there are columns, which are in no column. ``sha256`` is of the file that was read.
    """

    columns: Mapping[str, Column]
    unused: Mapping[str, Sequence[str]]
    has_header: bool
    lines: IndexArray
    uneven: Sequence[int]
    sha256: str = ""
    unread: int = 0
    """Comment lines, or other sheets that are not empty."""
    is_explained: bool = False
    """Whether something that is not read, as a title, a comment or another sheet, may say what codes mean."""
    above: Sequence[int] = ()
    """The rows above the names of the columns that look like other names."""
    summaries: Sequence[int] = ()
    """The rows that another column calls a summary or an example."""

    def only(self, rows: BoolArray) -> "Table":
        """Return a table of some rows; ``rows``, shape (n,), says which."""
        columns = {name: column.only(rows) for name, column in self.columns.items()}
        unused = {header: [*compress(cells, rows)] for header, cells in self.unused.items()}
        return replace(self, columns=columns, unused=unused, lines=self.lines[rows])


def read_table(path: Path, stated: Mapping[str, str] = {}, *, sheet: str | None = None) -> Table:
    """Read the known columns of a text file or of a sheet of an Excel workbook, the first by default.

    ``stated`` are names of columns by field; those of other columns are known or not.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, or holds no column names that are known and not UCI's 14 columns either.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"PK\x03\x04"):
            rows, unread, is_explained = _workbook_rows(content, sheet)
        elif sheet is not None or content.startswith(b"\xd0\xcf\x11\xe0"):
            raise InvalidDataError("only Excel workbooks of 2007 and later (.xlsx) have sheets that can be read.")
        else:
            text = _decoded(content)
            comments = re.findall(r"(?m)^[ \t]*[#%](.*)", text)
            rows, unread, is_explained = _text_rows(text), len(comments), any(map(_EXPLANATION.search, comments))
        table = _table(rows, stated)
        is_explained |= table.is_explained
        sha256 = hashlib.sha256(content).hexdigest()
        return replace(table, sha256=sha256, unread=unread, is_explained=is_explained)
    except FileNotFoundError:
        raise InvalidDataError("there is no such file.") from None
    except OSError as error:
        raise InvalidDataError(f"it cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise InvalidDataError(f"it cannot be read as a CSV file: {error}.") from error


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:100]:  # UTF-16 without a mark: one byte of each ASCII letter is zero
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Western spreadsheets write; only names and words outside ASCII depend on it, and no number.
        return content.decode("cp1252", errors="replace")


def _text_rows(text: str) -> Iterator[Row]:
    top = text[:_LOOKED_AT_LETTERS]
    first = top.lstrip().partition("\n")[0].strip().strip('"')
    if first.casefold().startswith("sep="):
        return islice(_split(text, first[4:5] or "\t"), 1, None)
    return _split(text, max(_DELIMITERS, key=lambda mark: _score(top, mark)))


def _split(text: str, delimiter: str) -> Iterator[Row]:
    """Split a text into rows; comment lines and lines without content are none."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for number, line in enumerate(io.StringIO(text, newline=None), start=1):  # noqa: B007
            if line.lstrip().startswith(_COMMENT_MARKS):
                # numpy.savetxt writes column names as a comment: without them another order would be taken for UCI's.
                names = line.lstrip(" #%")
                if _known_names(next(csv.reader([names], delimiter=delimiter), [])) < _FEWEST_NAMES:
                    continue
                line = names  # noqa: PLW2901
            yield " ".join(line.split()) + "\n" if delimiter == " " else line

    # The reader's own line number does not count the comments.
    for cells in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True):
        if any("\n" in cell and cell.count(delimiter) >= _FEWEST_NAMES for cell in cells):
            raise InvalidDataError(f"a quotation mark that does not end before row {number} takes rows into one cell.")
        if "".join(cells).strip():
            yield number, cells


def _score(text: str, delimiter: str) -> int:
    """Return how well rows split so fit the names, or the number, of the columns that a file of patients has."""
    best, widths = 0, list[int]()
    with suppress(csv.Error, InvalidDataError):  # of a quote that never ends: what came before counts
        for _, cells in islice(_split(text, delimiter), _LOOKED_AT):
            widths.append(len(cells))
            best = max(best, _known_names(cells) * 100 or _is_ucis(cells) * len(cells))
    # Without names that are known, it is what gives most rows the same number of cells, if that is no small one.
    same, times = Counter(widths).most_common(1)[0] if widths else (0, 0)
    return best or times * (same >= _FEWEST_UNKNOWN)


def _workbook_rows(content: bytes, sheet: str | None) -> tuple[Iterator[Row], int, bool]:
    """Return the rows of a sheet, how many others are not empty, and whether anything beside it may explain codes."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError):
        raise InvalidDataError("it is neither a text file nor an Excel workbook (.xlsx).") from None
    if sheet is not None and sheet not in book.sheetnames:
        raise WrongAnswerError(f"there is no sheet {sheet}, but: {', '.join(book.sheetnames)}.")
    tops = {page.title: list(islice(_sheet_rows(page), _LOOKED_AT)) for page in book.worksheets}
    of_patients = [title for title, top in tops.items() if _header_place(top)]
    if sheet is None and len(of_patients) > 1:
        raise AmbiguousDataError(
            f"which sheet? These hold patients: {', '.join(of_patients)}. Say --sheet NAME, or put all on one.",
            "sheet",
        )
    chosen = sheet or next(iter(of_patients), book.worksheets[0].title)
    others = {title: top for title, top in tops.items() if top and title != chosen}
    notes = [cell for title in others.keys() - {*of_patients} for _, cells in others[title] for cell in cells]
    is_explained = _has_notes(content) or any(
        _EXPLANATION.search(cell) or dialects.is_about_codes(cell) for cell in notes
    )
    return _sheet_rows(book[chosen]), len(others), is_explained


def _has_notes(content: bytes) -> bool:
    """Tell whether a workbook has comments at cells, or shows numbers as words."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        names = parts.namelist()
        styles = parts.read("xl/styles.xml") if "xl/styles.xml" in names else b""
    return any("omments" in name for name in names) or b"[=" in styles


def _sheet_rows(sheet: Any) -> Iterator[Row]:
    sheet.reset_dimensions()  # some programs write smaller ones than the sheet has
    width = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        # Dates, which Excel makes of numbers, and formulas become texts that are no numbers: they are refused by cell.
        texts = (f"{value:.15g}" if isinstance(value, float) else str(value) for value in values)
        cells = ["" if value is None else text for value, text in zip(values, texts, strict=True)]
        width = max(width, len(cells))
        if any(cells):
            yield number, cells + [""] * (width - len(cells))


def _table(rows: Iterator[Row], stated: Mapping[str, str]) -> Table:
    top = list(islice(rows, _LOOKED_AT))
    names = [FIELDS[name].csv_column if name != LABEL else LABEL_COLUMN for name in UCI_ORDER]
    found = _header_place(top, or_unknown=True)
    if found is None:
        if not top or not _is_ucis(top[0][1]):
            raise InvalidDataError(
                "it has no row with known names of columns, and is no file of UCI's 14 columns of numbers. Put a row "
                f"of names on top: {', '.join(names)}."
            )
        return _columns(names[: len(top[0][1])], chain(top, rows), {}, has_header=False)
    place, header = found
    above = [(line, cells) for line, cells in top[:place] if sum(map(bool, cells)) > _MOST_IN_A_TITLE]
    if of_numbers := [line for line, cells in above if any(dialects.number_in(cell) is not None for cell in cells)]:
        raise InvalidDataError(f"row {of_numbers[0]} stands above the names of the columns. Remove it.")
    body = top[place + 1 :]
    # R writes row names without a name for their column.
    is_index_unnamed = bool(body) and all(len(cells) == len(header) + 1 and cells[-1].strip() for _, cells in body)
    rest = (row for row in chain(body, rows) if row[1] != header)
    table = _columns([""] * is_index_unnamed + header, rest, stated, has_header=True)
    is_explained = any(_EXPLANATION.search(cell) for _, cells in top[:place] for cell in cells)
    return replace(table, is_explained=is_explained, above=[line for line, _ in above])


def _columns(names: Sequence[str], rows: Iterator[Row], stated: Mapping[str, str], *, has_header: bool) -> Table:
    names = [" ".join(name.split()) for name in names]
    known = _known_places(names, stated)
    split = _split_fields(names, known.values())
    # Behind the last column there may be empty cells: spreadsheets write the width of the sheet.
    width = max(place for place, name in enumerate(names) if name) + 1
    lines, uneven, summaries = array("q"), list[int](), list[int]()
    others = {place: list[str]() for place in range(width) if place not in known}
    # A new text gets the next number. Each distinct one is kept once: 630,000 rows would be 9 million strings.
    kept = known.keys() | {place for codes in split.values() for place in codes}
    numbered = {place: defaultdict[str, int](count().__next__) for place in kept}
    places = {place: array("i") for place in kept}
    for some in iter(lambda: list(islice(rows, _AT_ONCE)), []):
        even = [row for row in some if len(row[1]) >= width and not "".join(row[1][width:]).strip()]
        uneven += sorted({line for line, _ in some} - {line for line, _ in even})
        lines.extend(line for line, _ in even)
        for place, sample in others.items():
            sample.extend([] if sample else [cells[place] for _, cells in even])
        summaries += [line for line, cells in even if any(_SUMMARY.fullmatch(cells[place].strip()) for place in others)]
        for place, column in places.items():
            column.extend(map(numbered[place].__getitem__, [cells[place] for _, cells in even]))
    if not lines and not uneven:
        raise InvalidDataError("it holds no patients.")

    def column_at(place: int, name: str) -> Column:
        cells = [dialects.as_stated(name, names[place], text.strip()) for text in numbered[place]]
        return Column(name, names[place], cells, np.array(places[place], np.intp))

    columns = {name: column_at(place, name) for place, name in known.items()}
    for name, codes in split.items():
        if joined := _joined(name, codes, [column_at(place, "exercise_angina") for place in codes]):
            columns[name] = joined
            others = {place: cells for place, cells in others.items() if place not in codes}
    unused = {names[place]: cells for place, cells in others.items() if names[place]}
    return Table(columns, unused, has_header, np.array(lines, np.intp), uneven, summaries=summaries)


def _known_places(names: Sequence[str], stated: Mapping[str, str]) -> dict[int, str]:
    """Return by place which field each column is, as a person states it or by its name."""
    places = {place: name for place, header in enumerate(names) if (name := dialects.field_named(header))}
    known = {place: name for place, name in places.items() if name not in stated}
    for name, header in stated.items():
        if header in names:
            known[names.index(header)] = name
        elif header != "none":
            raise WrongAnswerError(f"there is no column {header}, but: {', '.join(filter(None, names))}.")
    for name in {*known.values()}:
        doubled = [names[place] for place, other in known.items() if other == name]
        if len({*doubled}) < len(doubled):
            raise InvalidDataError(f"the columns {' and '.join(doubled)} are the same field. Remove all but one.")
        if len(doubled) > 1:
            both = " and ".join(doubled)
            raise AmbiguousDataError(
                f'the columns {both} are the same field. Say which one to use: --column "{name}=NAME".',
                "columns",
                {f"{name}=": f"Which of {both} (name)? "},
            )
    return known


def _split_fields(names: Sequence[str], known: Collection[str]) -> Mapping[str, Mapping[int, str]]:
    """Return by field the columns, by place, that are each of one of its codes, as ``cp_1`` is, and which."""
    split = defaultdict[str, dict[int, str]](dict)
    for place, header in enumerate(names):
        start, _, code = header.rpartition("_")
        name = dialects.field_named(start) or LABEL
        is_code = name != LABEL and (dialects.number_in(code) is not None or dialects.code_in(name, code) is not None)
        if is_code and FIELDS[name].codes and name not in known:
            split[name][place] = code
    return {name: codes for name, codes in split.items() if len(codes) > 1}


def _joined(name: str, codes: Mapping[int, str], parts: Sequence[Column]) -> Column | None:
    """Return one column of several that each say yes or no to one code; ``None`` where not one alone is yes."""
    with suppress(InvalidDataError):
        read = [{cell: dialects.value_of(part.name, text) for cell, text in enumerate(part.cells)} for part in parts]
        is_so = np.stack([part.by_row(of) for part, of in zip(parts, read, strict=True)])
        if (is_so.sum(axis=0) == 1).all():
            return Column(name, " + ".join(part.header for part in parts), [*codes.values()], is_so.argmax(axis=0))
    return None


def _header_place(top: Sequence[Row], *, or_unknown: bool = False) -> tuple[int, list[str]] | None:
    """Return which of some rows holds the names of the columns, and the names; known ones, or what looks so."""
    rows = [(place, cells) for place, (_, cells) in enumerate(top)]
    known = [row for row in rows if _known_names(row[1]) >= _FEWEST_NAMES]
    unknown = [row for row in rows if or_unknown and _look_like_names(row[1])]
    return next(iter(known or unknown), None)


def _look_like_names(cells: Sequence[str]) -> bool:
    filled = [text.strip() for text in cells if text.strip()]
    is_text = all(any(map(str.isalpha, text)) and dialects.number_in(text) is None for text in filled)
    return len(filled) >= _FEWEST_UNKNOWN and len({*filled}) == len(filled) and is_text


def _known_names(cells: Sequence[str]) -> int:
    return len({dialects.field_named(cell) for cell in cells} - {None})


def _is_ucis(cells: Sequence[str]) -> bool:
    """Tell whether a row can be of one of UCI's own files: 14 numbers or gaps, or 13 where there is no label."""
    filled = [cell for cell in cells if cell.strip() not in {"?", ""}]
    is_long = len(cells) in (len(UCI_ORDER) - 1, len(UCI_ORDER))
    return is_long and all(dialects.number_in(cell) is not None for cell in filled)
