"""What the cells of a column mean where the file or a person says it in their own way, in words, units or forms."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from common import dialects
from common.dialects import LABEL, UCI_CODES, known_codes
from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.columns import title_of
from server.anomaly.questions import AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column, Table

FEWEST_SHOWN = 3  # rows; what fewer have may be a patient's, and is not shown
_FEWEST_GLUCOSES, _MOST_MEANINGS, _MOST_MARKS = 3, 12, 3
_GRAMS = 3.3  # g/L or mmol/L
_GLUCOSE = ((30, 600, 1.0, "mg/dL"), (2.5, 30, 18.016, "mmol/L"))
"""From and to where numbers of blood sugar lie, and what turns them into mg/dL."""
_OVER = 120  # mg/dL
Meant = Mapping[str, Sequence[tuple[str, str]]]
"""By field what a person says of its values: each and what it means."""
_GAPS_OR_CODES = {"chest_pain_type": ("na", 3), "thallium_scan": ("nd", 3)}
"""What is a gap elsewhere and may be a code among words of a field: non-anginal, and no defect."""


def as_meant(table: Table, answers: Answers) -> tuple[Table, list[str]]:
    """Return a table in this product's words and units where others are explained, and what was converted so.

    Raises
    ------
    AmbiguousDataError
        When values that many patients have are not known.
    WrongAnswerError
        When a person explains what is not there.
    """
    stated = answers.meanings_by_field()
    if absent := [title_of(name) for name in stated if name not in table.known]:
        raise WrongAnswerError(f"--values: there is no column for {', '.join(absent)}.")
    plain, meant = dict[str, Column](), dict[str, Column]()
    said, unclear = list[str](), dict[str, Collection[str]]()
    for name, column in table.known.items():
        # What the column's name says comes first; what a person says of the cells replaces it.
        by_header = {cell: dialects.as_stated(name, column.header, text) for cell, text in enumerate(column.cells)}
        said_of_it = stated.get(name, ())
        plain[name], form = _without_form(_explained(column, by_header, said_of_it))
        clear = dialects.WORDS[name].values() if form or name in stated else ()
        unknown = [text for text in _unknown_values(plain[name]) if text not in clear]
        if asked := [*unknown, *_gaps_or_codes(plain[name]), *_half_explained(column, by_header, said_of_it)]:
            unclear[name] = asked
        meant[name], unit = _in_own_unit(plain[name])
        said += [*form, *unit, *([] if name in stated else _said_by_name(column))]
    unclear = _with_marks_of_others(plain, unclear, stated)
    if unclear and not table.has_header:
        raise InvalidDataError(
            "its columns have no names, and are not UCI's in their order. Put a row of names on top."
        )
    if unclear:
        raise what_values_mean(table.known, unclear)
    return replace(table, columns=[meant.get(column.name, column) for column in table.columns]), said


def what_values_mean(columns: Mapping[str, Column], values: Mapping[str, Collection[str]]) -> AmbiguousDataError:
    """Return the question what some values of columns mean."""
    lines, about = ["what do these values mean? Say it with"], dict[str, str]()
    for name, texts in values.items():
        example = ",".join(f"{text}=MEANING" for text in texts)
        lines.append(f'--values "{name}:{example}", where MEANING is one of: {_choices(name)}')
        about[f"{name}:"] = f"{columns[name].header} (as {example}): "
    return AmbiguousDataError("\n".join(lines), "values", about)


def written(text: str) -> str:
    """Return a text as it is compared: ``1.0`` as ``1``, and words without capitals and single quotes."""
    text = text.strip("'")
    number = dialects.number_in(text)
    return text.casefold() if number is None else f"{number:g}"


def _choices(name: str) -> str:
    return ", ".join([*(dialects.WORDS[name].values() or ["a number"]), "not measured"])


def _explained(column: Column, by_header: Mapping[int, str], stated: Sequence[tuple[str, str]]) -> Column:
    """Replace what a person explains, as it stands in the file or as the column's name has it, by our words."""
    meant, texts = dict[int, str](), [{written(text), written(by_header[i])} for i, text in enumerate(column.cells)]
    words: Mapping[float | None, str] = dict(dialects.WORDS[column.name].items())
    for text, meaning in stated:
        if not (cells := [cell for cell, own in enumerate(texts) if written(text) in own]):
            raise WrongAnswerError(f"--values: {text} is in no cell of {column.header}.")
        number = dialects.number_in(meaning)
        word = words.get(dialects.code_in(column.name, meaning) if number is None else number)
        if number is not None and not words:
            word = meaning
        if dialects.is_gap(column.name, meaning):
            word = ""
        if word is None:
            raise WrongAnswerError(f"--values: what {column.header} means is one of: {_choices(column.name)}.")
        meant |= dict.fromkeys(cells, word)
    return column.reworded({**by_header, **meant})


