"""Which column is which field, and what its values mean, where the file does not say it: a person does, or is asked."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from common import dialects
from common.dialects import LABEL
from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN
from server.anomaly.dataset import COLUMNS
from server.anomaly.proofs import shipped_table
from server.anomaly.questions import AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column, Table

NOWHERE = "none"
USUAL_MEDIANS = (0.1, 0.9)  # of all values in the shipped table
_FEWEST, _MOST_MEANINGS, _MOST_MARKS = 3, 12, 3
_FEWEST_NUMBERS, _MOST_MISSING = 10, 4
_OVER = 120  # mg/dL
_VALUES_FORM = "--values FIELD:VALUE=MEANING,VALUE=MEANING"
_GLUCOSE, _GLUCOSE_IN_MMOL, _MMOL = (30, 600), (2.5, 30), 18.016


def title_of(name: str) -> str:
    return LABEL_COLUMN if name == LABEL else FIELDS[name].csv_column


def stated_columns(answers: Answers) -> Mapping[str, str]:
    """Return which column is which field as a person says it."""
    return dict(_stated(said, "--column FIELD=NAME", "=") for said in answers.columns)


def _stated(said: str, form: str, mark: str) -> tuple[str, str]:
    written, found, rest = said.partition(mark)
    name = dialects.field_named(written)
    if name is None or not found:
        raise WrongAnswerError(f"write {form}; fields are {', '.join([*FIELDS, LABEL])}.")
    return name, rest.strip()


def ask_for_columns(table: Table, answers: Answers, required: Sequence[str]) -> None:
    """Ask which columns are fields that none has the name of."""
    about: dict[str, str] = {}
    lines = []
    missing = [name for name in (*COLUMNS, LABEL) if name not in table.columns]
    is_foreign = len(missing) > _MOST_MISSING
    for name in missing:
        like = [header for header, cells in table.unused.items() if _may_be(name, header, cells)]
        said, option = " or ".join(like), f'--column "{name}={like[0] if len(like) == 1 else "NAME"}"'
        if name in required:
            if not table.unused:
                raise InvalidDataError(f"there is no column for {title_of(name)}.")
            it_may_be = f"; it may be {said}" if like else ""
            lines.append(f"There is no known column for {title_of(name)}{it_may_be}. {option}")
        elif (like or is_foreign) and table.unused and not answers.yes and stated_columns(answers).get(name) != NOWHERE:
            otherwise = f'or --column "{name}={NOWHERE}" if it is not'
            lines.append(f"{title_of(name)} may be {said or 'another column'}. {option}, {otherwise}.")
        else:
            continue
        or_nowhere = "" if name in required else f", or {NOWHERE}"
        about[f"{name}="] = f"Which column is {title_of(name)}? (name{or_nowhere}) "
    if lines:
        unknown = f"The file's other columns are: {', '.join(table.unused)}."
        raise AmbiguousDataError("\n".join(["which column is it? Say it with", *lines, unknown]), "columns", about)


def _may_be(name: str, header: str, cells: Sequence[str]) -> bool:
    """Tell whether a column with an unknown name may be a field, by its name or by what stands in it."""
    if name in dialects.fields_like(header):
        return True
    filled = [text for text in cells if text.strip() and not dialects.is_gap(name, text)]
    if name == LABEL or FIELDS[name].codes:
        words = {text for text in filled if dialects.number_in(text) is None}
        codes = {dialects.number_in(text) for text in filled}
        if name != LABEL and not words and len(codes) >= _FEWEST:
            return codes <= known_codes(name)
        meant = {dialects.code_in(name, text) for text in words} if len(words) <= _MOST_MEANINGS else {None}
        return name not in dialects.YES_NO_FIELDS and len(meant) > 1 and None not in meant
    numbers = [number for text in filled if (number := dialects.number_in(text)) is not None]
    different = len({*numbers})
    # All different, they number the patients.
    if len(numbers) < len(filled) or not _FEWEST_NUMBERS < different < len(numbers):
        return False
    lowest, highest = np.nanquantile(shipped_table()[0][:, COLUMNS.index(name)], USUAL_MEDIANS)
    low, high = FIELDS[name].possible_range or (min(numbers), max(numbers))
    return bool(low <= min(numbers) and max(numbers) <= high and lowest <= np.median(numbers) <= highest)


def as_meant(table: Table, answers: Answers) -> tuple[Table, list[str]]:
    """Return a table with the values that a person or their own form explains in words, and what was converted so.

    Raises
    ------
    AmbiguousDataError
        When values that many patients have are not known.
    WrongAnswerError
        When a person explains what is not there.
    """
    stated = _stated_values(table, answers)
    columns, said, unclear = dict[str, Column](), list[str](), dict[str, Collection[str]]()
    for name, column in table.columns.items():
        columns[name], how = _converted(_in_words(column, stated[name]))
        said += how
        clear = dialects.WORDS[name].values() if how or stated[name] else ()
        if unknown := [text for text in _unknown_values(columns[name]) if text not in clear]:
            unclear[name] = unknown
    if unclear and not table.has_header:
        raise InvalidDataError(
            "its columns have no names, and are not UCI's in their order. Put a row of names on top."
        )
    if unclear:
        raise what_values_mean(table.columns, unclear)
    return replace(table, columns=columns), said


def _stated_values(table: Table, answers: Answers) -> Mapping[str, Sequence[str]]:
    """Return by field all pairs of a value and its meaning as a person says them."""
    stated = {name: list[str]() for name in table.columns}
    for name, pairs in (_stated(said, _VALUES_FORM, ":") for said in answers.values):
        if name not in stated:
            raise WrongAnswerError(f"--values: there is no column for {title_of(name)}.")
        stated[name] += pairs.split(",")
    return stated


def _converted(column: Column) -> tuple[Column, list[str]]:
    """Return a column with what a form of its own stands for, and how that was read, if it has one."""
    if column.name == "resting_bp" and any(map(dialects.is_pair_of_pressures, column.cells)):
        firsts = [text.partition("/")[0] if dialects.is_pair_of_pressures(text) else text for text in column.cells]
        return replace(column, cells=firsts), [f"{column.header}: the first of two pressures, the systolic one."]
    if column.name == "fasting_blood_sugar_high" and (factor := _glucose_factor(column)):
        unit = "mg/dL" if factor == 1 else "mmol/L"
        return _over_120(column, factor), [f"{column.header}: glucose in {unit}, yes where over 120 mg/dL."]
    return column, []


def what_values_mean(columns: Mapping[str, Column], values: Mapping[str, Collection[str]]) -> AmbiguousDataError:
    """Return the question what some values of columns mean."""
    lines, about = ["what do these values mean? Say it with"], dict[str, str]()
    for name, texts in values.items():
        example = ",".join(f"{text}=MEANING" for text in texts)
        choices = ", ".join([*dialects.WORDS[name].values(), "not measured"])
        lines.append(f'--values "{name}:{example}", where MEANING is one of: {choices}')
        about[f"{name}:"] = f"{columns[name].header} (as {example}): "
    return AmbiguousDataError("\n".join(lines), "values", about)


def _in_words(column: Column, stated: Sequence[str]) -> Column:
    """Replace what a person explains by this product's words."""
    meant, there, words = dict[str, str](), {*map(written, column.cells)}, dialects.WORDS[column.name]
    by_meaning: Mapping[float | None, str] = dict(words.items())
    for pair in stated:
        text, _, meaning = (part.strip() for part in pair.rpartition("="))
        if not text:
            raise WrongAnswerError(f"write {_VALUES_FORM}.")
        if written(text) not in there:
            raise WrongAnswerError(f"--values: {text} is in no cell of {column.header}.")
        number = dialects.number_in(meaning)
        word = by_meaning.get(dialects.code_in(column.name, meaning) if number is None else number)
        if dialects.is_gap(column.name, meaning):
            word = ""
        if word is None:
            raise WrongAnswerError(
                f"--values: what {column.header} means is one of: {', '.join([*words.values(), 'not measured'])}."
            )
        meant[written(text)] = word
    return replace(column, cells=[meant.get(written(text), text) for text in column.cells])


