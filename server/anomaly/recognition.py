"""Recognizing what the columns of a file of patients mean: codes, units and the direction of the label.

Nothing is guessed: a meaning is stated by words, proved by rows that the shipped table has too, or clear from how
codes, fields and label go together. Otherwise it is asked for.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common import dialects
from common.dialects import LABEL, UCI_CODES
from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN, LABELS
from server.anomaly.conventions import (
    DIFFERING,
    Columns,
    ask_about_exchanged_codes,
    codes_of,
    headers_of,
    meanings_in_words,
)
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray, IndexArray
from server.anomaly.proofs import (
    CHANCE,
    FEWEST_MATCHES,
    FEWEST_OF_A_CLASS,
    Matches,
    Meanings,
    auroc_of,
    matches_of,
    proofs_of,
    shipped_table,
)
from server.anomaly.questions import NO_ANSWERS, AmbiguousDataError, Answers
from server.anomaly.table_file import Column, Table, read_table

_Z_TO_STOP, _Z_TO_PROVE = 1.96, 4.0
_MOST_LINES, _MOST_ROWS = 15, 5
_USUAL_MEDIANS = (0.1, 0.9)  # of all values in the shipped table
_MANY, _FOUR_VESSELS = 20_000, 4
# A number far out that several patients share may be what a program writes where nothing was measured; of some numbers
# one is enough. Far out is a fifth of the others' range beyond it.
_NOT_MEASURED_ELSEWHERE = frozenset({777.0, 888.0, 999.0})
_FEW, _FEW_TIMES, _FAR_OUT, _FAR = 0.02, 3, (0.01, 0.99), 0.2

_EXCHANGE = "Swap the labels, or say which value means disease with --label-of-disease VALUE."

_EXPLAINS = re.compile(r"(?i)legend|code.?book|coding|codes")
# An unusual number that so many patients share stands for something else; pressures are read to the next ten.
_SPIKED = {"resting_bp": 10, "cholesterol": 1000, "max_heart_rate": 1000}
_SPIKE, _LEAST_SPIKE, _UNUSUAL = 0.05, 5, (0.05, 0.95)
_UPPER, _USUAL_DEPRESSIONS = 0.95, (0.8, 5.0)  # mm; the upper end of most patients
_BY_CHANCE = 1e-4  # that codes which are usual are missing
_RARE, _MUCH_MORE = 0.2, 0.3  # of all patients: who has a code in the shipped table, and how many more in a file

# More disease-free patients make no better forest (each tree sees 16) and no better evaluation, but take hours.
MOST_OF_A_CLASS = 10_000


@dataclass(frozen=True)
class Patients:
    """The patients of a file: ``values`` of shape (n, 13), NaN where not measured, and labels of shape (n,).

    ``has_disease`` counts where ``is_labelled``. ``recognized`` says in lines how the file was read, and
    ``wrong_label`` why the label looks the wrong way round, if it does.
    """

    name: str
    sha256: str
    values: FloatArray
    has_disease: BoolArray
    is_labelled: BoolArray
    recognized: Sequence[str]
    wrong_label: str | None

    def drawn(self, rows: IndexArray, said: str) -> "Patients":
        """Return some of the patients, and say so."""
        return replace(
            self,
            values=self.values[rows],
            has_disease=self.has_disease[rows],
            is_labelled=self.is_labelled[rows],
            recognized=[*self.recognized, said],
        )


def load_dataset(path: Path, answers: Answers = NO_ANSWERS) -> Dataset:
    """Read labelled patients to train or recalibrate on: all, or of very many a random sample.

    Raises
    ------
    InvalidDataError
        As ``read_patients`` does, and when the label looks the wrong way round.
    """
    patients = read_patients(path, answers, needs_label=True)
    if patients.wrong_label:
        raise InvalidDataError(f"{path}: {patients.wrong_label}")
    random = np.random.default_rng(0)  # the same file gives the same patients, and so the same model
    groups = [np.flatnonzero(patients.has_disease == is_ill) for is_ill in (False, True)]
    drawn = [random.choice(rows, min(rows.size, MOST_OF_A_CLASS), replace=False) for rows in groups]
    if sum(rows.size for rows in drawn) < len(patients.values):
        free, ill = (f"{few.size:,} of {rows.size:,}" for few, rows in zip(drawn, groups, strict=True))
        said = f"A random sample is used: {free} disease-free patients, and {ill} with disease."
        patients = patients.drawn(np.sort(np.concatenate(drawn)), said)
    return Dataset(patients.name, patients.sha256, patients.values, patients.has_disease, patients.recognized)


def read_patients(path: Path, answers: Answers = NO_ANSWERS, *, needs_label: bool) -> Patients:
    """Read the patients of a file in any of the dialects that circulate.

    Raises
    ------
    InvalidDataError
        When the file cannot be used; rows and columns are named, and no cell's content: it may be a patient's.
    AmbiguousDataError
        When it can be read in several ways and the answers do not settle which.
    """
    try:
        return _read(path, answers, needs_label=needs_label)
    except InvalidDataError as error:
        error.args = (f"{path}: {error.message}",)
        raise


def _read(path: Path, answers: Answers, *, needs_label: bool) -> Patients:
    table = read_table(path, sheet=answers.sheet)
    columns = table.columns
    required = [name for name, field in FIELDS.items() if field.required] + [LABEL] * needs_label
    if lacking := [_title(name) for name in required if name not in columns]:
        unknown = f"Known: {headers_of(columns, columns)}; unknown: {', '.join(table.unused) or 'none'}."
        raise InvalidDataError(f"there is no column for {' and '.join(lacking)}. {unknown}")
    if not answers.yes:
        _ask_about_columns(table)
    values, errors = _decoded(table, {})
    matches = matches_of(values)
    coded = [name for name in columns if name == LABEL or FIELDS[name].codes]
    proofs = proofs_of(matches, {name: columns[name].by_row(columns[name].numbers) for name in coded})
    label, label_said, errors[LABEL] = _label(columns.get(LABEL), values, proofs, answers, needs_label=needs_label)
    known = ~np.isnan(label)
    # Codes are read from a label only if the fields without conventions bear it out: turned round, it turns them round.
    low, suspected = _tested(values[known], label[known] == 1, answers)
    tested_label = label if low > CHANCE else np.full_like(label, np.nan)
    try:
        codes, codes_said = codes_of(columns, tested_label, proofs, answers)
    except AmbiguousDataError as error:
        raise (InvalidDataError(suspected) if suspected else error) from None
    values, wrong = _decoded(table, codes)
    _refuse_cells(table, errors | wrong)
    read = {name: label if name == LABEL else values[:, COLUMNS.index(name)] for name in coded}
    refuted = _refuted(columns, proofs_of(matches, read), matches)
    # What rows of the shipped table prove need not hold for the others of the file.
    strangers = np.isin(np.arange(len(values)), matches[0], invert=True)
    if not answers.yes:
        ask_about_exchanged_codes(columns, codes, tested_label)
        ask_about_exchanged_codes(columns, codes, np.where(strangers, tested_label, np.nan))
        _ask_about_numbers(columns, values)
    low, suspected = _tested(values[known], label[known] == 1, answers)
    _, of_strangers = _tested(values[known & strangers], label[known & strangers] == 1, answers)
    # Among very many patients, strangers are alike by chance.
    seen = np.unique(matches[1]).size if len(values) < _MANY else 0
    said = [f"Recognized {_names(table)}, {codes_said}; {len(values):,} patients; {label_said}."]
    said += _details(table, values, codes, label)
    if low <= CHANCE and min((label == 1).sum(), (label == 0).sum()) >= FEWEST_OF_A_CLASS:
        said.append("Labels and fields hardly go together: check that the label says who has coronary disease.")
    if seen >= FEWEST_MATCHES:
        said.append(
            f"{seen} of these patients are also in the shipped table; "
            "a model trained on that table has already seen them."
        )
    return Patients(
        name=path.name,
        sha256=table.sha256,
        values=values,
        has_disease=label == 1,
        is_labelled=known,
        recognized=said,
        wrong_label=refuted or suspected or of_strangers,
    )


def _title(name: str) -> str:
    return LABEL_COLUMN if name == LABEL else FIELDS[name].csv_column


def _is_in_mmol(column: Column) -> bool:
    """Tell whether cholesterol is in mmol/L: all of it has to be, and the column's name must not say mg/dL."""
    lowest, highest = dialects.CHOLESTEROL_IN_MMOL
    is_so = [lowest <= number <= highest for number in column.numbers.values()]
    return column.name == "cholesterol" and "mg" not in column.header.casefold() and bool(is_so) and all(is_so)


