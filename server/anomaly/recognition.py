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
from common.patient import FIELDS, LABELS
from server.anomaly.columns import USUAL_MEDIANS, as_meant, ask_for_columns, said_of, stated_columns, title_of, written
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
from server.anomaly.questions import NO_ANSWERS, AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column, Table, read_table

_Z_TO_STOP, _Z_TO_PROVE = 1.96, 4.0
_MOST_LINES, _MOST_ROWS, _MOST_SITES = 15, 5, 12
_GRAMS = 3.3  # g/L or mmol/L
_MANY, _FOUR_VESSELS = 20_000, 4
# A number far out that several patients share may be what a program writes where nothing was measured; of some numbers
# one is enough. Far out is a fifth of the others' range beyond it.
_NOT_MEASURED_ELSEWHERE = frozenset({777.0, 888.0, 999.0})
_FEW, _FEW_TIMES, _FAR_OUT, _FAR = 0.02, 3, (0.01, 0.99), 0.2

_EXCHANGE = "Swap the labels, or say which value means disease with --label-of-disease VALUE."

_EXPLAINS = re.compile(r"(?i)legend|code.?book|coding|codes")
# An unusual number that so many patients share stands for something else, unless it is a round one: pressures are read
# to the next ten, depressions often to the next millimeter.
_ROUND = {"age": 1, "resting_bp": 10, "cholesterol": 1000, "max_heart_rate": 1000, "st_depression": 1}
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
    required = [name for name, field in FIELDS.items() if field.required] + [LABEL] * needs_label
    table = read_table(path, stated_columns(answers), sheet=answers.sheet)
    ask_for_columns(table, answers, required)
    table, converted = as_meant(table, answers)
    doubtful = _taken(_doubts_about_columns(table), answers)
    table, left_out = _complete(table, required, answers)
    columns = table.columns
    values, errors = _decoded(table, {})
    matches = matches_of(values)
    coded = [name for name in columns if name == LABEL or FIELDS[name].codes]
    proofs = proofs_of(matches, {name: columns[name].by_row(columns[name].numbers) for name in coded})
    label, label_said, errors[LABEL] = _label(columns.get(LABEL), values, proofs, answers)
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
    parts = (known & part for part in (strangers, *_sites(table)))
    groups = [known, *(rows for rows in parts if _can_tell(label[rows]))]
    for rows in groups:
        ask_about_exchanged_codes(columns, codes, np.where(rows, tested_label, np.nan), answers)
    doubtful += _taken(_doubts_about_numbers(columns, values), answers)
    tested = [_tested(values[rows], label[rows] == 1, answers) for rows in groups]
    # Among very many patients, strangers are alike by chance.
    seen = np.unique(matches[1]).size if len(values) < _MANY else 0
    names = "the columns by their names" if table.has_header else "no column names, so UCI's order"
    said = [f"Recognized {names}, {codes_said}; {len(values):,} patients; {label_said}."]
    said += [*doubtful, *left_out, *converted, *_details(table, values, codes, label)]
    if tested[0][0] <= CHANCE and _can_tell(label):
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
        wrong_label=refuted or next((why for _, why in tested if why), None),
    )


def _complete(table: Table, required: Sequence[str], answers: Answers) -> tuple[Table, list[str]]:
    """Return a table without the rows that have a gap where none may be, once a person agrees, and how many they are.

    Raises
    ------
    AmbiguousDataError
        When there are such rows, and nobody has agreed.
    """
    lacking = {
        column.header: np.isin(column.places, [*column.filled], invert=True)
        for column in (table.columns[name] for name in required)
    }
    rows = np.any([*lacking.values()], axis=0)
    if not rows.any():
        return table, []
    headers = ", ".join(header for header, of in lacking.items() if of.any())
    lines = table.lines[rows].tolist()
    if rows.all():
        raise InvalidDataError(f"no row has all of: {headers}.")
    answers.confirm(
        f"is this right? Patients without {headers} cannot be used: {_rows(lines)}. Complete them, or say --yes to "
        "leave them out."
    )
    return table.only(~rows), [f"Left out, for want of {headers}: {_rows(lines)}."]


