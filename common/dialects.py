"""The words, codes and column names under which the 13 fields and their label circulate; the standard library alone.

The names and words of ``phrases.toml`` and one table of numeric codes serve data files and rows that are pasted at a
client app.
"""

import math
import re
from collections.abc import Mapping
from functools import cache

from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN, LABELS, FieldDescription
from common.phrases import TABLE, Meaning, folded, meaning_of, tokens_of

LABEL = "label"
"""Stands for the label where columns are named by the wire names of their fields."""

UCI_NAMES = [*(field.csv_column for field in FIELDS.values()), LABEL_COLUMN]
"""The 14 columns of a file without column names, as UCI's own files have them, by our names.

A field that UCI's files do not have must not be among them.
"""

Codes = Mapping[int, int | None]
"""What each code in a file is in UCI's codes; ``None`` is *not measured*."""

UCI_CODES: Mapping[str, Codes] = {
    name: {code: code for code in field.codes} for name, field in FIELDS.items() if field.codes
}
"""Of each field that has codes."""

_DIFFERING = ("chest_pain_type", "resting_ecg", "st_slope", "major_vessels")


def _from_0(*orders: str) -> Mapping[str, Codes]:
    """Return what codes from 0 on mean where these are UCI's codes for them in order; four vessels are not measured."""
    codes: dict[str, Codes] = {
        name: dict(enumerate(map(int, order))) for name, order in zip(_DIFFERING, (*orders, "0123"), strict=True)
    }
    return {**codes, "major_vessels": {**codes["major_vessels"], 4: None}}


def _thallium(codes: str) -> Mapping[str, Codes]:
    """Return what the codes of a normal scan, a fixed and a reversible defect mean; 0 below them is not measured."""
    below: Codes = {0: None} if min(codes) == "1" else {}
    return {"thallium_scan": {**below, **dict(zip(map(int, codes), FIELDS["thallium_scan"].codes, strict=True))}}


NUMBERINGS: Mapping[str, Mapping[str, Mapping[str, Codes]]] = {
    "codes": {
        "uci": {name: UCI_CODES[name] for name in _DIFFERING},
        "shifted": _from_0("1234", "012", "123"),
        # The words in alphabetical order, as label encoders number them: asymptomatic, atypical, non-anginal, typical.
        "permuted": _from_0("4231", "201", "321"),
        # And ISLR's words for chest pain: asymptomatic, nonanginal, nontypical, typical.
        "islr": _from_0("4321", "201", "321"),
    },
    "thallium": {codes: _thallium(codes) for codes in ("367", "012", "102", "123", "213")},
}
"""The numeric codes that circulate, turned into UCI's, by part, name and field; other fields have one numbering each.

The two parts vary independently. Those of the thallium scan are named by the codes of a normal scan, a fixed and a
reversible defect.
"""

CONVENTIONS: Mapping[str, Mapping[str, Codes]] = {
    f"{named}/{thallium}": {**codes, **scan}
    for named, codes in NUMBERINGS["codes"].items()
    for thallium, scan in NUMBERINGS["thallium"].items()
}
"""The numberings of both parts together."""

TWO_CODES = frozenset(name for name, codes in UCI_CODES.items() if codes.keys() == {0, 1})
"""The fields whose codes say yes or no to something."""

_DASHES = frozenset("-–—")
# Of an angina, a blood sugar or a diagnosis a dash may be a negative result.
YES_NO_FIELDS = frozenset({"fasting_blood_sugar_high", "exercise_angina", LABEL})
_GAPS = frozenset({"", *_DASHES, *TABLE["gaps"].split()})
_GAP_NUMBER = -9  # UCI's own

ZERO_IS_NOT_MEASURED = frozenset({"resting_bp", "cholesterol"})
"""Fields in which clinics write 0 where nothing was measured; in a living patient it is nothing else."""