def _decoded(table: Table, codes: Meanings) -> tuple[FloatArray, dict[str, dict[int, str]]]:
    """Return the values, shape (n, 13), and by column what must stand in cells that cannot be read.

    Numbers of fields that conventions differ in are left out as long as there are no ``codes``.
    """
    values, errors = np.full((table.lines.size, len(COLUMNS)), np.nan), defaultdict[str, dict[int, str]](dict)
    for name, column in table.columns.items():
        mmol, read = _is_in_mmol(column), dict[int, float | int | None]()
        undecided = column.numbers if name in DIFFERING and not codes else {}
        for cell, text in enumerate(column.cells):
            if name == LABEL or cell in undecided:
                continue
            try:
                read[cell] = dialects.value_of(name, text, codes.get(name), mmol=mmol)
            except InvalidDataError as error:
                errors[name][cell] = error.message
        if name != LABEL:
            values[:, COLUMNS.index(name)] = column.by_row(read)
    return values, errors


def _refuted(columns: Columns, proofs: Meanings, matches: Matches) -> str | None:
    """Return why the label is the wrong way round in rows that the shipped table has too.

    Raises
    ------
    InvalidDataError
        When words or codes of another column are others there.
    """
    others = {name for name, codes in proofs.items() if any(of not in (None, code) for code, of in codes.items())}
    same = f"{np.unique(matches[1]).size} rows of the shipped table are in this file too, but with"
    if others - {LABEL}:
        raise InvalidDataError(
            f"{same} other values of {headers_of(columns, sorted(others - {LABEL}))}. Its words or codes mean "
            "something else: compare them with data/README.md."
        )
    return f"the label is the wrong way round: {same} the opposite label. {_EXCHANGE}" if others else None