def _sites(table: Table) -> Iterator[BoolArray]:
    """Return by row, for each value of the columns that are not used and may be of a clinic, who has it."""
    for cells in table.unused.values():
        if len(cells) == table.lines.size and 1 < len({*cells}) <= _MOST_SITES:
            yield from (np.array(cells) == site for site in {*cells})


def _factor_of(column: Column) -> float:
    """Return what a quantity has to be multiplied by: its column's name says it, or all cholesterol is in mmol/L."""
    if column.name == LABEL:
        return 1
    if (factor := dialects.factor_in(column.name, column.header)) != 1:
        return factor
    lowest, highest = dialects.CHOLESTEROL_IN_MMOL
    is_so = [lowest <= number <= highest for number in column.numbers.values()]
    if column.name != "cholesterol" or "mg" in column.header.casefold() or not is_so or not all(is_so):
        return 1
    # Half of any patients have more than 3.3 mmol/L (128 mg/dL), and less than 3.3 g/L.
    is_in_grams = np.nanmedian(column.by_row(column.numbers)) < _GRAMS
    return 100 if is_in_grams else FIELDS["cholesterol"].other_factor


def _decoded(table: Table, codes: Meanings) -> tuple[FloatArray, dict[str, dict[int, str]]]:
    """Return the values, shape (n, 13), and by column what must stand in cells that cannot be read.

    Numbers of fields that conventions differ in are left out as long as there are no ``codes``.
    """
    values, errors = np.full((table.lines.size, len(COLUMNS)), np.nan), defaultdict[str, dict[int, str]](dict)
    for name, column in table.columns.items():
        factor, read = _factor_of(column), dict[int, float | int | None]()
        undecided = column.numbers if name in DIFFERING and not codes else {}
        for cell, text in enumerate(column.cells):
            if name == LABEL or cell in undecided:
                continue
            try:
                read[cell] = dialects.value_of(name, text, codes.get(name), factor=factor)
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
            "something else: say what with --values FIELD:VALUE=MEANING,VALUE=MEANING."
        )
    return f"the label is the wrong way round: {same} the opposite label. {_EXCHANGE}" if others else None


def _taken(doubts: Sequence[str], answers: Answers) -> list[str]:
    """Ask whether what is doubtful is right, and return what is said of it then."""
    if doubts:
        answers.confirm(f"is this right? {'; '.join(doubts)}. Say --yes to use the file as it is.")
    return [f"Taken as it is: {'; '.join(doubts)}."] * bool(doubts)


def _doubts_about_columns(table: Table) -> list[str]:
    """Say where a field seems to be in columns that are not known, or rows are not of patients."""
    doubts = [f"row {line} stands above the names of the columns, and is not read" for line in table.above]
    coded = {name: column for name, column in table.columns.items() if name != LABEL and FIELDS[name].codes}
    numbered = {name: column.header for name, column in coded.items() if column.numbers}
    if table.is_explained and numbered:
        doubts.append(
            "a title, a comment, a note or another sheet may say what codes mean, and is not read: "
            "if they are no usual ones, say what they mean with --values FIELD:VALUE=MEANING,VALUE=MEANING"
        )
    for header in table.unused:
        of = [numbered[name] for name in dialects.fields_within(header) & numbered.keys()]
        if of or (numbered and _EXPLAINS.search(header)):
            doubts.append(f"{header} is not read, and may say what the codes of {', '.join(of) or 'others'} mean")
    # Of more rows, the word is for all kinds of rows, as "test" beside "train" is.
    if 0 < len(table.summaries) <= max(_MOST_ROWS, _FEW * table.lines.size):
        rows = ", ".join(map(str, table.summaries[:_MOST_ROWS]))
        doubts.append(f"rows like {rows} are called a summary or an example: remove them if they are no patients")
    return doubts


