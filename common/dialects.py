"""The words, codes and column names under which the 13 fields and their label circulate; the standard library alone.

One table of names, one of words and one of numeric codes serve data files and rows that are pasted at a client app.
"""

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches

from common.errors import InvalidDataError
from common.patient import FIELDS, LABEL_COLUMN, FieldDescription

LABEL = "label"
"""Stands for the label where columns are named by the wire names of their fields."""

UCI_ORDER = [*FIELDS, LABEL]
"""The 14 columns of a file without column names, as UCI's own files have them."""

Codes = Mapping[int, int | None]
"""What each code in a file is in UCI's codes; ``None`` is *not measured*."""

# As written without capitals, spaces and punctuation; units at the end and in brackets are dropped before.
_NAMES: Mapping[str, str] = {
    "age": "age ages ageinyears patientage alter edad idade leeftijd",
    "sex": "sex gender male ismale sexe sexo geschlecht geslacht sesso",
    "chest_pain_type": "cp chestpaintype chestpain chest cptype chestpaintyp typeofchestpain",
    "resting_bp": "restingbpsystolic bpsystolic restingbloodpressuresystolic "
    "trestbps trestbp trtbps restbps restbp rbp bp restingbp restingbps restsbp restingbloodpressure "
    "restbloodpressure bloodpressure systolicbp restingsystolicbp sbp systolicbloodpressure",
    "cholesterol": "chol cholesterol serumcholesterol serumcholestoral cholestoral cholesterolserum serumchol "
    "totalcholesterol",
    "fasting_blood_sugar_high": "fbs fastingbloodsugar fastingbs fbsover120 fastingbloodsugarover120 fbs120 bloodsugar "
    "fastingbloodsugar120 fastingbloodsugarhigh "
    "fastingglucose fastingbloodglucose fastingbloodsugargt120 fbsgt120",
    "resting_ecg": "restecg restingecg ecg ekg ekgresults ecgresults restekg restingekg restecgresults ecgatrest "
    "restingelectrocardiographicresults restingelectrocardiographic restingelectrocardiogram",
    "max_heart_rate": "thalach thalachh thalch maxhr mhr maxheartrate maximumheartrate maxheartrateachieved "
    "maximumheartrateachieved hrmax heartratemax",
    "exercise_angina": "exang exng exerciseangina exerciseinducedangina anginaexercise exercindang anginaonexercise "
    "exerangina",
    "st_depression": "oldpeak stdepression stbyexercise stdepressionexercise stdepressioninducedbyexercise stdep "
    "stdepressioninducedbyexerciserelativetorest exercisestdepression stdeviation",
    "st_slope": "slope slp stslope slopeofst slopepeakexcst slopeofpeakexercisestsegment peakexercisestslope "
    "slopeofthepeakexercisestsegment stsegmentslope exercisestslope",
    "major_vessels": "ca caa vessels majorvessels numberofmajorvessels nummajorvessels numberofvesselsfluro "
    "nmajorvessels numberofvessels majorvesselscolored numvessels noofmajorvessels vesselsfluro "
    "numberofmajorvesselscoloredbyflourosopy numberofmajorvesselscoloredbyfluoroscopy",
    "thallium_scan": "thal thall thallium thalliumscan thalliumstresstest thalassemia thalassemiatype thaltest thalium",
    LABEL: "num target output label class diagnosis condition disease heartdisease hd ahd outcome goal chd presence "
    "diameternarrowing heartdiseasepresence heartdiseasepresent heartdiseasediagnosis hasheartdisease hasdisease "
    "diagnosisofheartdisease cad hascad presenceofheartdisease",
}
_UNITS = re.compile(r"(inmmhg|mmhg|inmgdl|mgdl|inmmoll|mmoll|mmol|years|yrs|bpm|beatsmin|beatsperminute|inmm|mm)$")
_QUALIFYING = re.compile(
    r"(?i)\b(?!(?:in|mm|hg|mmhg|mg|dl|mgdl|mmol|l|years?|yrs?|y|bpm|beats|min|minute|per|values?|m|f"
    r"|on|admission|to|the|hospital)\b)[^\W\d_]+"
)
"""A word in brackets that is no unit: "BP (diastolic)" and "ST depression (mV)" are other fields, or in other units."""
_BRACKETS = re.compile(r"[(\[{]([^)\]}]*)[)\]}]")

_ALIKE = 0.8  # of 1: but for a letter or two

