"""What the fields, their values and units, and the numbers are called, besides what their descriptions say."""

from collections.abc import Mapping

from common.patient import FIELDS

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "age": ("aged", "patient's age", "age in years"),
    "sex": ("biological sex", "gender"),
    "chest_pain_type": (
        *("type of chest pain", "kind of chest pain", "chest-pain type", "chest pain category", "chest pain kind"),
        *("chest pain classification", "chest pain"),
    ),
    "resting_bp": (
        *("resting systolic blood pressure", "systolic blood pressure", "blood pressure at rest", "blood pressure"),
        *("resting systolic pressure", "systolic pressure", "resting bp", "bp at rest", "systolic bp", "bp"),
    ),
    "cholesterol": (
        *("level of serum cholesterol", "level of cholesterol", "blood cholesterol", "serum cholesterol concentration"),
        *("cholesterol concentration", "cholesterol in serum", "cholesterol"),
    ),
    "fasting_blood_sugar_high": (
        *(
            f"fasting {sugar} {over} 120 mg/dl"
            for sugar in ("blood sugar", "blood sugar level", "blood glucose", "glucose", "sugar")
            for over in ("over", "above", "greater than", "exceeding", "of over", "of more than", "higher than")
        ),
        *("fasting blood sugar flag", "fasting blood glucose", "fasting blood sugar", "fasting glucose"),
        *("fasting sugar", "blood sugar over 120 mg/dl"),
    ),
    "resting_ecg": (
        *("resting electrocardiogram", "resting electrocardiography", "resting ekg", "ecg at rest", "ekg at rest"),
        *("electrocardiogram at rest", "electrocardiogram", "ecg", "ekg"),
    ),
    "max_heart_rate": (
        *("maximal heart rate", "highest heart rate", "peak heart rate", "max heart rate", "top heart rate"),
        *("maximum exercise heart rate", "peak exercise heart rate", "maximum heart rate on exercise"),
        *("maximum heart rate during exercise", "maximum heart rate in exercise", "heart rate maximum"),
        *("maximum hr", "peak hr", "max hr"),
    ),
    "exercise_angina": (
        *(
            f"angina {by} {cause}"
            for by in (
                "induced by",
                "during",
                "on",
                "with",
                "upon",
                "under",
                "brought on by",
                "provoked by",
                "triggered by",
            )
            for cause in ("exercise", "exertion")
        ),
        *("exercise induced angina", "exercise-provoked angina", "exercise-related angina", "exertion-induced angina"),
        *("exertional angina", "effort angina", "exercise angina"),
    ),
    "st_depression": (
        *("exercise-induced st depression", "exercise st depression", "st depression on exercise", "st-depression"),
        *("st-segment depression", "st segment depression", "depression of the st segment"),
        *("depression of the st-segment", "depression in the st segment", "amount of st depression"),
        *("degree of st depression", "extent of st depression"),
    ),
    "st_slope": (
        *(
            f"{slope} {segment}"
            for slope in ("slope of", "slope of the", "slope in the")
            for segment in ("st-segment", "st segment", "st", "peak exercise st segment")
        ),
        *("st-segment slope", "st segment's slope", "st segment slope", "st slope at peak exercise", "st slope"),
        *("peak exercise st slope", "st segment"),
    ),
    "major_vessels": (
        *(
            f"{count}major vessels{seen}"
            for count in ("number of ", "count of ", "")
            for seen in (
                *(" coloured by fluoroscopy", " colored by fluoroscopy", " on fluoroscopy", " seen on fluoroscopy"),
                *(" shown by fluoroscopy", " seen by fluoroscopy", " at fluoroscopy", " coloured", " colored", ""),
            )
        ),
        *("major vessel on fluoroscopy", "major vessel coloured by fluoroscopy", "number of vessels"),
        *("number of coloured vessels", "number of colored vessels", "number of coloured major vessels"),
        *("number of colored major vessels", "major vessel count", "major-vessel count", "vessel count"),
        *("major vessels number", "major vessel number", "fluoroscopy count", "major vessel"),
    ),
    "thallium_scan": (
        *("thallium stress test", "thallium stress scan", "thallium imaging", "thallium test", "thallium result"),
        *("thallium study", "thallium exam", "thallium examination", "thallium heart scan", "thallium scintigraphy"),
    ),
}

OF_A_NAME = (
    r"(?: (?:levels?|values?|results?|readings?|counts?|status|findings?|measurements?|outcome|"
    r"reached|achieved|attained))?"
)
"""What may end the name of a field without changing what it is."""

_OTHER_VALUES: Mapping[str, str] = {
    "upsloping": "up",
    "downsloping": "down",
    "st-t wave abnormality": "ST-T abnormality",
    "left-ventricular hypertrophy": "left ventricular hypertrophy",
    "non-anginal chest pain": "non-anginal pain",
    "non-anginal": "non-anginal pain",
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