def written(text: str) -> str:
    """Return a text as it is compared: ``1.0`` as ``1``, and words without capitals."""
    number = dialects.number_in(text)
    return text.casefold() if number is None else f"{number:g}"


def _glucose_factor(column: Column) -> float:
    """Return what turns numbers that can only be glucose into mg/dL; 0 where they can be codes."""
    numbers = [*column.numbers.values()]
    if len({*numbers}) <= _FEWEST or len(numbers) < len(column.filled):
        return 0
    for (lowest, highest), factor in ((_GLUCOSE, 1.0), (_GLUCOSE_IN_MMOL, _MMOL)):
        if lowest <= min(numbers) and max(numbers) <= highest:
            return factor
    return 0


def _over_120(column: Column, factor: float) -> Column:
    words = FIELDS[column.name].codes
    over = {cell: words[int(number * factor > _OVER)] for cell, number in column.numbers.items()}
    return replace(column, cells=[over.get(cell, text) for cell, text in enumerate(column.cells)])


def known_codes(name: str) -> set[int]:
    """Return the codes that a field has in any convention."""
    return {*FIELDS[name].codes, *(code for codes in dialects.CONVENTIONS.values() for code in codes.get(name, ()))}


def _unknown_values(column: Column) -> Collection[str]:
    """Return all values of a column with codes if some that many patients have are not known, or mean the same.

    Of others they are those that are not known. A value that only some have is refused by row, and never shown: it may
    be a patient's.
    """
    texts = {cell: text for cell, text in column.filled.items() if column.times[cell] >= _FEWEST}
    meant = {cell: dialects.code_in(column.name, text) for cell, text in texts.items() if cell not in column.numbers}
    if column.name == LABEL:  # which of two words means disease is a question of its own
        return [texts[cell] for cell in meant if meant[cell] is None] if {0, 1} <= {*meant.values()} else ()
    field = FIELDS[column.name]
    if not field.codes:
        return _unknown_marks(column, texts)
    known = known_codes(column.name)
    strange = [number for cell in texts if (number := column.numbers.get(cell)) is not None and number not in known]
    # "M" and "H" are no woman in any row: in Spanish the "M" would be one.
    is_one = len(field.codes) == len({0, 1}) and len(meant) > 1 and len({*meant.values()}) == 1
    is_strange = strange or None in meant.values() or is_one or dialects.may_be_opposite(column.name, column.header)
    return [*texts.values()] if is_strange and len(texts) <= _MOST_MEANINGS else ()


def _unknown_marks(column: Column, texts: Mapping[int, str]) -> Collection[str]:
    """Return which of the usual texts of a quantity stand for something else, as where it was not measured."""
    lowest, highest = FIELDS[column.name].possible_range or (-math.inf, math.inf)
    impossible = {cell for cell, number in column.numbers.items() if not min(lowest, 0) <= number <= highest}
    # More of such numbers are of another unit.
    marks = texts.keys() - column.numbers.keys() | (impossible if len(impossible) <= _MOST_MARKS else set())
    strange = [cell for cell in texts if cell in marks]
    is_rare = 2 * column.times[strange].sum() <= column.places.size
    return [texts[cell] for cell in strange] if is_rare and len(strange) <= _MOST_MEANINGS else ()


def said_of(table: Table) -> Iterator[str]:
    """Say what the names of columns say of their codes."""
    for name, column in table.columns.items():
        stated = dialects.stated_codes(name, column.header) if name != LABEL else {}
        if any(number != code for number, code in stated.items()):
            meanings = ", ".join(f"{number} = {FIELDS[name].in_words(code)}" for number, code in stated.items())
            yield f"{column.header}: {meanings}, as its name says."