def _ask_about_columns(table: Table) -> None:
    """Ask where a field seems to be in columns that are not known, or rows are not of patients."""
    doubts = []
    coded = {name: column for name, column in table.columns.items() if name != LABEL and FIELDS[name].codes}
    numbered = {name: column.header for name, column in coded.items() if column.numbers}
    if table.is_explained and numbered:
        doubts.append("a title, a comment, a note or another sheet may say what codes mean, and is not read")
    for header in table.unused:
        of = [numbered[name] for name in dialects.fields_within(header) & numbered.keys()]
        if of or (numbered and _EXPLAINS.search(header)):
            doubts.append(f"{header} is not read, and may say what the codes of {', '.join(of) or 'others'} mean")
    # Of more rows, the word is for all kinds of rows, as "test" beside "train" is.
    if 0 < len(table.summaries) <= max(_MOST_ROWS, _FEW * table.lines.size):
        rows = ", ".join(map(str, table.summaries[:_MOST_ROWS]))
        doubts.append(f"rows like {rows} are called a summary or an example: remove them if they are no patients")
    for name in [name for name in COLUMNS if name not in table.columns]:
        if like := [header for header in table.unused if name in dialects.fields_like(header)]:
            doubts.append(f"{_title(name)} may be in {', '.join(like)}, which cannot be read")
    _ask_if(doubts)


def _ask_about_numbers(columns: Columns, values: FloatArray) -> None:
    """Ask where a number seems to stand for something else, or all numbers to be of something else."""
    doubts: list[str] = []
    for name, column in columns.items():
        if name != LABEL and not FIELDS[name].codes:
            numbers = values[:, COLUMNS.index(name)]
            doubts += _doubts_about(column.header, name, numbers[~np.isnan(numbers)])
        elif name != LABEL:
            doubts += _doubts_about_codes(column, values[:, COLUMNS.index(name)])
    _ask_if(doubts)


def _doubts_about_codes(column: Column, values: FloatArray) -> Iterator[str]:
    """Say which codes are missing, which can hardly be by chance, and which that are rare elsewhere are not rare."""
    found, field = values[~np.isnan(values)], FIELDS[column.name]
    missing = [code for code in field.codes if code not in found]
    of_shipped = shipped_table()[0][:, COLUMNS.index(column.name)]
    share = float(np.isin(of_shipped, missing).mean())
    if len(field.codes) - len(missing) == 2 < len(field.codes) and (1 - share) ** found.size < _BY_CHANCE:  # noqa: PLR2004
        names = " or ".join(field.in_words(code) for code in missing)
        yield f"{column.header} is never {names}: it may be a yes or no"
    for code in field.codes if found.size >= FEWEST_OF_A_CLASS else ():
        usual, here = float((of_shipped == code).mean()), float((found == code).mean())
        if usual < _RARE and here > usual + _MUCH_MORE:
            yield f"{column.header} is {field.in_words(code)} in {here:.0%} of the patients, which is unusual"


