"""What is said of a file that was read: how each part of it was understood, and what in it looks doubtful."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from common import dialects
from common.dialects import LABEL, UCI_CODES
from common.patient import FIELDS
from server.anomaly.columns import USUAL_MEDIANS, title_of
from server.anomaly.conventions import meanings_in_words
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray, IndexArray
from server.anomaly.label_direction import can_tell
from server.anomaly.proofs import FEWEST_OF_A_CLASS, Matches, Meanings, auroc_of, shipped_table
from server.anomaly.table_file import Column, Table

MOST_ROWS = 5  # that are named
_FOUR_VESSELS = 4
# A number far out that several patients share may be what a program writes where nothing was measured; of some numbers
# one is enough. Far out is a fifth of the others' range beyond it.
_NOT_MEASURED_ELSEWHERE = frozenset({777.0, 888.0, 999.0})
_FEW, _FEW_TIMES, _FAR_OUT, _FAR = 0.02, 3, (0.01, 0.99), 0.2
# An unusual number that so many patients share stands for something else, unless it is a round one: pressures are read
# to the next ten, depressions often to the next millimeter.
_ROUND = {"age": 1, "resting_bp": 10, "cholesterol": 1000, "max_heart_rate": 1000, "st_depression": 1}
_SPIKE, _LEAST_SPIKE, _UNUSUAL = 0.05, 5, (0.05, 0.95)
_UPPER, _USUAL_DEPRESSIONS = 0.95, (0.8, 5.0)  # mm; the upper end of most patients
_BY_CHANCE = 1e-4  # that codes which are usual are missing
_RARE, _MUCH_MORE = 0.2, 0.3  # of all patients: who has a code in the shipped table, and how many more in a file
_EXPLAINS = re.compile(r"(?i)legend|code.?book|coding|codes")
_SUMMARY = re.compile(
    r"(mean|median|mode|average|avg|min(imum)?|max(imum)?|sum|total|std|stdev|sd|count|example|sample|template|test"
    r"|normal (range|values?))(\W+\w+)?\W*",
    re.IGNORECASE,
)
"""What rows are called that look like patients and are none."""


def doubts_about_columns(table: Table) -> Iterator[str]:
    """Say where a field seems to be in columns that are not known, rows to be of no patient, or what explains codes."""
    yield from (f"row {line} stands above the names of the columns, and is not read" for line in table.above)
    called = table.lines[_has_number(table) & _is_called_a_summary(table)].tolist()
    if called:
        rows = ", ".join(map(str, called[:MOST_ROWS]))
        yield f"rows like {rows} are called a summary or an example: remove them if they are no patients"
    numbered = {name: column.header for name, column in table.fields.items() if name in UCI_CODES and column.numbers}
    if table.explained_by and numbered:
        yield (
            f"{table.explained_by} may say what codes mean, and is not read: "
            "if it says something unusual, say so with --values FIELD:VALUE=MEANING,VALUE=MEANING"
        )
    for header in table.unused:
        of = [numbered[name] for name in dialects.fields_within(header) & numbered.keys()]
        if of or (numbered and _EXPLAINS.search(header)):
            yield f"{header} is not read, and may say what the codes of {', '.join(of) or 'others'} mean"


def no_patients(table: Table) -> IndexArray:
    """Return the lines of rows after the last patient that have no number in any quantity, as a footer."""
    has_number, names = _has_number(table), {column.header: column.name for column in _quantities(table)}
    last = table.lines[has_number & ~_is_called_a_summary(table)].max(initial=0)
    # A row with too few cells that has a number there is a patient's, cut off. Where other rows have another number of
    # cells, too, those at the end are cut off as well.
    short = [
        line
        for line, cells in table.short.items()
        if not any(_is_number(names[header], header, text) for header, text in cells if header in names)
    ]
    below = [*table.lines[~has_number & (table.lines > last)], *short * all(line > last for line in table.uneven)]
    is_known = last or not table.lines.size
    return np.array(sorted(below) if is_known and len(below) <= _most_others(table) else [], dtype=np.int64)


def _is_number(name: str, header: str, text: str) -> bool:
    return dialects.number_in(dialects.as_stated(name, header, text.strip(" '"))) is not None


def _quantities(table: Table) -> Sequence[Column]:
    return [column for name, column in table.fields.items() if name not in UCI_CODES]


def _has_number(table: Table) -> BoolArray:
    """Tell by row whether there is a number in any quantity."""
    has_number: BoolArray = np.any([np.isin(of.places, [*of.numbers]) for of in _quantities(table)], axis=0)
    return has_number


def _is_called_a_summary(table: Table) -> BoolArray:
    """Tell by row whether it is called a summary or an example."""
    is_called: BoolArray = np.zeros(table.lines.size, dtype=np.bool_)
    for column in (*_quantities(table), *(column for column in table.columns if not column.name)):
        is_called |= np.isin(column.places, [i for i, text in enumerate(column.cells) if _SUMMARY.fullmatch(text)])
    # Of more rows, the word is for all kinds of rows, as "test" beside "train" is.
    if is_called.sum() > _most_others(table):
        is_called[:] = False
    return is_called


def _most_others(table: Table) -> float:
    return max(MOST_ROWS, _FEW * table.lines.size)


def doubts_about_values(columns: Mapping[str, Column], values: FloatArray, shared: Matches) -> Iterator[str]:
    """Say where a number or a code seems to stand for something else, or all numbers to be of something else."""
    here, there = values[shared[0]], shipped_table()[0][shared[1]]
    is_other = (here != there) & ~np.isnan(here + there)
    for name, column in columns.items():
        found, usual, other = (of[:, COLUMNS.index(name)] for of in (values, shipped_table()[0], is_other))
        if name in UCI_CODES and other.sum() > max(_FEW_TIMES, _FEW * len(other)):
            yield f"{column.header} differs in {other.sum()} of the {len(other)} rows that the shipped table has too"
        about = _doubts_about_codes if name in UCI_CODES else _doubts_about_numbers
        yield from about(column.header, name, found[~np.isnan(found)], usual)


def _doubts_about_codes(header: str, name: str, found: FloatArray, usual: FloatArray) -> Iterator[str]:
    """Say which codes are missing, which can hardly be by chance, and which that are rare elsewhere are not rare."""
    field = FIELDS[name]
    missing = [code for code in field.codes if code not in found]
    share = float(np.isin(usual, missing).mean())
    if len(field.codes) - len(missing) == 2 < len(field.codes) and (1 - share) ** found.size < _BY_CHANCE:  # noqa: PLR2004
        names = " or ".join(field.in_words(code) for code in missing)
        yield f"{header} is never {names}: it may be a yes or no"
    for code in field.codes if found.size >= FEWEST_OF_A_CLASS else ():
        elsewhere, here = (float((of == code).mean()) for of in (usual, found))
        if elsewhere < _RARE and here > elsewhere + _MUCH_MORE:
            yield f"{header} is {field.in_words(code)} in {here:.0%} of the patients, which is unusual"


def _doubts_about_numbers(header: str, name: str, found: FloatArray, usual: FloatArray) -> Iterator[str]:
    for number, times in zip(*np.unique(found, return_counts=True), strict=True):
        # Two ways to stand out: far from all others, or so often that it can hardly be a measurement.
        is_shared = times > max(_FEW_TIMES, _FEW * found.size)
        is_spike = number % _ROUND[name] != 0 and times > max(_LEAST_SPIKE, _SPIKE * found.size)
        is_odd = (is_shared and _is_out(number, found)) or (is_spike and _is_out(number, found, _UNUSUAL, far=0))
        if number in _NOT_MEASURED_ELSEWHERE or is_odd:
            remedy = f'if it was not measured, say --values "{name}:{number:g}=not measured"'
            yield f"{header} is {number:g} in {times} patients: {remedy}"
    if name == "st_depression" and found.max(initial=0) <= 0 and (found < 0).sum() > _FEW_TIMES:
        yield f"{header} has no number above 0: a depression is written as a positive number"
    elif found.size >= FEWEST_OF_A_CLASS:
        lowest, highest = np.nanquantile(usual, USUAL_MEDIANS)
        if not lowest <= (middle := float(np.median(found))) <= highest:
            yield f"the median of {header} is {middle:g}, which is unusual for {title_of(name)}"
        lowest, highest = _USUAL_DEPRESSIONS
        if name == "st_depression" and not lowest <= (upper := float(np.quantile(found, _UPPER))) <= highest:
            yield f"{header} is at most {upper:g} in 19 of 20 patients, which is unusual in mm"


def _is_out(number: float, numbers: FloatArray, ends: tuple[float, float] = _FAR_OUT, *, far: float = _FAR) -> bool:
    others = numbers[numbers != number]
    low, high = np.quantile(others, ends) if others.size else (number, number)
    return not low - far * (high - low) <= number <= high + far * (high - low)


def reading_in_words(table: Table, values: FloatArray, codes: Meanings, label: FloatArray) -> Iterator[str]:
    """Say in lines what was made of columns, codes and gaps."""
    columns = table.known
    renamed = {column.header: title for name, column in columns.items() if column.header != (title := title_of(name))}
    if renamed:
        yield f"Columns: {', '.join(f'{header} = {title}' for header, title in renamed.items())}."
    # First the fields that conventions number differently; vessels are counted alike in all but for a code 4.
    coded = [name for name in {**codes, **columns} if name in UCI_CODES and name in columns]
    used = {
        name: of for name in coded if (of := columns[name].codes) and (name != "major_vessels" or _FOUR_VESSELS in of)
    }
    if used:
        unchecked = "" if can_tell(label) else " There are too few labels to check that."
        yield f"Codes: {meanings_in_words(columns, {**UCI_CODES, **codes}, used, with_shares=True)}.{unchecked}"
    yield from _values_in_words(values)
    yield from _unread_in_words(table, values)
    for name in sorted(dialects.ZERO_IS_NOT_MEASURED & columns.keys()):
        zeros = [cell for cell, text in enumerate(columns[name].cells) if dialects.number_in(text) == 0]
        if zeros:
            times = columns[name].times[zeros].sum()
            yield f"Patients with {columns[name].header} 0, which counts as not measured: {times:,}."
    never = np.all(np.isnan(values), axis=0)
    if never.any():
        shipped, has_disease = shipped_table()
        whole, less = (auroc_of(np.where(gaps, np.nan, shipped), has_disease, z=0)[1] for gaps in (False, never))
        titles = ", ".join(title_of(name) for name, is_never in zip(COLUMNS, never, strict=True) if is_never)
        costs = f"tells disease apart with an AUROC of {whole:.2f}, and without these fields of {less:.2f}"
        yield f"Not measured in any patient: {titles}. What that costs: on the shipped data, a simple score {costs}."
    if LABEL in columns and len({*label[~np.isnan(label)].tolist()}) == 1:
        yield "All labels are the same, so their direction cannot be tested."


def _values_in_words(values: FloatArray) -> Iterator[str]:
    """Say what the values are like, and in how many patients a field was not measured: odd ones show an odd reading."""
    said, gaps = [], []
    for name, column in zip(COLUMNS, values.T, strict=True):
        measured = column[~np.isnan(column)]
        if measured.size and name not in UCI_CODES:
            low, middle, high = np.quantile(measured, [0.05, 0.5, 0.95])  # not the ends, which may point to a person
            said.append(f"{title_of(name)} mostly {low:.3g} to {high:.3g}, median {middle:.3g}")
        if measured.size and name in dialects.TWO_CODES:
            said.append(f"{title_of(name)} {FIELDS[name].codes[1]} {measured.mean():.0%}")
        if 0 < measured.size < len(column):
            gaps.append(f"{title_of(name)} {len(column) - measured.size:,}")
    yield f"Values: {'; '.join(said)}."
    if gaps:
        yield f"Not measured in some patients: {', '.join(gaps)}."


def _unread_in_words(table: Table, values: FloatArray) -> Iterator[str]:
    if table.unused:
        yield f"Not used: {', '.join(table.unused)}."
    if table.unread:
        yield f"Comment lines or other sheets that were not read: {table.unread}."
    if doubled := len(values) - len(np.unique(values, axis=0)):
        yield f"Patients with the same values as another: {doubled:,}."
