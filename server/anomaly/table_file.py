"""Reading a file of patients as it comes from a spreadsheet, a statistics program or a download into columns."""

import csv
import hashlib
import io
import re
import zipfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from numpy.typing import NDArray
from openpyxl.utils.exceptions import InvalidFileException

from common import dialects
from common.dialects import LABEL, UCI_NAMES, Codes
from common.errors import InvalidDataError
from server.anomaly.dataset import BoolArray, FloatArray, IndexArray
from server.anomaly.questions import AmbiguousDataError, WrongAnswerError

Row = tuple[int, list[str]]
"""The line, or row of a sheet, on which a row ends, from 1, and its cells."""

_DELIMITERS = (",", ";", "\t", "|", " ")
_LOOKED_AT, _LOOKED_AT_LETTERS = 40, 100_000  # at the top, where the names of the columns stand
_MOST_SHORT = 1000  # rows with too few cells that are kept: no footer has more
_FEWEST_NAMES, _FEWEST_UNKNOWN, _MOST_IN_A_TITLE = 3, 5, 2
_COMMENT_MARKS = ("#", "%")
_IN_QUOTES = re.compile("'(.*)'")
EXPLANATION = re.compile(r"\d\s*[=:→-]\s*[^\W\d]|[^\W\d]\s*[=:→]\s*\d")
"""What explains codes, as "1 = typical" does."""


@dataclass(frozen=True)
class Column:
    """A column: ``cells`` are its distinct texts, and ``places``, shape (n,), says which of them each row has.

    ``name`` is the wire name of its field or ``LABEL``, and empty where it is not used; ``factor`` is what its numbers
    have to be multiplied by.
    """

    header: str
    cells: Sequence[str]
    places: NDArray[np.integer]
    name: str = ""
    factor: float = 1

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

    def rows_with(self, numbers: Collection[float]) -> int:
        """Count the rows that have one of some numbers."""
        return int(self.times[[cell for cell, number in self.numbers.items() if number in numbers]].sum())

    def decoded(self, codes: Codes | None = None) -> tuple[Mapping[int, float | None], Mapping[int, str]]:
        """Return what each cell is as one of its field, by place, and what must stand in those that cannot be read."""
        read, errors = dict[int, float | None](), dict[int, str]()
        for place, text in enumerate(self.cells):
            try:
                read[place] = dialects.value_of(self.name, text, codes, factor=self.factor)
            except InvalidDataError as error:
                errors[place] = error.message
        return read, errors

    def by_row(self, by_place: Mapping[int, float | None]) -> FloatArray:
        """Return a value for each row, shape (n,), NaN where there is none for its cell."""
        by_cell = np.full(len(self.cells), np.nan)
        by_cell[list(by_place)] = [np.nan if value is None else value for value in by_place.values()]
        by_row: FloatArray = by_cell[self.places]
        return by_row

    def reworded(self, texts: Mapping[int, str]) -> "Column":
        """Return it with other texts in some cells, by place."""
        return replace(self, cells=[texts.get(place, text) for place, text in enumerate(self.cells)])

    def only(self, rows: BoolArray | slice) -> "Column":
        """Return some rows of it, and the cells that stand in them."""
        used, places = np.unique(self.places[rows], return_inverse=True)
        return replace(self, cells=[self.cells[place] for place in used], places=places)


@dataclass(frozen=True)
class Table:
    """The columns of a file or a sheet, which are UCI's where there is no row with their names.

    ``lines`` are the rows' own numbers in the file, shape (n,); ``uneven`` those of rows with another number of cells
    than there are columns, which are in no column, and ``short`` the first of them with fewer, with the header and text
    of each cell; ``above`` those of rows above the names that look like other names.
    ``unread`` counts comment lines, or other sheets that are not empty, and ``explained_by`` names what is not read and
    may say what codes mean, as a title, a comment or another sheet. ``sha256`` is of the file.
    """

    columns: Sequence[Column]
    lines: IndexArray
    uneven: Sequence[int]
    has_header: bool
    above: Sequence[int] = ()
    short: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    unread: int = 0
    explained_by: str = ""
    sha256: str = ""

    @cached_property
    def known(self) -> Mapping[str, Column]:
        """The columns that are used, by wire name or ``LABEL``."""
        return {column.name: column for column in self.columns if column.name}

    @cached_property
    def fields(self) -> Mapping[str, Column]:
        """The columns that are used but for the label, by wire name."""
        return {name: column for name, column in self.known.items() if name != LABEL}

    @cached_property
    def unused(self) -> Mapping[str, Column]:
        """The columns that are not used but have a name, by that."""
        return {column.header: column for column in self.columns if column.header and not column.name}

    def only(self, rows: BoolArray) -> "Table":
        """Return a table of some rows; ``rows``, shape (n,), says which."""
        return replace(self, columns=[column.only(rows) for column in self.columns], lines=self.lines[rows])


