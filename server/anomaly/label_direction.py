"""Which value of the label means disease: words or degrees say it, rows or other fields prove it, or it is asked."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set

import numpy as np

from common import dialects
from common.dialects import LABEL
from common.patient import LABELS
from server.anomaly.cell_values import FEWEST_SHOWN, written
from server.anomaly.dataset import BoolArray, FloatArray
from server.anomaly.proofs import CHANCE, FEWEST_OF_A_CLASS, Meanings, auroc_of
from server.anomaly.questions import AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column

EXCHANGE = "Swap the labels, or say which value means disease with --label-of-disease VALUE."
_Z_TO_STOP, _Z_TO_PROVE = 1.96, 4.0
_FEW = 0.02
_DEGREES = frozenset("01234")  # UCI's own


def label_of(
    column: Column | None, values: FloatArray, proofs: Meanings, answers: Answers
) -> tuple[FloatArray, str, dict[int, str]]:
    """Return by row whether disease was found (0 or 1), how the label says it, and cells that cannot be read."""
    if column is None:
        return np.full(len(values), np.nan), "no label", {}
    # First what a person or words say, then rows that are known, and last how the other fields go with it.
    disease, why = _diseased(column, values, proofs, answers)
    must_be = (
        f"must be one of: {', '.join(LABELS)}; "
        "--values label:VALUE=MEANING says what other values mean, such as percentages"
    )
    errors = {cell: must_be for cell in column.filled if cell not in disease}
    shown = [cell for cell, is_ill in disease.items() if is_ill and column.times[cell] >= FEWEST_SHOWN]
    ill = " or ".join(sorted({column.cells[cell] for cell in shown})) or "values too rare to show"
    return column.by_row(disease), f"label `{column.header}`, {ill} = disease{why}", errors


def _diseased(
    column: Column, values: FloatArray, proofs: Meanings, answers: Answers
) -> tuple[Mapping[int, float], str]:
    """Return which cells say disease (0 or 1), none for those that cannot be read, and why if rows prove it."""
    texts = {cell: written(text) for cell, text in column.filled.items()}
    words = {cell: said for cell, text in column.filled.items() if (said := dialects.code_in(LABEL, text)) is not None}
    usual = _usual(column, texts)
    if answers.label_of_disease is not None:
        ill = _stated(column, usual, written(answers.label_of_disease))
        # Of more than two values, the rare ones are mistakes.
        known = {ill, *usual} if len({ill, *texts.values()}) > len(LABELS) else {*texts.values()}
        return {cell: text == ill for cell, text in texts.items() if text in known}, ""
    if usual <= {texts[cell] for cell in words}:
        is_opposite = "The column's name may say the opposite." * dialects.may_be_opposite(LABEL, column.header)
        if doubt := "They seem to mean the same." if len({*words.values()}) < len(usual) else is_opposite:
            raise _which_is_disease(column, usual, doubt)
        return words, ""
    if {"0"} < usual <= _DEGREES and usual != {"0", "1"}:
        _ask_about_two(column, usual, answers)
        return {cell: text != "0" for cell, text in texts.items() if text in _DEGREES}, ""
    if len(usual) > len(LABELS):
        return words, ""
    if usual <= {str(code) for code in proofs[LABEL]}:
        disease = {cell: bool(proofs[LABEL][int(text)]) for cell, text in texts.items() if text in usual}
        return disease, ", proved by rows of the shipped table"
    numbers = {cell: number for cell, number in column.numbers.items() if texts[cell] in usual}
    higher = _proved_by_fields(column, numbers, usual, values)
    return {cell: number == higher for cell, number in numbers.items()}, ""


def _usual(column: Column, texts: Mapping[int, str]) -> set[str]:
    """Return what stands in more than a few rows, of what is written in each cell."""
    rows = Counter[str]()
    for cell, text in texts.items():
        rows[text] += int(column.times[cell])
    # The row of totals of a sheet, or a mistake, is refused by row; it does not make the others unclear.
    return {text for text, number in rows.items() if number > _FEW * rows.total()}


def _stated(column: Column, usual: Set[str], ill: str) -> str:
    # Where all patients are alike, the other number is in no row.
    is_other = len(usual) < len(LABELS) and None not in map(dialects.number_in, {ill, *usual})
    if len(usual) <= len(LABELS) and (ill in usual or is_other):
        return ill
    has = " and ".join(sorted(usual)) if len(usual) <= len(LABELS) else "more"
    raise WrongAnswerError(f"--label-of-disease does not name one of two values of {column.header}, which has {has}.")


def _ask_about_two(column: Column, usual: Set[str], answers: Answers) -> None:
    """Ask whether all but 0 is disease: UCI's own degrees go to 4, and where some are missing one may be unknown."""
    *others, last = sorted(usual)
    if len(usual) > len(LABELS) and not set("0123") <= usual:
        answers.confirm(
            f"{column.header} is {', '.join(others)} or {last}: are all but 0 disease, as in UCI's own file? "
            "Say --yes if so."
        )


