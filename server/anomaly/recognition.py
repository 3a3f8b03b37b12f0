"""Reading a file of patients: its table, columns, values, codes and label, each by what proves it, or by asking.

Nothing is guessed: a meaning is stated by words, proved by rows that the shipped table has too, or clear from how
codes, fields and label go together. Otherwise it is asked for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.dialects import CHOLESTEROL_IN_MMOL, LABEL, UCI_CODES
from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.cell_values import as_meant
from server.anomaly.columns import headers_of, with_fields
from server.anomaly.conventions import DIFFERING, Read, ask_about_exchanged_codes, codes_of
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray, IndexArray
from server.anomaly.label_direction import EXCHANGE, can_tell, label_of, opposed, tested
from server.anomaly.proofs import CHANCE, FEWEST_MATCHES, Matches, Meanings, matches_of, proofs_of
from server.anomaly.questions import NO_ANSWERS, VALUES_FORM, AmbiguousDataError, Answers
from server.anomaly.remarks import MOST_ROWS, doubts_about_columns, doubts_about_values, no_patients, reading_in_words
from server.anomaly.table_file import EXPLANATION, Table, read_table

_OTHER_UNITS = {"cholesterol": ("mmol/L", *CHOLESTEROL_IN_MMOL), "resting_bp": ("cmHg", 5, 30)}
_MOST_LINES, _MOST_SITES, _MANY = 15, 12, 20_000

# More disease-free patients make no better forest (each tree sees 16) and no better evaluation, but take hours.
MOST_OF_A_CLASS = 10_000


@dataclass(frozen=True, kw_only=True)
class Patients(Dataset):
    """The patients of a file, of whom ``has_disease`` counts where ``is_labeled``, both of shape (n,).

    ``wrong_label`` says why the label looks the wrong way round, if it does.
    """

    is_labeled: BoolArray
    wrong_label: str | None

    def drawn(self, rows: IndexArray, said: str) -> "Patients":
        """Return some of the patients, and say so."""
        drawn = {name: getattr(self, name)[rows] for name in ("values", "has_disease", "is_labeled")}
        return replace(self, **drawn, recognized=[*self.recognized, said])


def load_dataset(path: Path, answers: Answers = NO_ANSWERS) -> Dataset:
    """Read labeled patients to train or recalibrate on: all, or of very many a random sample.

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
    return patients


def read_patients(path: Path, answers: Answers = NO_ANSWERS, *, needs_label: bool) -> Patients:
    """Read the patients of a file in any of the dialects that circulate.

    Raises
    ------
    InvalidDataError
        When the file cannot be used; rows and columns are named, and no cell's content: it may be a patient's.
    AmbiguousDataError
        When it can be read in several ways and the answers do not settle which.
    """
    required = [name for name, field in FIELDS.items() if field.required] + [LABEL] * needs_label
    try:
        return _recognized(path, required, answers)
    except InvalidDataError as error:
        error.args = (f"{path}: {error.message}",)
        raise