def _doubts_about_numbers(columns: Columns, values: FloatArray) -> list[str]:
    """Say where a number seems to stand for something else, or all numbers to be of something else."""
    doubts: list[str] = []
    for name, column in columns.items():
        if name != LABEL and not FIELDS[name].codes:
            numbers = values[:, COLUMNS.index(name)]
            doubts += _doubts_about(column.header, name, numbers[~np.isnan(numbers)])
        elif name != LABEL:
            doubts += _doubts_about_codes(column, values[:, COLUMNS.index(name)])
    return doubts


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


def _doubts_about(header: str, name: str, numbers: FloatArray) -> Iterator[str]:
    for number, times in zip(*np.unique(numbers, return_counts=True), strict=True):
        is_shared = times > max(_FEW_TIMES, _FEW * numbers.size)
        is_spike = number % _ROUND[name] != 0 and times > max(_LEAST_SPIKE, _SPIKE * numbers.size)
        is_odd = (is_shared and _is_out(number, numbers)) or (is_spike and _is_out(number, numbers, _UNUSUAL, far=0))
        if number in _NOT_MEASURED_ELSEWHERE or is_odd:
            remedy = f'if it was not measured, say --values "{name}:{number:g}=not measured"'
            yield f"{header} is {number:g} in {times} patients: {remedy}"
    if name == "st_depression" and numbers.max(initial=0) <= 0 and (numbers < 0).sum() > _FEW_TIMES:
        yield f"{header} has no number above 0: a depression is written as a positive number"
    elif numbers.size >= FEWEST_OF_A_CLASS:
        lowest, highest = np.nanquantile(shipped_table()[0][:, COLUMNS.index(name)], USUAL_MEDIANS)
        if not lowest <= (middle := float(np.median(numbers))) <= highest:
            yield f"the median of {header} is {middle:g}, which is unusual for {title_of(name)}"
        lowest, highest = _USUAL_DEPRESSIONS
        if name == "st_depression" and not lowest <= (upper := float(np.quantile(numbers, _UPPER))) <= highest:
            yield f"{header} is at most {upper:g} in 19 of 20 patients, which is unusual in mm"


def _is_out(number: float, numbers: FloatArray, ends: tuple[float, float] = _FAR_OUT, *, far: float = _FAR) -> bool:
    others = numbers[numbers != number]
    low, high = np.quantile(others, ends) if others.size else (number, number)
    return not low - far * (high - low) <= number <= high + far * (high - low)


# The direction of the label.


def _label(
    column: Column | None, values: FloatArray, proofs: Meanings, answers: Answers
) -> tuple[FloatArray, str, dict[int, str]]:
    """Return by row whether disease was found (0 or 1), how the label says it, and cells that cannot be read."""
    if column is None:
        return np.full(len(values), np.nan), "no label", {}
    words = {cell: said for cell, text in column.filled.items() if (said := dialects.code_in(LABEL, text)) is not None}
    disease, why = _diseased(column, words, values, proofs=proofs, answers=answers)
    errors = {cell: f"must be one of: {', '.join(LABELS)}" for cell in column.filled if cell not in disease}
    ill_said = (
        " or ".join(dict.fromkeys(column.cells[cell] for cell, is_ill in disease.items() if is_ill)) or "no value"
    )
    return column.by_row(disease), f"label `{column.header}`, {ill_said} = disease{why}", errors