def _ask_if(doubts: Sequence[str]) -> None:
    if doubts:
        raise AmbiguousDataError(f"is this right? {'; '.join(doubts)}. Say --yes to use the file as it is.", "yes")


def _doubts_about(header: str, name: str, numbers: FloatArray) -> Iterator[str]:
    for number, times in zip(*np.unique(numbers, return_counts=True), strict=True):
        is_shared = times > max(_FEW_TIMES, _FEW * numbers.size)
        is_spike = number % _SPIKED.get(name, 1) != 0 and times > max(_LEAST_SPIKE, _SPIKE * numbers.size)
        is_odd = (is_shared and _is_out(number, numbers)) or (is_spike and _is_out(number, numbers, _UNUSUAL, far=0))
        if number in _NOT_MEASURED_ELSEWHERE or is_odd:
            yield f"{header} is {number:g} in {times} patients: leave it empty if it was not measured"
    if name == "st_depression" and numbers.max(initial=0) <= 0 and (numbers < 0).sum() > _FEW_TIMES:
        yield f"{header} has no number above 0: a depression is written as a positive number"
    elif numbers.size >= FEWEST_OF_A_CLASS:
        lowest, highest = np.nanquantile(shipped_table()[0][:, COLUMNS.index(name)], _USUAL_MEDIANS)
        if not lowest <= (middle := float(np.median(numbers))) <= highest:
            yield f"the median of {header} is {middle:g}, which is unusual for {_title(name)}"
        lowest, highest = _USUAL_DEPRESSIONS
        if name == "st_depression" and not lowest <= (upper := float(np.quantile(numbers, _UPPER))) <= highest:
            yield f"{header} is at most {upper:g} in 19 of 20 patients, which is unusual in mm"


def _is_out(number: float, numbers: FloatArray, ends: tuple[float, float] = _FAR_OUT, *, far: float = _FAR) -> bool:
    others = numbers[numbers != number]
    low, high = np.quantile(others, ends) if others.size else (number, number)
    return not low - far * (high - low) <= number <= high + far * (high - low)


# The direction of the label.


def _label(
    column: Column | None, values: FloatArray, proofs: Meanings, answers: Answers, *, needs_label: bool
) -> tuple[FloatArray, str, dict[int, str]]:
    """Return by row whether disease was found (0 or 1), how the label says it, and cells that cannot be read."""
    if column is None:
        return np.full(len(values), np.nan), "no label", {}
    filled = {cell: text for cell, text in enumerate(column.cells) if not dialects.is_gap(LABEL, text)}
    words = {cell: said for cell, text in filled.items() if (said := dialects.label_in(text)) is not None}
    written = {cell: _written(text) for cell, text in filled.items()}
    different = _usual(column, written)
    why = ""
    if answers.label_of_disease is not None:
        ill = _written(answers.label_of_disease)
        if len(different) > len(LABELS) or (len(different) == len(LABELS) and ill not in different):
            raise InvalidDataError(f"--label-of-disease does not name one of two values of {column.header}.")
        disease = {cell: text == ill for cell, text in written.items()}
    elif words or not filled:
        disease = words
    elif {"0"} < different <= set("01234") and different != {"0", "1"}:
        _ask_about_two(column, different, answers)
        disease = {cell: text != "0" for cell, text in written.items()}
    elif len(different) > len(LABELS):
        disease = {}
    elif different <= {str(code) for code in proofs[LABEL]}:
        why = ", proved by rows of the shipped table"
        disease = {cell: bool(proofs[LABEL][int(text)]) for cell, text in written.items() if text in different}
    else:
        is_known = {cell: number for cell, number in column.numbers.items() if written[cell] in different}
        higher = _proved_by_fields(column.header, is_known, column.by_row(is_known), values)
        disease = {cell: number == higher for cell, number in is_known.items()}
    one_of = f"one of: {', '.join(LABELS)}"
    errors = {cell: f"must be {one_of}" for cell in filled if cell not in disease}
    gaps = [cell for cell in range(len(column.cells)) if cell not in filled]
    errors |= {cell: f"is required, {one_of}" for cell in gaps if needs_label}
    ill_said = " or ".join(dict.fromkeys(filled[cell] for cell, is_ill in disease.items() if is_ill)) or "no value"
    return column.by_row(disease), f"label `{column.header}`, {ill_said} = disease{why}", errors