def _recognized(path: Path, required: Sequence[str], answers: Answers) -> Patients:
    table = with_fields(read_table(path, answers.sheet), answers, required)
    table, converted = as_meant(table, answers)
    table, others = _without_others(table, answers)
    doubtful = _taken(doubts_about_columns(table), answers)
    table, left_out = _complete(table, required, answers)
    columns, fields = table.known, table.fields
    coded = columns.keys() & {*UCI_CODES, LABEL}
    # At first without the numbers that conventions differ in.
    values, _, _ = _decoded(table, {name: {} for name in DIFFERING})
    matches = matches_of(values)
    proofs = proofs_of(matches, {name: columns[name].by_row(columns[name].numbers) for name in coded})
    clinics = [*_clinics(table)]
    try:
        label, label_said, label_errors = label_of(columns.get(LABEL), values, proofs, answers)
    except AmbiguousDataError as error:
        error.args = (error.message + opposed(columns[LABEL], values, clinics),)
        raise
    # Codes are read from a label only if the fields without conventions bear it out: turned round, it turns them round.
    low, suspected = tested(values, label, answers)
    tested_label = label if low > CHANCE else np.full_like(label, np.nan)
    try:
        codes, codes_said = codes_of(fields, tested_label, proofs, answers)
    except AmbiguousDataError as error:
        raise (InvalidDataError(suspected) if suspected else error) from None
    values, read, errors = _decoded(table, codes)
    _refuse_cells(table, {LABEL: label_errors, **errors})
    found = {name: label if name == LABEL else values[:, COLUMNS.index(name)] for name in coded}
    refuted = _refuted(table, proofs_of(matches, found), matches)
    everybody = np.ones(len(values), dtype=np.bool_)
    # What rows of the shipped table prove need not hold for the others of the file.
    strangers = np.isin(np.arange(len(values)), matches[0], invert=True)
    parts = [("among patients that the shipped table does not have, ", strangers)]
    parts += [(f"among patients with one value of {header}, ", rows) for header, rows in clinics]
    groups = [("", everybody), *((of, rows) for of, rows in parts if can_tell(label[rows]))]
    for _, rows in groups:
        ask_about_exchanged_codes(fields, read, np.where(rows, tested_label, np.nan), answers)
    # Among very many patients, strangers are alike by chance.
    shared = matches if len(values) < _MANY else (matches[0][:0], matches[1][:0])
    doubtful += _taken(doubts_about_values(fields, values, shared), answers)
    # In every group: a clinic whose label is turned round may not show among the patients of all.
    directions = [(of, tested(values, np.where(rows, label, np.nan), answers)[1]) for of, rows in groups]
    names = "the columns by their names" if table.has_header else "no column names, so UCI's order"
    said = [f"Recognized {names}, {codes_said}; {len(values):,} patients; {label_said}."]
    said += [*doubtful, *others, *left_out, *converted, *reading_in_words(table, values, codes, label)]
    if low <= CHANCE and can_tell(label):
        said.append("Labels and fields hardly go together: check that the label says who has coronary disease.")
    if (seen := np.unique(shared[1]).size) >= FEWEST_MATCHES:
        said.append(
            f"{seen} of these patients are also in the shipped table; "
            "a model trained on that table has already seen them."
        )
    return Patients(
        name=path.name,
        sha256=table.sha256,
        values=values,
        has_disease=label == 1,
        is_labeled=~np.isnan(label),
        recognized=said,
        wrong_label=refuted or next((of + why for of, why in directions if why), None),
    )


def _taken(doubts: Iterable[str], answers: Answers) -> list[str]:
    """Ask whether what is doubtful is right, and return what is said of it then."""
    if not (said := "; ".join(doubts)):
        return []
    answers.confirm(
        f"is this right? {said}. Say --yes to use the file as it is. Where words or codes mean something else or "
        f"columns are exchanged, say so with {VALUES_FORM} or --column FIELD=NAME."
    )
    return [f"Taken as it is: {said}."]


def _without_others(table: Table, answers: Answers) -> tuple[Table, list[str]]:
    """Return a table without the rows of a footer, once a person agrees, and which they are."""
    if not (found := no_patients(table)).size:
        return table, []
    lines, uneven = _rows(found.tolist()), [line for line in table.uneven if line not in found]
    if not table.lines.size and not uneven:
        raise InvalidDataError("it holds no patients.")
    answers.confirm(
        f"is this right? These look like a footer and no patients: {lines}. Say --yes to leave them out, or make them "
        "look like the others if they are patients."
    )
    is_left_out = np.isin(table.lines, found)
    texts = {line: [text for _, text in cells] for line, cells in table.short.items() if line in found}
    for row in np.flatnonzero(is_left_out):
        texts[int(table.lines[row])] = [column.cells[column.places[row]] for column in table.columns]
    legend = [str(line) for line in sorted(texts) if any(map(EXPLANATION.search, texts[line]))]
    explained_by = [table.explained_by] * bool(table.explained_by)
    explained_by += [f"the footer in row {', '.join(legend)}"] * bool(legend)
    table = replace(table.only(~is_left_out), uneven=uneven, explained_by=" or ".join(explained_by))
    return table, [f"Left out, as no patients: {lines}."]