def _half_explained(column: Column, by_header: Mapping[int, str], stated: Sequence[tuple[str, str]]) -> Collection[str]:
    """Return the codes that only the column's name explains where a person explains others of those it does.

    Else both may mean the same, as where a person says that 1 is female of the column "sex (1 = male, 2 = female)".
    """
    said = {written(text) for text, _ in stated}
    named = {cell: text for cell, text in column.filled.items() if by_header[cell] != text}
    others = [text for cell, text in named.items() if not said & {written(text), written(by_header[cell])}]
    return others if dialects.WORDS[column.name] and len(others) < len(named) else ()


def _said_by_name(column: Column) -> list[str]:
    """Say what a column's name says of its codes where that is not usual."""
    stated = dialects.stated_codes(column.name, column.header) if column.name != LABEL else {}
    meanings = ", ".join(f"{number} = {FIELDS[column.name].in_words(code)}" for number, code in stated.items())
    is_unusual = any(number != code for number, code in stated.items())
    return [f"{column.header}: {meanings}, as its name says."] * is_unusual


def _without_form(column: Column) -> tuple[Column, list[str]]:
    """Return a column with what a form of its own stands for, and how that was read, if it has one."""
    if column.name == "resting_bp":
        pairs = [cell for cell, text in column.filled.items() if dialects.is_pair_of_pressures(text)]
        said = [f"{column.header}: the first of two pressures, the systolic one."] * bool(pairs)
        return column.reworded({cell: column.cells[cell].partition("/")[0] for cell in pairs}), said
    if column.name == "fasting_blood_sugar_high":
        words, numbers = FIELDS[column.name].codes, column.numbers
        for lowest, highest, factor, unit in _GLUCOSE if len(numbers) == len(column.filled) else ():
            glucose = {cell: number for cell, number in numbers.items() if lowest <= number <= highest}
            # A few larger numbers may say that it was not measured: they are asked about as those of quantities are.
            marks = [cell for cell, number in numbers.items() if number > highest]
            is_all = len(glucose) + len(marks) == len(numbers)
            if is_all and len({*glucose.values()}) > _FEWEST_GLUCOSES and _are_few(column, marks):
                read = {cell: words[int(number * factor > _OVER)] for cell, number in glucose.items()}
                return column.reworded(read), [f"{column.header}: glucose in {unit}, yes where over 120 mg/dL."]
    return column, []


def _are_few(column: Column, marks: Sequence[int], most: int = _MOST_MARKS) -> bool:
    """Tell whether cells can be marks, as for what was not measured: a few different ones, in at most half the rows."""
    return len(marks) <= most and bool(2 * column.times[marks].sum() <= column.places.size)