def _usual(column: Column, written: Mapping[int, str]) -> set[str]:
    """Return what stands in more than a few rows, of what is written in each cell."""
    rows = Counter[str]()
    for cell, text in written.items():
        rows[text] += int(column.times[cell])
    # The row of totals of a sheet, or a mistake, is refused by row; it does not make the others unclear.
    return {text for text, number in rows.items() if number > _FEW * rows.total()}


def _ask_about_two(column: Column, different: Set[str], answers: Answers) -> None:
    """Ask whether all but 0 is disease: UCI's own degrees go to 4, and where some are missing one may be unknown."""
    *_, last = said = sorted(different)
    if len(different) > len(LABELS) and not set("0123") <= different and not answers.yes:
        raise AmbiguousDataError(
            f"{column.header} is {', '.join(said[:-1])} or {last}: are all but 0 disease, as in UCI's own file? "
            "Say --yes if so.",
            "yes",
        )


def _written(text: str) -> str:
    number = dialects.number_in(text)
    return text.casefold() if number is None else f"{number:g}"


def _proved_by_fields(header: str, numbers: Mapping[int, float], by_row: FloatArray, values: FloatArray) -> float:
    """Return the higher of two numbers, if the patients who have it as their label are clearly the sicker ones."""
    why = "Its values do not say it."
    known = ~np.isnan(by_row)
    if len(set(numbers.values())) == len(LABELS):
        higher = max(numbers.values())
        low, auroc, high = auroc_of(values[known], by_row[known] == higher, z=_Z_TO_PROVE)
        if low > CHANCE:
            return higher
        why = "The patients are too few or too much alike to tell."
        if high < CHANCE:
            why = f"Patients with {higher:g} look healthier than the others (AUROC {auroc:.2f})."
    raise AmbiguousDataError(
        f"which value of {header} means disease? {why} Versions of this data set differ. "
        "State it with --label-of-disease VALUE.",
        "label_of_disease",
    )


def _tested(values: FloatArray, has_disease: BoolArray, answers: Answers) -> tuple[float, str | None]:
    """Return the lower limit of a label's AUROC, and why it looks the wrong way round if it does."""
    low, auroc, high = auroc_of(values, has_disease, z=_Z_TO_STOP)
    looks = f"patients labeled as diseased look healthier than the others, AUROC {auroc:.2f}"
    if high < CHANCE:
        return low, f"the label looks the wrong way round: {looks} [{low:.2f}, {high:.2f}]. {_EXCHANGE}"
    fewer = min(has_disease.sum(), (~has_disease).sum())
    if auroc < CHANCE and fewer < FEWEST_OF_A_CLASS and not answers.yes:
        only = f"but only {fewer} patients have one of the labels. {_EXCHANGE} Say --yes if it is right."
        raise AmbiguousDataError(f"the label may be the wrong way round: {looks}, {only}", "yes")
    return low, None


# What is refused, and what is said.


def _refuse_cells(table: Table, errors: Mapping[str, Mapping[int, str]]) -> None:
    """Raise InvalidDataError naming, by column and by what must stand there, the rows that cannot be read."""
    found = [(table.uneven, "the number of cells differs from the number of columns")] if table.uneven else []
    for name, by_cell in errors.items():
        for problem in dict.fromkeys(by_cell.values()):
            column, cells = table.columns[name], [cell for cell, said in by_cell.items() if said == problem]
            found.append((table.lines[np.isin(column.places, cells)].tolist(), f"column {column.header} {problem}"))
    if not found:
        return
    lines = []
    for rows, problem in sorted(found)[:_MOST_LINES]:
        more = f" and {len(rows) - _MOST_ROWS:,} more" if len(rows) > _MOST_ROWS else ""
        one = "Row" if len(rows) == 1 else "Rows"
        lines.append(f"{one} {', '.join(map(str, rows[:_MOST_ROWS]))}{more}: {problem}.")
    number = len({row for rows, _ in found for row in rows})
    # The file is taken whole or not at all: a model must not depend on which rows happened to be readable.
    title = [f"{number:,} rows cannot be read, so the file was not used:"] * (number > 1)
    raise InvalidDataError("\n".join([*title, *lines]))