CHOLESTEROL_IN_MMOL = (1.0, 20.0)
"""mmol/L; what a living adult can have in that unit lies below what is possible in mg/dL."""

_NEGATION = meaning_of(["non"])
_NUMBERED = re.compile(r"\s*(?:value\s+)?[(\[]?(\d)\s*([)\]:=.–-]*)\s*([^\d\s].*)", re.IGNORECASE)
_BRACKETS = re.compile(r"[(\[{]([^)\]}]*)[)\]}]?")
_STATED = re.compile(
    r"(?<!\d)(\d)(?!\d)\s*[=:–→-]?\s*([^\W\d][^,;/|\d()]*)|([^\W\d][^,;/|\d=:()]*?)\s*[=:–→-]\s*(\d)(?!\d)"
)
"""What a name says of the codes below it, as "1 = typical" or "male: 1"."""
_WITH_UNIT = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\d\s]\D*)")


def _spaced(text: str) -> str:
    return " ".join(re.split(r"[\s._-]+", text.strip().casefold()))


WORDS = {name: field.codes for name, field in FIELDS.items()} | {
    LABEL: {int(is_ill): word for word, is_ill in LABELS.items()}
}
_OWN = {name: [name, field.csv_column, field.label] for name, field in FIELDS.items()} | {LABEL: [LABEL_COLUMN]}
_OWN_SPACED = {_spaced(written) for own in _OWN.values() for written in own}
_UNITS: Mapping[str, Mapping[str, float]] = {name: said.get("units", {}) for name, said in TABLE["fields"].items()}


def _whole(written: str) -> str:
    return f"= {''.join(tokens_of(written))}"


def _names(key: str) -> Mapping[str, Meaning]:
    return {
        name: meaning_of(
            [*said.get(key, []), *map(_whole, _OWN[name])], beside=f"in {said.get('beside', '')}", is_name=True
        )
        for name, said in TABLE["fields"].items()
    }


_NAMED, _MAYBE_NAMED = _names("names"), _names("maybe")
_MEANT: Mapping[str, Mapping[int, Meaning]] = {
    name: {int(code): meaning_of([*phrases, _whole(WORDS[name][int(code)])]) for code, phrases in codes.items()}
    for name, codes in TABLE["codes"].items()
}


@cache
def code_in(name: str, text: str) -> int | None:
    """Return the code of a field, 0 or 1 of the label, that words stand for; ``None`` where they are not known.

    Words in brackets are left out where they say nothing else: many explain what stands before them. A number before
    the words is their code in the file if a sign parts them, as in "0: typical angina", or if it is their code here.
    """
    # Words that fit two codes are not decided by an order of the table: they mean none.
    said = {code for code, meaning in _MEANT.get(name, {}).items() if meaning.is_said(tokens_of(text))}
    if said:
        return said.pop() if len(said) == 1 else None
    if numbered := _NUMBERED.fullmatch(text):
        code = code_in(name, numbered[3])
        return code if numbered[2] or code == int(numbered[1]) else None
    # "Yes (no pain at rest)" keeps its brackets: a negation in them may be what was found.
    inside = _BRACKETS.search(text)
    if inside and code_in(name, inside[1]) is None and not _NEGATION.is_said(tokens_of(inside[1]), loosely=True):
        return code_in(name, text.replace(inside[0], " "))
    return None


def stated_codes(name: str, header: str) -> Mapping[int, int]:
    """Return what the name of a column says of its codes, as "sex (1 = male, 2 = female)" or "female" does."""
    if name not in _MEANT or re.search(r"\d\s*[-–]\s*\d\s*[=:]", header):  # "1-4 = disease" says more than is read here
        return {}
    pairs = {int(match[1] or match[4]): code_in(name, match[2] or match[3]) for match in _STATED.finditer(header)}
    stated = {number: code for number, code in pairs.items() if code is not None}
    if not stated and name in TWO_CODES:
        words = [token for token in tokens_of(header) if len(token) > 1 or name == "sex"]  # "exang_n" may be a number
        said = {code for token in words if (code := code_in(name, token)) is not None}
        if len(said) == 1:
            stated = {1: (code := said.pop()), 0: 1 - code}
    return stated