_YES, _NO = "yes y true t positive pos present", "no n false f negative neg absent"
_WORDS: Mapping[str, Mapping[int, str]] = {
    "sex": {0: "female f woman w women", 1: "male m man men"},
    "fasting_blood_sugar_high": {0: _NO, 1: _YES},
    "exercise_angina": {0: _NO, 1: _YES},
    "chest_pain_type": {
        1: "typicalangina typical typicalang typangina typang ta",
        2: "atypicalangina atypical atypicalang atypangina atypang ata nontypical nontypicalangina",
        3: "nonanginalpain nonanginal nonangpain nonang nap notang nonanginalchestpain",
        4: "asymptomatic asympt asymp asy",
    },
    "resting_ecg": {
        0: "normal norm",
        1: "sttabnormality stt sttwaveabnormality st havingsttwaveabnormality",
        2: "leftventricularhypertrophy lvhypertrophy lvh hyp hypertrophy leftventhypertrophy leftventhyper "
        "probableordefiniteleftventricularhypertrophy",
    },
    "st_slope": {1: "up upsloping upslope ascending", 2: "flat horizontal", 3: "down downsloping downslope descending"},
    "thallium_scan": {
        3: "normal norm",
        6: "fixeddefect fixed fix nonreversible irreversible nonreversibledefect irreversibledefect",
        7: "reversibledefect reversabledefect reversible reversable rev reversibledefects",
    },
}
_LABEL_WORDS: Mapping[bool, str] = {
    True: f"presence {_YES} disease diseased sick heartdisease hasheartdisease hasdisease >50 >501 affected cad case",
    False: f"absence {_NO} nodisease healthy buff noheartdisease diseasefree normal <50 unaffected nocad control",
}

UCI_CODES: Mapping[str, Codes] = {name: {code: code for code in field.codes} for name, field in FIELDS.items()}


def _from_0(chest_pain: str, ecg: str, slope: str) -> Mapping[str, Codes]:
    """Return what codes from 0 on mean where these are UCI's codes for them in order; four vessels are not measured."""
    orders = {"chest_pain_type": chest_pain, "resting_ecg": ecg, "st_slope": slope, "major_vessels": "0123"}
    codes: dict[str, Codes] = {name: dict(enumerate(map(int, order))) for name, order in orders.items()}
    return {**codes, "major_vessels": {**codes["major_vessels"], 4: None}}


def _thallium(codes: str) -> Codes:
    """Return what the codes of a normal scan, a fixed and a reversible defect mean; 0 below them is not measured."""
    below: Codes = {0: None} if min(codes) == "1" else {}
    return {**below, **dict(zip(map(int, codes), FIELDS["thallium_scan"].codes, strict=True))}


CONVENTIONS: Mapping[str, Mapping[str, Codes]] = {
    f"{name}/{thallium}": {**codes, "thallium_scan": _thallium(thallium)}
    for name, codes in {
        "uci": {name: UCI_CODES[name] for name in ("chest_pain_type", "resting_ecg", "st_slope", "major_vessels")},
        "shifted": _from_0("1234", "012", "123"),
        # The words in alphabetical order, as label encoders number them: asymptomatic, atypical, non-anginal, typical.
        "permuted": _from_0("4231", "201", "321"),
    }.items()
    for thallium in ("367", "012", "102", "123", "213")
}
"""The numeric codes that circulate, by name and field, turned into UCI's; the other fields have one numbering each.

Behind the stroke stand the codes of a normal thallium scan, a fixed and a reversible defect: copies vary them.
"""

_DASHES = frozenset("-–—")
# Of an angina, a blood sugar or a diagnosis a dash may be a negative result.
_YES_NO_FIELDS = frozenset({"fasting_blood_sugar_high", "exercise_angina", LABEL})
_GAP_WORDS = (
    ". ? na n/a #n/a n.a. nan <na> null nil missing unknown unk n/d nd not_measured not_done not_available not_recorded"
)
_GAPS = frozenset({"", *_DASHES, *_GAP_WORDS.split()})
_GAP_NUMBER = -9  # UCI's own

ZERO_IS_NOT_MEASURED = frozenset({"resting_bp", "cholesterol"})
"""Fields in which clinics write 0 where nothing was measured; in a living patient it is nothing else."""

CHOLESTEROL_IN_MMOL = (1.0, 20.0)
"""mmol/L; what a living adult can have in that unit lies below what is possible in mg/dL."""


def _plain(text: str) -> str:
    """Drop capitals, spaces and punctuation; ``<`` and ``>`` tell the labels of some copies apart."""
    return "".join(letter for letter in text.casefold() if letter.isalnum() or letter in "<>")


def _spaced(text: str) -> str:
    return " ".join(re.split(r"[\s._-]+", text.strip().casefold()))