def read_table(path: Path, sheet: str | None = None) -> Table:
    """Read a text file or a sheet of an Excel workbook, by default the one that holds patients.

    Raises
    ------
    InvalidDataError
        When the file cannot be read, or holds no column names that are known and not UCI's 14 columns either.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"PK\x03\x04"):
            rows, unread, explained_by = _workbook_rows(content, sheet)
        elif sheet is not None or content.startswith(b"\xd0\xcf\x11\xe0"):
            raise InvalidDataError("only Excel workbooks of 2007 and later (.xlsx) have sheets that can be read.")
        else:
            text = _decoded(content)
            comments = re.findall(r"(?m)^[ \t]*[#%](.*)", text)
            explained_by = "a comment (# or %)" if any(map(EXPLANATION.search, comments)) else ""
            rows, unread = _text_rows(text), len(comments)
        table, sha256 = _table(rows), hashlib.sha256(content).hexdigest()
        return replace(table, unread=unread, explained_by=explained_by or table.explained_by, sha256=sha256)
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


def _workbook_rows(content: bytes, sheet: str | None) -> tuple[Iterator[Row], int, str]:
    """Return the rows of a sheet, how many others are not empty, and what beside it may explain codes, if anything."""
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
    others = [title for title, top in tops.items() if top and title != chosen]
    free = [title for title in others if title not in of_patients]
    notes = [(f"sheet {title}", cell) for title in free for _, cells in tops[title] for cell in cells]
    where = dict.fromkeys(of for of, cell in notes if EXPLANATION.search(cell) or dialects.is_about_codes(cell))
    beside = ["a note at a cell, or a number shown as a word,"] * _has_notes(content)
    return _sheet_rows(book[chosen]), len(others), " or ".join([*where, *beside])


def _has_notes(content: bytes) -> bool:
    """Tell whether a workbook has comments at cells, or shows numbers as words."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        names = parts.namelist()
        # A format such as [=1]"male" shows a word that the cell does not hold.
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


def _table(rows: Iterator[Row]) -> Table:
    top = list(islice(rows, _LOOKED_AT))
    found = _header_place(top, or_unknown=True)
    if found is None:
        if not top or not _is_ucis(top[0][1]):
            raise InvalidDataError(
                "it has no row with known names of columns, and is no file of UCI's 14 columns of numbers. Put a row "
                f"of names on top: {', '.join(UCI_NAMES)}."
            )
        return _columns(UCI_NAMES[: len(top[0][1])], chain(top, rows), has_header=False)
    place, header = found
    above = [(line, cells) for line, cells in top[:place] if sum(map(bool, cells)) > _MOST_IN_A_TITLE]
    if of_numbers := [line for line, cells in above if any(dialects.number_in(cell) is not None for cell in cells)]:
        raise InvalidDataError(f"row {of_numbers[0]} stands above the names of the columns. Remove it.")
    body = top[place + 1 :]
    # R writes row names without a name for their column.
    is_index_unnamed = bool(body) and all(len(cells) == len(header) + 1 and cells[-1].strip() for _, cells in body)
    # Some programs repeat the names of the columns on every page.
    rest = (row for row in chain(body, rows) if row[1] != header)
    table = _columns([""] * is_index_unnamed + header, rest, has_header=True)
    titles = [str(line) for line, cells in top[:place] if any(map(EXPLANATION.search, cells))]
    explained_by = f"the title in row {', '.join(titles)}" * bool(titles)
    return replace(table, above=[line for line, _ in above], explained_by=explained_by)


def _columns(names: Sequence[str], rows: Iterable[Row], *, has_header: bool) -> Table:
    # Behind the last column there may be empty cells: spreadsheets write the width of the sheet.
    width = max(place for place, name in enumerate(names) if name.strip()) + 1
    # A new text gets the next number. Each distinct one is kept once: 630,000 rows would be 9 million strings.
    numbered = [defaultdict[str, int](count().__next__) for _ in range(width)]
    places = [array("i") for _ in range(width)]
    headers = [" ".join(name.split()) for name in _unquoted(names)]
    lines, uneven, short = array("q"), list[int](), dict[int, Sequence[tuple[str, str]]]()
    for line, cells in rows:
        if len(cells) < width or "".join(cells[width:]).strip():
            uneven.append(line)
            if len(cells) < width and len(short) < _MOST_SHORT:
                short[line] = [*zip(headers, cells, strict=False)]
        else:
            lines.append(line)
            for column, numbers, text in zip(places, numbered, cells, strict=False):
                column.append(numbers[text])
    if not lines and not uneven:
        raise InvalidDataError("it holds no patients.")
    columns = [
        Column(header, _unquoted([text.strip() for text in texts]), np.frombuffer(column, np.intc))
        for header, texts, column in zip(headers, numbered, places, strict=False)
    ]
    return Table(columns, np.frombuffer(lines, np.int64), uneven, has_header, short=short)


def _unquoted(texts: Sequence[str]) -> Sequence[str]:
    """Return texts without single quotes where all but gaps are in them, as Weka and SQL write them."""
    filled = [text for text in texts if any(map(str.isalnum, text)) and not dialects.is_gap("", text)]
    are_quoted = all(map(_IN_QUOTES.fullmatch, filled))
    return [_IN_QUOTES.sub(r"\1", text) for text in texts] if are_quoted else texts


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
    is_long = len(cells) in (len(UCI_NAMES) - 1, len(UCI_NAMES))
    return is_long and all(dialects.number_in(cell) is not None for cell in filled)