def as_stated(name: str, header: str, text: str) -> str:
    """Return a cell in this product's words where the name of its column says what it means, or without its unit."""
    if name not in _MEANT:
        return _without_own_unit(name, text)
    if field_named(header) != name or not (stated := stated_codes(name, header)):
        return text
    number = number_in(text)
    is_known = number is None and code_in(name, text) is not None  # "F" below "sex_f" is no "false"
    code = number if number is not None else code_in("exercise_angina", text)
    return text if is_known or code is None or code not in stated else WORDS[name][stated[int(code)]]


def _without_own_unit(name: str, text: str) -> str:
    if number_in(text) is not None or not (parts := _WITH_UNIT.fullmatch(text.strip())):
        return text
    named = f"{FIELDS[name].csv_column} {parts[2]}"
    return parts[1] if field_named(named) == name and factor_in(name, named) == 1 else text


def _without_unit(name: str, header: str) -> tuple[list[str], float]:
    """Split a name into words but for another unit than the field's, and return what that multiplies numbers by."""
    words = f" {' '.join(tokens_of(header))} "
    unit = next((unit for unit in _UNITS[name] if f" {unit} " in words), "")
    return words.replace(f" {unit} ", " ", 1).split(), _UNITS[name].get(unit, 1)


def _without_codes(name: str, header: str) -> str:
    return _STATED.sub(lambda one: "" if code_in(name, one[2] or one[3]) is not None else one[0], header)


@cache
def field_named(header: str) -> str | None:
    """Return the wire name of the field, or ``LABEL``, that a column is called by; ``None`` where nothing is known.

    A name that explains its codes is known where its words are, and one with another unit where that can be converted.
    One that says the opposite, as "FBS < 120" does, is not known: its cells may not be what is usual.
    """
    # The numbers in brackets say which values there are. Elsewhere they are a part of the name, as of "cp_2".
    plain = _BRACKETS.sub(lambda inside: re.sub(r"[\d%]", " ", inside[0]), header)
    has_codes = bool(re.search("[=≠!]", header.replace(">=", "")))
    for name, meaning in _NAMED.items():
        if stated_codes(name, header) and meaning.is_said(tokens_of(_without_codes(name, header))):
            return name
        if not has_codes and meaning.is_said(_without_unit(name, plain)[0]):
            return name
    return None


def fields_like(header: str) -> set[str]:
    """Return the fields that a column with an unknown name may be, or be a part of, as ``cp_2`` is of ``cp``."""
    named = [*_NAMED.items(), *_MAYBE_NAMED.items()]
    return fields_within(header) | {name for name, meaning in named if meaning.is_said(tokens_of(header), loosely=True)}


def fields_within(header: str) -> set[str]:
    """Return the fields whose names a longer name begins with, as ``restecg_text`` does with ``restecg``."""
    words = re.findall(r"[^\W_]+", header)
    named = (field_named(" ".join(words[:number])) for number in range(1, len(words)))
    return {name for name in named if name}


def factor_in(name: str, header: str) -> float:
    """Return what a quantity is multiplied by for the unit that its column's name has, 1 for the field's own."""
    return _without_unit(name, header)[1]


def may_be_opposite(name: str, header: str) -> bool:
    """Tell whether a column with an unknown name may have codes that say the opposite, as "FBS <= 120" does."""
    says_no = any(code_in(name, token) == 0 for token in tokens_of(header))
    return field_named(header) != name and (says_no or bool(re.search("[<≤≦⩽=≠!:]", header)))


def is_pair_of_pressures(text: str) -> bool:
    """Tell whether a cell holds a systolic and a diastolic pressure, as "145/90" does."""
    pair = [number_in(part) or 0 for part in text.split("/")]
    return len(pair) == len({"systolic", "diastolic"}) and pair[0] > pair[1] > 0