def _in_own_unit(column: Column) -> tuple[Column, list[str]]:
    """Return a quantity with its factor, and what it is: its column's name says it, or all cholesterol is small."""
    name, header, numbers = column.name, column.header, column.numbers
    factor = dialects.factor_in(name, header)
    lowest, highest = dialects.CHOLESTEROL_IN_MMOL
    is_small = bool(numbers) and all(lowest <= number <= highest for number in numbers.values())
    if name == "cholesterol" and is_small and factor == 1 and "mg" not in header.casefold():
        # Half of any patients have more than 3.3 mmol/L (128 mg/dL), and less than 3.3 g/L.
        is_in_grams = np.nanmedian(column.by_row(numbers)) < _GRAMS
        factor = 100 if is_in_grams else FIELDS[name].other_factor
    if factor == 1:
        return column, []
    other = {FIELDS["cholesterol"].other_factor: "mmol/L, ", 100: "g/L, "}.get(factor, "")
    return replace(column, factor=factor), [f"{header}: {other}converted to {FIELDS[name].unit}, times {factor:g}."]


def _unknown_values(column: Column) -> Collection[str]:
    """Return all values of a column with codes if some that many patients have are not known, or mean the same.

    Of others they are those that are not known. A value that only some have is refused by row, and never shown: it may
    be a patient's.
    """
    name = column.name
    texts = {cell: text for cell, text in column.filled.items() if column.times[cell] >= FEWEST_SHOWN}
    meant = {cell: dialects.code_in(name, text) for cell, text in texts.items() if cell not in column.numbers}
    if name == LABEL:  # which of two words means disease is a question of its own
        return [texts[cell] for cell in meant if meant[cell] is None] if {0, 1} <= {*meant.values()} else ()
    if name not in UCI_CODES:
        return _unknown_marks(column, texts)
    is_strange = any(column.numbers[cell] not in known_codes(name) for cell in texts if cell in column.numbers)
    # "M" and "H" are no woman in any row: in Spanish the "M" would be one.
    is_one = name in dialects.TWO_CODES and len(meant) > 1 and len({*meant.values()}) == 1
    is_unknown = is_strange or is_one or None in meant.values() or dialects.may_be_opposite(name, column.header)
    different = dict.fromkeys(texts.values())
    return [*different] if is_unknown and len(different) <= _MOST_MEANINGS else ()


def _unknown_marks(column: Column, texts: Mapping[int, str]) -> Collection[str]:
    """Return which of the usual texts of a quantity stand for something else, as where it was not measured."""
    lowest, highest = FIELDS[column.name].possible_range or (-math.inf, math.inf)
    impossible = {cell for cell, number in column.numbers.items() if not min(lowest, 0) <= number <= highest}
    # More of such numbers are of another unit.
    marks = texts.keys() - column.numbers.keys() | (impossible if len(impossible) <= _MOST_MARKS else set())
    strange = [cell for cell in texts if cell in marks]
    return [texts[cell] for cell in strange] if _are_few(column, strange, _MOST_MEANINGS) else ()


def _gaps_or_codes(column: Column) -> Collection[str]:
    """Return what counts as a gap among words of which none is what it may be an abbreviation of."""
    gap, code = _GAPS_OR_CODES.get(column.name, (None, None))
    meant = {dialects.code_in(column.name, text) for text in column.filled.values()}
    if column.numbers or not meant or code in meant:
        return ()
    return [
        text for cell, text in enumerate(column.cells) if written(text) == gap and column.times[cell] >= FEWEST_SHOWN
    ]


def _with_marks_of_others(
    columns: Mapping[str, Column], unclear: Mapping[str, Collection[str]], stated: Meant
) -> dict[str, Collection[str]]:
    """Add by quantity the lowest or highest number if that, in another quantity, is asked about or explained."""
    quantities = [name for name in columns if not dialects.WORDS[name]]
    texts = {name: [*unclear.get(name, ()), *dict(stated.get(name, ()))] for name in quantities}
    known = {name: {*map(dialects.number_in, of)} for name, of in texts.items()}
    marks, asked = set[float | None]().union(*known.values()), dict(unclear)
    for name, own in known.items():
        numbers = {*columns[name].numbers.values()}
        ends = {min(numbers, default=0), max(numbers, default=0)} - {0}
        if new := ends & (marks - own):
            asked[name] = [*unclear.get(name, ()), *(f"{number:g}" for number in sorted(new))]
    return asked
