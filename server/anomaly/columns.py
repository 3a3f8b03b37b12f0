"""Which column of a file is which field: by its name, as a person says it, or asked."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from common import dialects
from common.dialects import LABEL, UCI_CODES, known_codes
from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN, LABELS
from server.anomaly.dataset import COLUMNS
from server.anomaly.proofs import shipped_table
from server.anomaly.questions import NOWHERE, AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column, Table

USUAL_MEDIANS = (0.1, 0.9)  # of all values in the shipped table
_LOOKED_AT = slice(20_000)  # rows
_DATE = re.compile(r"\d+([./-])\d+\1\d+")
_MOST_WORDS, _FEWEST_CODES, _FEWEST_NUMBERS, _MOST_MISSING = 12, 3, 10, 4


def title_of(name: str) -> str:
    return LABEL_COLUMN if name == LABEL else FIELDS[name].csv_column


def headers_of(columns: Mapping[str, Column], names: Iterable[str]) -> str:
    return ", ".join(columns[name].header for name in names)


def with_fields(table: Table, answers: Answers, required: Sequence[str]) -> Table:
    """Return a table in which the columns of fields and the label have their names, with all that are ``required``.

    Raises
    ------
    AmbiguousDataError
        When a column may be a field, or must be, and neither its name nor a person says so.
    """
    stated = answers.headers_by_field()
    names = _names_by_place([column.header for column in table.columns], stated)
    columns = [replace(column, name=names.get(place, "")) for place, column in enumerate(table.columns)]
    table = replace(table, columns=_with_joined(columns))
    _ask_for_columns(table, stated, required, yes=answers.yes)
    return table


def _names_by_place(headers: Sequence[str], stated: Mapping[str, str]) -> Mapping[int, str]:
    """Return by place which field each column is, as a person states it or by its name."""
    by_header = {place: name for place, header in enumerate(headers) if (name := dialects.field_named(header))}
    known = {place: name for place, name in by_header.items() if name not in stated}
    for name, header in stated.items():
        if headers.count(header) > 1:
            raise WrongAnswerError(f"there are several columns {header}. Give the one to use another name.")
        if header in headers:
            known[headers.index(header)] = name
        elif header != NOWHERE:
            raise WrongAnswerError(f"there is no column {header}, but: {', '.join(filter(None, headers))}.")
    for name in known.values():
        doubled = [headers[place] for place, other in known.items() if other == name]
        both = " and ".join(doubled)
        if len({*doubled}) < len(doubled):
            raise InvalidDataError(f"the columns {both} are the same field. Remove all but one.")
        if len(doubled) > 1:
            raise AmbiguousDataError(
                f'the columns {both} are the same field. Say which one to use: --column "{name}=NAME".',
                "columns",
                {f"{name}=": f"Which of {both} (name)? "},
            )
    return known


def _with_joined(columns: Sequence[Column]) -> Sequence[Column]:
    """Return columns in which those that each say yes or no to one code of a field, as ``cp_1`` does, are one."""
    known, parts = {column.name for column in columns}, defaultdict[str, list[Column]](list)
    for column in columns:
        start, _, code = column.header.rpartition("_")
        name = dialects.field_named(start)
        if name in UCI_CODES.keys() - known and not column.name and dialects.is_code(name, code):
            parts[name].append(column)
    for name, of in parts.items():
        # Read as yes or no, whatever the field: that is what these columns say.
        is_so = np.stack([part.by_row(replace(part, name="exercise_angina").decoded()[0]) for part in of])
        # Where a cell is no yes or no, the sum is none either.
        if len(of) > 1 and (is_so.sum(axis=0) == 1).all():
            headers = [part.header for part in of]
            codes = [header.rpartition("_")[2] for header in headers]
            others = [column for column in columns if column.header not in headers]
            columns = [*others, Column(" + ".join(headers), codes, is_so.argmax(axis=0), name)]
    return columns


def _ask_for_columns(table: Table, stated: Mapping[str, str], required: Sequence[str], *, yes: bool) -> None:
    """Ask which columns are fields that none has the name of."""
    about, lines = dict[str, str](), list[str]()
    unused = {header: column.only(_LOOKED_AT) for header, column in table.unused.items()}
    missing = [name for name in (*COLUMNS, LABEL) if name not in table.known]
    for name in missing:
        like = [header for header, column in unused.items() if _may_be(name, column)]
        if name == LABEL and not like and (last := table.columns[-1].header) in unused:
            texts = unused[last].filled.values()  # where labels use to stand
            like = [last] * (len(texts) == len(LABELS) and all(dialects.is_code(LABEL, text) for text in texts))
        said, option = " or ".join(like), f'--column "{name}={like[0] if len(like) == 1 else "NAME"}"'
        if name in required:
            if not unused:
                raise InvalidDataError(f"there is no column for {title_of(name)}.")
            it_may_be = f"; it may be {said}" if like else ""
            in_years = " An age in whole years is needed: dates of birth are not read." if name == "age" else ""
            lines.append(f"There is no known column for {title_of(name)}{it_may_be}. {option}{in_years}")
            about[f"{name}="] = f"Which column is {title_of(name)}? (name) "
        elif (like or (len(missing) > _MOST_MISSING and unused)) and not yes and name not in stated:
            otherwise = f'or --column "{name}={NOWHERE}" if it is not'
            lines.append(f"{title_of(name)} may be {said or 'another column'}. {option}, {otherwise}.")
            about[f"{name}="] = f"Which column is {title_of(name)}? (name, or {NOWHERE}) "
    if lines:
        known = ", ".join(f"{column.header} = {title_of(name)}" for name, column in table.known.items())
        others = f"The file's other columns are: {', '.join(unused)}. Known are: {known or 'none'}."
        raise AmbiguousDataError("\n".join(["which column is it? Say it with", *lines, others]), "columns", about)


def _may_be(name: str, column: Column) -> bool:
    """Tell whether a column with an unknown name may be a field, by its name or by what stands in it."""
    column = replace(column, name=name)
    numbers = {*column.numbers.values()}
    if name in dialects.fields_like(column.header):
        # Glucose may stand in place of whether it is high, and a percentage in place of a label.
        has_codes = name in UCI_CODES.keys() - {"fasting_blood_sugar_high"}
        # Whole numbers that are all different number the patients.
        are_ids = name == LABEL and len(numbers) == column.places.size and all(map(float.is_integer, numbers))
        are_dates = bool(column.filled) and all(map(_DATE.match, column.filled.values()))
        return not ((has_codes or are_ids) and len(numbers) > _MOST_WORDS) and not are_dates
    if name == LABEL:
        codes = {dialects.code_in(name, text) for text in column.filled.values() if dialects.is_diagnosis(text)}
        return len(codes) == len(column.filled) == len(LABELS)
    if name in UCI_CODES:
        words = [text for cell, text in column.filled.items() if cell not in column.numbers]
        if not words and len(numbers) >= _FEWEST_CODES:
            return numbers <= known_codes(name)
        meant = {dialects.code_in(name, text) for text in words} if len(words) <= _MOST_WORDS else {None}
        return name not in dialects.YES_NO_FIELDS and len(meant) > 1 and None not in meant
    # Numbers alone could be of many fields: their median has to be one that this field usually has.
    by_row = column.by_row(column.numbers)
    # All different, they number the patients.
    if len(column.numbers) < len(column.filled) or not _FEWEST_NUMBERS < len(numbers) < (~np.isnan(by_row)).sum():
        return False
    lowest, highest = np.nanquantile(shipped_table()[0][:, COLUMNS.index(name)], USUAL_MEDIANS)
    low, high = FIELDS[name].possible_range or (min(numbers), max(numbers))
    return bool(low <= min(numbers) and max(numbers) <= high and lowest <= np.nanmedian(by_row) <= highest)