def _diseased(
    column: Column, words: Mapping[int, int], values: FloatArray, *, proofs: Meanings, answers: Answers
) -> tuple[Mapping[int, float], str]:
    """Return which cells say disease (0 or 1), none for those that cannot be read, and why if rows prove it."""
    texts = {cell: written(text) for cell, text in column.filled.items()}
    different = _usual(column, texts)
    if answers.label_of_disease is not None:
        ill = written(answers.label_of_disease)
        # Where all patients are alike, the other number is in no row.
        is_other = len(different) < len(LABELS) and None not in map(dialects.number_in, {ill, *different})
        if len(different) > len(LABELS) or not (ill in different or is_other):
            has = " and ".join(sorted(different)) if len(different) <= len(LABELS) else "more"
            raise WrongAnswerError(
                f"--label-of-disease does not name one of two values of {column.header}, which has {has}."
            )
        return {cell: text == ill for cell, text in texts.items()}, ""
    if different <= {texts[cell] for cell in words}:
        is_opposite = "The column's name may say the opposite." * dialects.may_be_opposite(LABEL, column.header)
        if doubt := "They seem to mean the same." if len({*words.values()}) < len(different) else is_opposite:
            raise _which_is_disease(column, different, doubt)
        return words, ""
    if {"0"} < different <= set("01234") and different != {"0", "1"}:
        _ask_about_two(column, different, answers)
        return {cell: text != "0" for cell, text in texts.items()}, ""
    if len(different) > len(LABELS):
        return words, ""
    if different <= {str(code) for code in proofs[LABEL]}:
        disease = {cell: bool(proofs[LABEL][int(text)]) for cell, text in texts.items() if text in different}
        return disease, ", proved by rows of the shipped table"
    is_known = {cell: number for cell, number in column.numbers.items() if texts[cell] in different}
    higher = _proved_by_fields(column, is_known, different, values)
    return {cell: number == higher for cell, number in is_known.items()}, ""


def _which_is_disease(column: Column, different: Set[str], why: str) -> AmbiguousDataError:
    values = f" It has {' and '.join(sorted(different))}." if different else ""
    return AmbiguousDataError(
        f"which value of {column.header} means disease? {why}{values} Versions of this data set differ. "
        "State it with --label-of-disease VALUE.",
        "label_of_disease",
    )


def _usual(column: Column, texts: Mapping[int, str]) -> set[str]:
    """Return what stands in more than a few rows, of what is written in each cell."""
    rows = Counter[str]()
    for cell, text in texts.items():
        rows[text] += int(column.times[cell])
    # The row of totals of a sheet, or a mistake, is refused by row; it does not make the others unclear.
    return {text for text, number in rows.items() if number > _FEW * rows.total()}


def _ask_about_two(column: Column, different: Set[str], answers: Answers) -> None:
    """Ask whether all but 0 is disease: UCI's own degrees go to 4, and where some are missing one may be unknown."""
    *_, last = said = sorted(different)
    if len(different) > len(LABELS) and not set("0123") <= different:
        answers.confirm(
            f"{column.header} is {', '.join(said[:-1])} or {last}: are all but 0 disease, as in UCI's own file? "
            "Say --yes if so."
        )


def _proved_by_fields(column: Column, numbers: Mapping[int, float], different: Set[str], values: FloatArray) -> float:
    """Return the higher of two numbers, if the patients who have it as their label are clearly the sicker ones."""
    why, by_row = "Its values do not say it.", column.by_row(numbers)
    known = ~np.isnan(by_row)
    if len({*numbers.values()}) == len(LABELS):
        higher = max(numbers.values())
        low, auroc, high = auroc_of(values[known], by_row[known] == higher, z=_Z_TO_PROVE)
        if low > CHANCE:
            return higher
        why = "The patients are too few or too much alike to tell."
        if high < CHANCE:
            why = f"Patients with {higher:g} look healthier than the others (AUROC {auroc:.2f})."
    raise _which_is_disease(column, different, why)


def _can_tell(label: FloatArray) -> bool:
    """Tell whether there are enough patients of each label to test its direction, and codes by it."""
    return bool(min((label == 1).sum(), (label == 0).sum()) >= FEWEST_OF_A_CLASS)