def _proved_by_fields(column: Column, numbers: Mapping[int, float], usual: Set[str], values: FloatArray) -> float:
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
    raise _which_is_disease(column, usual, why)


def _which_is_disease(column: Column, usual: Set[str], why: str) -> AmbiguousDataError:
    values = f" It has {' and '.join(sorted(usual))}." if usual else ""
    return AmbiguousDataError(
        f"which value of {column.header} means disease? {why}{values} Versions of the Cleveland data differ. State it "
        "with --label-of-disease VALUE, or leave out a label that is no diagnosis with --column label=none.",
        "label_of_disease",
    )


def opposed(column: Column, values: FloatArray, clinics: Iterable[tuple[str, BoolArray]]) -> str:
    """Say in which columns, as of clinics, the higher number of a label is of the sicker here, the healthier there."""
    by_row, ways = column.by_row(column.numbers), defaultdict[str, set[bool]](set)
    is_higher = by_row == max(column.numbers.values(), default=0)
    for header, rows in clinics:
        known = rows & ~np.isnan(by_row)
        if can_tell(np.where(known, is_higher, np.nan)):
            low, _, high = auroc_of(values[known], is_higher[known], z=_Z_TO_STOP)
            ways[header] |= {low > CHANCE} if low > CHANCE or high < CHANCE else set()
    found = ", ".join(header for header, of in ways.items() if len(of) == len(LABELS))
    means = f"{column.header} seems to mean the opposite in some patients of what it means in others"
    return f" Within {found}, {means}: mend that first, or use --column label=none." if found else ""


def can_tell(label: FloatArray) -> bool:
    """Tell whether there are enough patients of each label to test its direction, and codes by it."""
    return bool(min((label == 1).sum(), (label == 0).sum()) >= FEWEST_OF_A_CLASS)


def tested(values: FloatArray, label: FloatArray, answers: Answers) -> tuple[float, str | None]:
    """Return the lower limit of a label's AUROC where it is known, and why it looks the wrong way round if it does."""
    known = ~np.isnan(label)
    has_disease = label[known] == 1
    low, auroc, high = auroc_of(values[known], has_disease, z=_Z_TO_STOP)
    looks = f"patients labeled as diseased look healthier than the others, AUROC {auroc:.2f}"
    if high < CHANCE:
        return low, f"the label looks the wrong way round: {looks} [{low:.2f}, {high:.2f}]. {EXCHANGE}"
    fewer = min(has_disease.sum(), (~has_disease).sum())
    if auroc < CHANCE and fewer < FEWEST_OF_A_CLASS:
        only = f"but only {fewer} patients have one of the labels. {EXCHANGE} Say --yes if it is right."
        answers.confirm(f"the label may be the wrong way round: {looks}, {only}")
    return low, None