def _complete(table: Table, required: Sequence[str], answers: Answers) -> tuple[Table, list[str]]:
    """Return a table without the rows that have a gap where none may be, once a person agrees, and how many they are.

    Raises
    ------
    AmbiguousDataError
        When there are such rows, and nobody has agreed.
    """
    columns = [table.known[name] for name in required]
    lacking = {column.header: np.isin(column.places, [*column.filled], invert=True) for column in columns}
    rows = np.any([*lacking.values()], axis=0)
    if not rows.any():
        return table, []
    headers = ", ".join(header for header, of in lacking.items() if of.any())
    if rows.all():
        raise InvalidDataError(f"no row has all of: {headers}.")
    lines = _rows(table.lines[rows].tolist())
    answers.confirm(
        f"is this right? Patients without {headers} cannot be used: {lines}. Complete them, or say --yes to leave them "
        "out."
    )
    return table.only(~rows), [f"Left out, for want of {headers}: {lines}."]


def _decoded(table: Table, codes: Meanings) -> tuple[FloatArray, Read, Mapping[str, Mapping[int, str]]]:
    """Return the values, shape (n, 13), and by field what each cell is, or must be if it cannot be read."""
    values, read, errors = np.full((table.lines.size, len(COLUMNS)), np.nan), {}, {}
    for name, column in table.fields.items():
        read[name], errors[name] = column.decoded(codes.get(name))
        values[:, COLUMNS.index(name)] = column.by_row(read[name])
    return values, read, errors


def _refuse_cells(table: Table, errors: Mapping[str, Mapping[int, str]]) -> None:
    """Raise InvalidDataError naming, by column and by what must stand there, the rows that cannot be read."""
    found = [(table.uneven, "the number of cells differs from the number of columns")] if table.uneven else []
    for name, by_cell in errors.items():
        for problem in dict.fromkeys(by_cell.values()):
            column, cells = table.known[name], [cell for cell, said in by_cell.items() if said == problem]
            unit, lowest, highest = _OTHER_UNITS.get(name, ("", 1, 0))
            if all(lowest <= column.numbers.get(cell, 0) <= highest for cell in cells):
                problem += f'. These look like {unit}: convert them, or leave the column out: --column "{name}=none"'  # noqa: PLW2901
            rows = table.lines[np.isin(column.places, cells)].tolist()
            found.append((rows, f"column {column.header} {problem}"))
    if found:
        lines = [f"{_rows(rows)}: {problem}." for rows, problem in sorted(found)[:_MOST_LINES]]
        number = len({row for rows, _ in found for row in rows})
        # The file is taken whole or not at all: a model must not depend on which rows happened to be readable.
        title = [f"{number:,} rows cannot be read, so the file was not used:"] * (number > 1)
        raise InvalidDataError("\n".join([*title, *lines]))


def _rows(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - MOST_ROWS:,} more" if len(lines) > MOST_ROWS else ""
    return f"{'Row' if len(lines) == 1 else 'Rows'} {', '.join(map(str, lines[:MOST_ROWS]))}{more}"


def _refuted(table: Table, proofs: Meanings, matches: Matches) -> str | None:
    """Return why the label is the wrong way round in rows that the shipped table has too.

    Raises
    ------
    InvalidDataError
        When words or codes of another column are others there.
    """
    others = {name for name, codes in proofs.items() if any(of not in (None, code) for code, of in codes.items())}
    same = f"{np.unique(matches[1]).size} rows of the shipped table are in this file too, but with"
    if coded := sorted(others - {LABEL}):
        raise InvalidDataError(
            f"{same} other values of {headers_of(table.known, coded)}. Its words or codes mean something else: say "
            "what with --values FIELD:VALUE=MEANING,VALUE=MEANING."
        )
    return f"the label is the wrong way round: {same} the opposite label. {EXCHANGE}" if others else None


def _clinics(table: Table) -> Iterator[tuple[str, BoolArray]]:
    """Return by row, for each value of the columns that are not used and may be of a clinic, who has it."""
    for column in table.unused.values() if table.lines.size <= _MANY else ():
        if 1 < len(column.cells) <= _MOST_SITES:
            yield from ((column.header, column.places == clinic) for clinic in range(len(column.cells)))
