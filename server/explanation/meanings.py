"""What each code, and each quantity beyond its usual range, means clinically: one plain sentence with its source.

The sentences define and describe. None of them diagnoses, advises or reassures, and none says more of the patient
than that the value was recorded. Sex explains itself, and age has no usual range.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

from common.patient import PatientRecord

# Sources:
# - UCI Heart Disease data, doi 10.24432/C52P4X: what each code records.
# - Detrano et al. (1989), Am J Cardiol 64:304-310: the cohort, and fluoroscopy and thallium in it.
# - Diamond (1983), J Am Coll Cardiol 1:574-575: the three criteria of typical angina.
# - Gibbons et al. (2002), ACC/AHA guideline on exercise testing, Circulation 106:1883-1892: slope, 1 mm, 220 - age.
# - Klocke et al. (2003), ACC/AHA/ASNC guideline on radionuclide imaging, Circulation 108:1404-1418: defects.
# - Romhilt and Estes (1968), Am Heart J 75:752-758: the point score for left ventricular hypertrophy.
# - American Diabetes Association, Standards of Care, section 2: fasting glucose of 100 mg/dL and more.
# - NCEP Adult Treatment Panel III (2001), JAMA 285:2486-2497: total cholesterol.
# - Brignole et al. (2018), ESC guideline on syncope, Eur Heart J 39:1883-1948: 90 mm Hg.
# - Williams et al. (2018), ESC/ESH guideline on hypertension, Eur Heart J 39:3021-3104: 140 mm Hg.

_CRITERIA: Final = (
    "discomfort behind the breastbone, brought on by exertion or emotional stress, relieved by rest or nitroglycerin"
)

MEANINGS: Final[Mapping[str, Mapping[int, str]]] = {
    "chest_pain_type": {  # Diamond 1983
        1: f"Typical angina meets all three criteria: {_CRITERIA}.",
        2: f"Atypical angina meets two of three criteria: {_CRITERIA}.",
        3: f"Non-anginal pain meets at most one of three criteria: {_CRITERIA}.",
        # The shipped table: 105 of 139 patients with disease, 39 of 164 without. Everybody was referred for
        # angiography (Detrano 1989), so those without pain had another reason to be: it is no sign of health here.
        4: (
            "Asymptomatic means that no chest pain was recorded; in this cohort, where everybody had been referred "
            "for coronary angiography, most patients with narrowed vessels were of this type."
        ),
    },
    "fasting_blood_sugar_high": {  # UCI: the cut at 120 mg/dL; American Diabetes Association: 100 mg/dL
        0: "A fasting blood sugar of up to 120 mg/dL can be above the normal range, which ends below 100 mg/dL.",
        1: "A fasting blood sugar over 120 mg/dL is above the normal range, which ends below 100 mg/dL.",
    },
    "resting_ecg": {  # UCI
        0: "A normal resting ECG has neither the ST-T changes nor the hypertrophy that this field records.",
        1: "An ST-T abnormality is an inverted T wave or an ST segment shifted by more than 0.05 mV.",
        # Romhilt and Estes 1968; UCI counts probable and definite
        2: "Left ventricular hypertrophy is a thickened left ventricle, as the ECG suggests it by the Estes criteria.",
    },
    "exercise_angina": {  # UCI
        0: "The exercise test brought on no angina.",
        1: "Exercise-induced angina is angina that comes on while exertion raises the heart's demand for oxygen.",
    },
    "st_slope": {  # Gibbons 2002: horizontal or downsloping depression of 1 mm is the criterion
        1: "An upsloping ST segment at peak exercise is a less specific finding than a flat or downsloping one.",
        2: "A flat ST segment at peak exercise counts as abnormal when depressed by 1 mm or more.",
        3: "A downsloping ST segment at peak exercise counts as abnormal when depressed by 1 mm or more.",
    },
    "major_vessels": {  # UCI; Detrano 1989: fluoroscopy showed calcium in the vessels' walls
        number: f"Fluoroscopy, an X-ray view of the beating heart, marked {word} of the major coronary vessels."
        for number, word in enumerate(("none", "one", "two", "three"))
    },
    "thallium_scan": {  # Klocke 2003
        3: "A normal thallium scan shows even uptake in the heart muscle under stress and at rest.",
        6: "A fixed defect is reduced uptake both under stress and at rest, as is seen with scar.",
        7: "A reversible defect is reduced uptake under stress that recovers at rest.",
    },
}

_BEYOND: Final[Mapping[str, Sequence[tuple[float, float, str]]]] = {
    "resting_bp": (
        (140, inf, "A systolic pressure of 140 mm Hg or more at rest is above the usual range."),  # Williams 2018
        (0, 90, "A systolic pressure below 90 mm Hg at rest is below the usual range."),  # Brignole 2018
    ),
    "cholesterol": (  # NCEP 2001
        (240, inf, "A total cholesterol of 240 mg/dL or more is classified as high."),
        (200, 240, "A total cholesterol from 200 to below 240 mg/dL is classified as borderline high."),
    ),
    "max_heart_rate": (  # Gibbons 2002; a share of 220 - age
        (0, 0.85, "The maximum heart rate stayed below 85 % of 220 minus age, the usual target of an exercise test."),
    ),
    "st_depression": (  # Gibbons 2002; UCI
        (1, inf, "An ST depression of 1 mm or more counts as abnormal when the ST segment is flat or downsloping."),
        (-inf, 0, "A negative ST depression is an elevation of the ST segment under exercise."),
    ),
}
"""From which value, and below which, a quantity means what."""


def meaning_of(name: str, record: PatientRecord) -> str | None:
    """Return what a record's value of one field means; ``None`` where there is nothing to explain."""
    value = getattr(record, name)
    if value is None or name in MEANINGS:
        return MEANINGS[name][value] if value is not None else None
    size = value / (220 - record.age) if name == "max_heart_rate" else value
    return next((meaning for least, end, meaning in _BEYOND.get(name, ()) if least <= size < end), None)