def _names(table: Table) -> str:
    is_own = all(dialects.is_own_name(column.header) for column in table.columns.values())
    names = "the product's column names" if is_own else "UCI's or other column names"
    return names if table.has_header else "no column names, so UCI's order"


def _details(table: Table, values: FloatArray, codes: Meanings, label: FloatArray) -> list[str]:
    """Say in lines what was made of columns, codes, units and gaps."""
    columns = table.columns
    renamed = {column.header: title for name, column in columns.items() if column.header != (title := _title(name))}
    # First the fields that conventions number differently; vessels are counted alike in all but for a code 4.
    coded = [name for name in {**codes, **columns} if name in columns and name != LABEL and FIELDS[name].codes]
    numbers = {name: columns[name].codes for name in coded}
    used = {name: of for name, of in numbers.items() if of and (name != "major_vessels" or _FOUR_VESSELS in of)}
    lines = ["Columns: " + ", ".join(f"{header} = {title}" for header, title in renamed.items()) + "."] * bool(renamed)
    labelled = label[~np.isnan(label)]
    too_few = min((labelled == 1).sum(), (labelled == 0).sum()) < FEWEST_OF_A_CLASS
    unchecked = " There are too few labels to check that." * bool(too_few)
    lines += [
        f"Codes: {meanings_in_words(columns, {**UCI_CODES, **codes}, used, with_shares=True)}.{unchecked}"
    ] * bool(used)
    lines += _quantities(values)
    lines += _other_contents(table, values)
    for name in sorted(dialects.ZERO_IS_NOT_MEASURED & columns.keys()):
        zeros = [cell for cell, text in enumerate(columns[name].cells) if dialects.number_in(text) == 0]
        if zeros:
            times = int(columns[name].times[zeros].sum())
            lines.append(f"Patients with {columns[name].header} 0, which counts as not measured: {times:,}.")
    never: BoolArray = np.all(np.isnan(values), axis=0)
    if never.any():
        shipped, has_disease = shipped_table()
        whole, less = (auroc_of(np.where(gaps, np.nan, shipped), has_disease, z=0)[1] for gaps in (False, never))
        titles = ", ".join(_title(name) for name, is_never in zip(COLUMNS, never, strict=True) if is_never)
        costs = f"tells disease apart with an AUROC of {whole:.2f}, and without these fields of {less:.2f}"
        lines.append(
            f"Not measured in any patient: {titles}. What that costs: on the shipped data, a simple score {costs}."
        )
    if LABEL in columns and len(set(labelled.tolist())) == 1:
        lines.append("All labels are the same, so their direction cannot be tested.")
    return lines


def _other_contents(table: Table, values: FloatArray) -> Iterator[str]:
    """Say what was converted or not used."""
    for column in filter(_is_in_mmol, table.columns.values()):
        yield f"{column.header}: mmol/L, converted to mg/dL."
    if table.unused:
        yield f"Not used: {', '.join(table.unused)}."
    if table.unread:
        yield f"Comment lines or other sheets that were not read: {table.unread}."
    if doubled := len(values) - len(np.unique(values, axis=0)):
        yield f"Patients with the same values as another: {doubled:,}."


def _quantities(values: FloatArray) -> Iterator[str]:
    """Say what the values are like, and in how many patients a field was not measured: odd ones show an odd reading."""
    said, gaps = [], []
    for name, column in zip(COLUMNS, values.T, strict=True):
        measured = column[~np.isnan(column)]
        if measured.size and not FIELDS[name].codes:
            low, middle, high = np.quantile(measured, [0.05, 0.5, 0.95])  # not the ends, which may point to a person
            said.append(f"{_title(name)} mostly {low:.3g} to {high:.3g}, median {middle:.3g}")
        if measured.size and set(FIELDS[name].codes) == {0, 1}:
            said.append(f"{_title(name)} {FIELDS[name].codes[1]} {measured.mean():.0%}")
        if 0 < measured.size < len(column):
            gaps.append(f"{_title(name)} {len(column) - measured.size:,}")
    yield f"Values: {'; '.join(said)}."
    if gaps:
        yield f"Not measured in some patients: {', '.join(gaps)}."