def _tested(values: FloatArray, has_disease: BoolArray, answers: Answers) -> tuple[float, str | None]:
    """Return the lower limit of a label's AUROC, and why it looks the wrong way round if it does."""
    low, auroc, high = auroc_of(values, has_disease, z=_Z_TO_STOP)
    looks = f"patients labeled as diseased look healthier than the others, AUROC {auroc:.2f}"
    if high < CHANCE:
        return low, f"the label looks the wrong way round: {looks} [{low:.2f}, {high:.2f}]. {_EXCHANGE}"
    fewer = min(has_disease.sum(), (~has_disease).sum())
    if auroc < CHANCE and fewer < FEWEST_OF_A_CLASS:
        only = f"but only {fewer} patients have one of the labels. {_EXCHANGE} Say --yes if it is right."
        answers.confirm(f"the label may be the wrong way round: {looks}, {only}")
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
        lines.append(f"{_rows(rows)}: {problem}.")
    number = len({row for rows, _ in found for row in rows})
    # The file is taken whole or not at all: a model must not depend on which rows happened to be readable.
    title = [f"{number:,} rows cannot be read, so the file was not used:"] * (number > 1)
    raise InvalidDataError("\n".join([*title, *lines]))


def _rows(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - _MOST_ROWS:,} more" if len(lines) > _MOST_ROWS else ""
    return f"{'Row' if len(lines) == 1 else 'Rows'} {', '.join(map(str, lines[:_MOST_ROWS]))}{more}"


def _details(table: Table, values: FloatArray, codes: Meanings, label: FloatArray) -> list[str]:
    """Say in lines what was made of columns, codes, units and gaps."""
    columns = table.columns
    renamed = {column.header: title for name, column in columns.items() if column.header != (title := title_of(name))}
    # First the fields that conventions number differently; vessels are counted alike in all but for a code 4.
    coded = [name for name in {**codes, **columns} if name in columns and name != LABEL and FIELDS[name].codes]
    used = {
        name: of for name in coded if (of := columns[name].codes) and (name != "major_vessels" or _FOUR_VESSELS in of)
    }
    lines = ["Columns: " + ", ".join(f"{header} = {title}" for header, title in renamed.items()) + "."] * bool(renamed)
    labelled = label[~np.isnan(label)]
    unchecked = "" if _can_tell(label) else " There are too few labels to check that."
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
        titles = ", ".join(title_of(name) for name, is_never in zip(COLUMNS, never, strict=True) if is_never)
        costs = f"tells disease apart with an AUROC of {whole:.2f}, and without these fields of {less:.2f}"
        lines.append(
            f"Not measured in any patient: {titles}. What that costs: on the shipped data, a simple score {costs}."
        )
    if LABEL in columns and len(set(labelled.tolist())) == 1:
        lines.append("All labels are the same, so their direction cannot be tested.")
    return lines


def _other_contents(table: Table, values: FloatArray) -> Iterator[str]:
    """Say what was converted or not used."""
    for name, column in table.columns.items():
        if (factor := _factor_of(column)) != 1:
            other = {FIELDS["cholesterol"].other_factor: "mmol/L, ", 100: "g/L, "}.get(factor, "")
            yield f"{column.header}: {other}converted to {FIELDS[name].unit}, times {factor:g}."
    yield from said_of(table)
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
            said.append(f"{title_of(name)} mostly {low:.3g} to {high:.3g}, median {middle:.3g}")
        if measured.size and set(FIELDS[name].codes) == {0, 1}:
            said.append(f"{title_of(name)} {FIELDS[name].codes[1]} {measured.mean():.0%}")
        if 0 < measured.size < len(column):
            gaps.append(f"{title_of(name)} {len(column) - measured.size:,}")
    yield f"Values: {'; '.join(said)}."
    if gaps:
        yield f"Not measured in some patients: {', '.join(gaps)}."
