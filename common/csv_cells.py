"""Reading one cell of a patient CSV, and saying in words what is wrong with it."""

import math

from common.errors import InvalidDataError
from common.patient import FIELDS, LABELS, FieldDescription

NOT_MEASURED_CELLS = frozenset({"", "?", "na", "n/a", "nan", "null"})
"""What says that nothing was measured, in any case; ``none`` may be a result, of vessels or an ECG."""

_UNCLEAR_GAPS = frozenset({"none", "-", ".", "n.a.", "#n/a", "missing", "unknown", "not measured"})
_UCI_GAP = -9

_HOW_TO_LEAVE_OUT = ", or left empty or written ? where nothing was measured"
ABOUT_NUMBERS = (
    "UCI's num is Absence at 0 and Presence from 1 to 4, but copies with 0 and 1 alone differ in which of the two is "
    "disease"
)

_CHOLESTEROL_IN_MMOL = (2, 20)
"""mmol/L; what a living adult can have in that unit lies below what is possible in mg/dL."""
_ABOUT_MMOL = "; multiply mmol/L by 38.67 to have mg/dL"

_LABELS_BY_WORD = {word.casefold(): has_disease for word, has_disease in LABELS.items()}


def number_of(cell: str, field: FieldDescription) -> float | int | None:
    """Read a number; ``None`` is not measured.

    Raises
    ------
    InvalidDataError
        Saying what must stand there, without the cell's content.
    """
    text = cell.strip().casefold()
    if text in NOT_MEASURED_CELLS:
        return None
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise InvalidDataError(f"must be {_form(field, text)}")
    if math.isinf(number):
        raise InvalidDataError("must be a finite number")
    return int(number) if number.is_integer() else number


def _form(field: FieldDescription, text: str) -> str:
    if text in _UNCLEAR_GAPS and not field.required:
        return _kind(field) + _HOW_TO_LEAVE_OUT
    if "," in text:
        return f"{_kind(field)}: use a decimal point and no other marks"
    return _kind(field)


def _kind(field: FieldDescription) -> str:
    return f"one of: {field.choices}" if field.codes else "a number"


def advice_on(name: str, value: float | None) -> str:
    """Return what to do about a number that its field refuses, or nothing where only the number can tell."""
    if value == _UCI_GAP and not FIELDS[name].required:
        return _HOW_TO_LEAVE_OUT
    lowest, highest = _CHOLESTEROL_IN_MMOL
    if name == "cholesterol" and value is not None and lowest <= value <= highest:
        return _ABOUT_MMOL
    return ""


def label_of(cell: str, *, needs_label: bool) -> bool | None:
    """Read whether disease was found; ``None`` is no label.

    Raises
    ------
    InvalidDataError
        Saying what must stand there, without the cell's content.
    """
    text = cell.strip().casefold()
    if text in _LABELS_BY_WORD:
        return _LABELS_BY_WORD[text]
    if text in NOT_MEASURED_CELLS and not needs_label:
        return None
    about = (
        f"; write the word for the number: {ABOUT_NUMBERS}"
        if text.removesuffix(".0") in {"0", "1", "2", "3", "4"}
        else ""
    )
    raise InvalidDataError(f"must be one of: {', '.join(LABELS)}{about}")