def is_own_name(header: str) -> bool:
    """Tell whether a column is called as this product calls it, on the wire, in its CSV or on its pages."""
    # With the gaps between the words: copies with other codes have "ChestPainType".
    return _spaced(header) in _OWN_SPACED


def number_in(text: str) -> float | None:
    """Read a number with a decimal comma or point; ``None`` where the text is no finite number."""
    text = text.translate(_MINUS).strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_MINUS = str.maketrans(dict.fromkeys("−‐‑‒–﹣－", "-") | dict.fromkeys("\u200b\ufeff", ""))


def is_gap(name: str, text: str) -> bool:
    """Tell whether a cell says that nothing was measured; ``none`` may be a result, of vessels or an ECG."""
    written, number = " ".join(folded(text).split()), number_in(text)
    if number is not None:
        return number == _GAP_NUMBER or (number == 0 and name in ZERO_IS_NOT_MEASURED)
    return written.replace(" ", "_") in _GAPS and not (written in _DASHES and name in YES_NO_FIELDS)


def value_of(name: str, text: str, codes: Codes | None = None, *, factor: float = 1) -> float | int | None:
    """Read a cell of a field; ``None`` is *not measured*.

    Parameters
    ----------
    codes
        What numbers mean in a field that several conventions number differently; UCI's codes by default.
    factor
        What a quantity in another unit has to be multiplied by.

    Raises
    ------
    InvalidDataError
        Saying what must stand there, without the cell's content: it may be a patient's.
    """
    field, number = FIELDS[name], number_in(text)
    if is_gap(name, text):
        if field.required:
            raise InvalidDataError("is required")
        return None
    if name in UCI_CODES:
        return _code_of(field, text, UCI_CODES[name] if codes is None else codes)
    if number is None:
        raise _unreadable(field, "a number")
    if factor != 1:
        number = round(number * factor, 1)
    lowest, highest = field.possible_range or (-math.inf, math.inf)
    if not lowest <= number <= highest:
        raise _unreadable(field, field.possible_text)
    if name == "age" and not number.is_integer():
        raise _unreadable(field, "a whole number")
    return int(number) if number.is_integer() else number


def _code_of(field: FieldDescription, text: str, codes: Codes) -> int | None:
    number = number_in(text)
    if number is None:
        if (code := code_in(field.name, text)) is not None:
            return code
    elif number in codes:
        return codes[int(number)]
    meanings = (f"{code} ({field.in_words(meaning)})" for code, meaning in sorted(codes.items()))
    raise _unreadable(field, f"one of: {field.choices if codes == UCI_CODES[field.name] else ', '.join(meanings)}")


def _unreadable(field: FieldDescription, must_be: str) -> InvalidDataError:
    or_empty = "" if field.required else ", or left empty where nothing was measured"
    return InvalidDataError(f"must be {must_be}{or_empty}")


def known_codes(name: str) -> set[int]:
    """Return the codes that a field has in any convention."""
    return {code for codes in (UCI_CODES, *CONVENTIONS.values()) for code in codes.get(name, ())}


def is_code(name: str, text: str) -> bool:
    """Tell whether a text is a number or a word for a code of a field."""
    return number_in(text) is not None or code_in(name, text) is not None


def is_diagnosis(text: str) -> bool:
    """Tell whether a text says that a disease is there or not, and no plain yes or no or a normal result."""
    is_plain = code_in("fasting_blood_sugar_high", text) is not None
    return code_in(LABEL, text) is not None and (not is_plain or folded(text)[:3] in {"neg", "pos"})


def is_about_codes(text: str) -> bool:
    """Tell whether a text names a field that has codes, or is a word for one of them."""
    return field_named(text) in _MEANT or any(code_in(name, text) is not None for name in UCI_CODES)
