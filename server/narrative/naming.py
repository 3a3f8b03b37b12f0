"""What the fields, their values and units, and the numbers are called, besides what their descriptions say."""

from collections.abc import Mapping

from config.patient import FIELDS

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "age": ("aged", "patient's age"),
    "sex": ("biological sex",),
    "chest_pain_type": ("type of chest pain", "chest pain"),
    "resting_bp": (
        "resting systolic blood pressure",
        "systolic blood pressure",
        "blood pressure at rest",
        "blood pressure",
        "resting bp",
        "bp",
    ),
    "cholesterol": ("cholesterol", "level of serum cholesterol", "level of cholesterol"),
    "fasting_blood_sugar_high": (
        "fasting blood sugar above 120 mg/dl",
        "fasting blood sugar level over 120 mg/dl",
        "fasting blood sugar greater than 120 mg/dl",
        "fasting blood sugar exceeding 120 mg/dl",
        "fasting blood glucose over 120 mg/dl",
        "fasting blood glucose",
        "fasting blood sugar",
        "fasting glucose",
    ),
    "resting_ecg": ("resting electrocardiogram", "resting ekg", "ecg at rest", "electrocardiogram", "ecg", "ekg"),
    "max_heart_rate": (
        "maximal heart rate",
        "highest heart rate",
        "peak heart rate",
        "max heart rate",
        "maximum hr",
        "peak hr",
        "max hr",
    ),
    "exercise_angina": (
        "exercise induced angina",
        "angina induced by exercise",
        "angina during exercise",
        "angina on exercise",
        "angina with exercise",
        "angina on exertion",
        "angina with exertion",
        "exertional angina",
        "exercise angina",
    ),
    "st_depression": (
        "exercise-induced st depression",
        "st-depression",
        "st-segment depression",
        "st segment depression",
        "depression of the st segment",
    ),
    "st_slope": (
        "slope of the st-segment",
        "slope of st segment",
        "slope of the st",
        "slope of st",
        "st-segment slope",
        "st segment slope",
        "st slope",
        "st segment",
    ),
    "major_vessels": (
        "number of major vessels coloured by fluoroscopy",
        "number of major vessels colored by fluoroscopy",
        "major vessels coloured by fluoroscopy",
        "major vessels colored by fluoroscopy",
        "number of major vessels on fluoroscopy",
        "major vessels on fluoroscopy",
        "major vessel on fluoroscopy",
        "number of major vessels",
        "number of vessels",
        "count of major vessels",
        "major vessel",
    ),
    "thallium_scan": ("thallium stress test", "thallium imaging", "thallium test", "thallium result"),
}

OF_A_NAME = r"(?: (?:levels?|values?|results?|readings?|counts?|status|findings?|measurements?|reached|achieved))?"
"""What may end the name of a field without changing what it is."""

_OTHER_VALUES: Mapping[str, str] = {
    "upsloping": "up",
    "downsloping": "down",
    "st-t wave abnormality": "ST-T abnormality",
    "present": "yes",
    "absent": "no",
    "absence of": "no",
    "lack of": "no",
    "without": "no",
    "man": "male",
    "woman": "female",
}

DISTINCTIVE_VALUES: Mapping[str, str] = {
    word: name
    for name in ("sex", "chest_pain_type", "resting_ecg", "thallium_scan")
    for word in FIELDS[name].codes.values()
    if word not in {"normal", "asymptomatic"}
}
"""Values that tell by themselves which field they belong to."""

UNITS: Mapping[str, str] = {
    "mm Hg": r"mm ?hg",
    "mg/dL": r"mg ?(?:/|per) ?dl",
    "beats/min": r"beats ?(?:/|per) ?min(?:ute)?|bpm",
    "years": r"years?(?: old| of age)?",
    "mm": r"mm|millimet(?:re|er)s?",
}

_COUNTING = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
"""
_COUNTING_IN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = _COUNTING.split()
_TENS = dict(zip(_COUNTING_IN_TENS.split(), range(20, 100, 10), strict=True))
NUMBER_WORDS = {word: number for number, word in enumerate(_ONES)} | _TENS
NUMBER_WORDS |= {
    f"{ten}-{one}": _TENS[ten] + number for ten in _TENS for number, one in enumerate(_ONES[:10]) if number
}


def _names() -> dict[str, str]:
    names = {name.lower(): field for field, others in _OTHER_NAMES.items() for name in others}
    return names | {description.label.lower(): name for name, description in FIELDS.items()}


def _values() -> dict[str, str]:
    coded = [field for name, field in FIELDS.items() if field.codes and name != "major_vessels"]
    return {**_OTHER_VALUES} | {word.lower(): word for field in coded for word in field.codes.values()}


FIELD_OF_NAME = _names()
VALUE_OF_WORD = _values()