_OWN = {written: name for name, field in FIELDS.items() for written in (name, field.csv_column, field.label)}
_OWN[LABEL_COLUMN] = LABEL
_OWN_SPACED = {_spaced(written) for written in _OWN}
_FIELD_BY_NAME: Mapping[str, str] = {
    **{word: name for name, words in _NAMES.items() for word in words.split()},
    **{_plain(written): name for written, name in _OWN.items()},
}
_CODE_BY_WORD: Mapping[str, Mapping[str, int]] = {
    name: {word: code for code, words in _WORDS.get(name, {}).items() for word in words.split()}
    | {_plain(word): code for code, word in field.codes.items() if not word.isdigit()}
    for name, field in FIELDS.items()
}
_DISEASE_BY_WORD = {word: has_disease for has_disease, words in _LABEL_WORDS.items() for word in words.split()}
# Left out: what stands in brackets for other reasons, as "ST" does.
_EXPLAINING = {word for words in [*_CODE_BY_WORD.values(), _DISEASE_BY_WORD] for word in words} - {"st"}


def field_named(header: str) -> str | None:
    """Return the wire name of the field, or ``LABEL``, that a column is called by; ``None`` where nothing is known.

    A name that explains its codes, as "sex (0 = male)" does, is not known, nor is one with another unit than the
    field's, nor one that says the opposite, as "FBS < 120" does: its cells may not be what is usual.
    """
    said = " ".join(_BRACKETS.findall(header))
    words = {_plain(word) for word in re.split(r"[\W\d_]+", said)} & _EXPLAINING
    if re.search("[<≤≦⩽=≠!]", header.replace(">=", "")) or (words and re.search(r"\d", said)):
        return None
    plain = _plain(header if _QUALIFYING.search(said) else _BRACKETS.sub(" ", header)).replace(">", "")
    return _FIELD_BY_NAME.get(plain) or _FIELD_BY_NAME.get(_UNITS.sub("", plain))


def fields_like(header: str) -> set[str]:
    """Return the fields that a column with an unknown name may be, or be a part of, as ``cp_2`` is of ``cp``."""
    similar = get_close_matches(_UNITS.sub("", _plain(_BRACKETS.sub(" ", header))), _FIELD_BY_NAME, cutoff=_ALIKE)
    return fields_within(header) | {_FIELD_BY_NAME[name] for name in similar}


def fields_within(header: str) -> set[str]:
    """Return the fields whose names a longer name begins with, as ``restecg_text`` does with ``restecg``."""
    words = re.findall(r"[^\W_]+", header)
    named = (field_named(" ".join(words[:number])) for number in range(1, len(words)))
    return {name for name in named if name}


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
    written, number = " ".join(text.split()).casefold(), number_in(text)
    if number is not None:
        return number == _GAP_NUMBER or (number == 0 and name in ZERO_IS_NOT_MEASURED)
    return written.replace(" ", "_") in _GAPS and not (written in _DASHES and name in _YES_NO_FIELDS)


def value_of(name: str, text: str, codes: Codes | None = None, *, mmol: bool = False) -> float | int | None:
    """Read a cell of a field; ``None`` is *not measured*.

    Parameters
    ----------
    codes
        What numbers mean in a field that several conventions number differently; UCI's codes by default.
    mmol
        Whether cholesterol is in mmol/L.

    Raises
    ------
    InvalidDataError
        Saying what must stand there, without the cell's content: it may be a patient's.
    """
    field = FIELDS[name]
    if is_gap(name, text):
        if field.required:
            raise InvalidDataError("is required")
        return None
    if field.codes:
        return _code_of(field, text, codes or UCI_CODES[name])
    number = number_in(text)
    if number is None:
        raise InvalidDataError(f"must be a number{_to_leave_out(field)}")
    if mmol:
        number = field.from_other_unit(number)
    lowest, highest = field.possible_range or (-math.inf, math.inf)
    if not lowest <= number <= highest:
        raise InvalidDataError(f"must be {field.possible_text}{_to_leave_out(field)}")
    if name == "age" and not number.is_integer():
        raise InvalidDataError("must be a whole number")
    return int(number) if number.is_integer() else number


def _code_of(field: FieldDescription, text: str, codes: Codes) -> int | None:
    number = number_in(text)
    if number is None:
        code = _CODE_BY_WORD[field.name].get(_plain(text))
        if code is not None:
            return code
    elif number in codes:
        return codes[int(number)]
    meanings = (f"{code} ({field.in_words(meaning)})" for code, meaning in sorted(codes.items()))
    choices = field.choices if codes == UCI_CODES[field.name] else ", ".join(meanings)
    raise InvalidDataError(f"must be one of: {choices}{_to_leave_out(field)}")


def _to_leave_out(field: FieldDescription) -> str:
    return "" if field.required else ", or left empty where nothing was measured"


def is_about_codes(text: str) -> bool:
    """Tell whether a text names a field that has codes, or is a word for one of them."""
    name = field_named(text)
    return (
        name == LABEL or bool(name and FIELDS[name].codes) or any(_plain(text) in of for of in _CODE_BY_WORD.values())
    )


def label_in(text: str) -> bool | None:
    """Return whether a word says disease; ``None`` for numbers and unknown words."""
    return _DISEASE_BY_WORD.get(_plain(text))
