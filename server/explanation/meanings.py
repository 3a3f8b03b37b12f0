"""What each code, and each quantity beyond its usual range, means clinically: one plain sentence with its source.

The sentences define and describe. None of them diagnoses, advises or reassures, and none says more of the patient
than that the value was recorded. Sex explains itself, and age has no usual range.
"""

from collections.abc import Mapping
from math import inf
from typing import Final

from common.patient import PatientRecord

# Sources:
# - UCI Heart Disease data, doi 10.24432/C52P4X: what each code records. Counts are those of data/heart_disease.csv.
# - Detrano et al. (1989), Am J Cardiol 64:304-310: the cohort, all referred for angiography; fluoroscopy, thallium.
# - Diamond (1983), J Am Coll Cardiol 1:574-575, as modified by the ACC/AHA guideline on chronic stable angina
#   (Gibbons et al. 2003, J Am Coll Cardiol 41:159-168): the three criteria of typical angina.
# - Gibbons et al. (2002), ACC/AHA guideline update for exercise testing, full text at acc.org (summary: Circulation
#   106:1883-1892): slope, 1 mm, 220 - age and its limits.
# - Klocke et al. (2003), ACC/AHA/ASNC guidelines for cardiac radionuclide imaging, full text at acc.org (summary:
#   Circulation 108:1404-1418): defects.
# - Romhilt and Estes (1968), Am Heart J 75:752-758: the point score for left ventricular hypertrophy.
# - American Diabetes Association (2024), Standards of Care, section 2, Diabetes Care 47(Suppl 1):S20-S42: 100 mg/dL.
# - NCEP Adult Treatment Panel III (2001), JAMA 285:2486-2497: total cholesterol.
# - Whelton et al. (2018), ACC/AHA guideline on high blood pressure, J Am Coll Cardiol 71:e127-e248: 130 mm Hg.
# - Williams et al. (2018), ESC/ESH guideline on hypertension, Eur Heart J 39:3021-3104: 140 mm Hg.
# - Brignole et al. (2018), ESC guideline on syncope, Eur Heart J 39:1883-1948: 90 mm Hg, there of orthostatic
#   hypotension; for a pressure at rest it is a convention, not a limit that a guideline sets.

_CRITERIA: Final = (
    "discomfort behind the breastbone, onset with exertion or emotional stress, and relief with rest or nitroglycerin"
)

MEANINGS: Final[Mapping[str, Mapping[int, str]]] = {
    "chest_pain_type": {  # Diamond 1983, as modified
        1: f"Typical angina, as commonly defined, meets all three criteria: {_CRITERIA}.",
        2: f"Atypical angina, as commonly defined, meets two of three criteria: {_CRITERIA}.",
        3: f"Non-anginal pain, as commonly defined, meets at most one of three criteria: {_CRITERIA}.",
        # The history alone: 80 of the 144 had angina in the exercise test. Everybody had been referred for angiography
        # (Detrano 1989), so those without pain had another reason to be: the type is no sign of health here.
        4: "Asymptomatic stands for no chest pain in the history, not for the result of the exercise test; in the "
        "Cleveland data, 105 of the 144 patients of this type had a major vessel narrowed by at least 50 %.",
    },
    "fasting_blood_sugar_high": {  # UCI: the cut at 120 mg/dL; American Diabetes Association 2024: 100 mg/dL
        0: "A fasting blood sugar of 120 mg/dL or less can be within the normal range, below 100 mg/dL, or above it.",
        1: "A fasting blood sugar over 120 mg/dL is above the normal range, which is below 100 mg/dL.",
    },
    "resting_ecg": {  # UCI; Romhilt and Estes 1968: of their points, UCI counts probable and definite hypertrophy
        0: "A normal resting ECG shows neither the ST-T changes nor the signs of hypertrophy that this field records.",
        1: "An ST-T abnormality is recorded here for inverted T waves, or an ST segment shifted by more than 0.05 mV.",
        2: "Left ventricular hypertrophy is recorded if the ECG meets the Estes criteria, as probable or definite.",
    },
    "exercise_angina": {  # UCI
        0: "No angina was recorded during the exercise test.",
        1: "Exercise-induced angina is angina brought on by the exercise test.",
    },
    "st_slope": {  # Gibbons 2002: horizontal or downsloping depression of 1 mm is the criterion
        1: "An ST segment that slopes up at peak exercise is less specific for ischemia, when it is depressed, than "
        "one that is flat or slopes down.",
        2: "A flat ST segment at peak exercise counts as abnormal if it is 1 mm or more lower than at rest.",
        3: "A downsloping ST segment at peak exercise counts as abnormal if it is 1 mm or more lower than at rest.",
    },
    "major_vessels": {  # UCI; Detrano 1989: fluoroscopy showed calcium in the vessels' walls
        number: f"Fluoroscopy, an X-ray of the beating heart, showed calcium in {word} of the major coronary vessels."
        for number, word in enumerate(("none", "one", "two", "three"))
    },
    "thallium_scan": {  # Klocke 2003
        3: "A normal thallium scan shows even uptake in the heart muscle after stress and at rest.",
        6: "A fixed defect is reduced uptake both after stress and at rest, which can come from scar but also from "
        "other causes.",
        7: "A reversible defect is reduced uptake after stress that recovers at rest.",
    },
}

RANGES: Final[Mapping[str, Mapping[tuple[float, float], str]]] = {
    "resting_bp": {
        (140, inf): "A systolic pressure of 140 mm Hg or more at rest is in the range that US and European guidelines "
        "classify as high.",  # Whelton 2018, Williams 2018
        (130, 140): "A systolic pressure from 130 to below 140 mm Hg at rest is classified as high by US guidelines "
        "but not by the 2018 European guideline.",  # Whelton 2018, Williams 2018
        (0, 90): "A systolic pressure below 90 mm Hg at rest is commonly classed as low.",  # Brignole 2018
    },
    "cholesterol": {  # NCEP 2001
        (240, inf): "A total cholesterol of 240 mg/dL or more is classified as high by the National Cholesterol "
        "Education Program.",
        (200, 240): "A total cholesterol from 200 to below 240 mg/dL is classified as borderline high by the National "
        "Cholesterol Education Program.",
    },
    "max_heart_rate": {  # Gibbons 2002; a share of 220 - age
        (0, 0.85): "The maximum heart rate stayed below 85 % of 220 minus age, a common but imprecise mark of adequate "
        "effort, which heart-rate-slowing drugs can also keep out of reach.",
    },
    "st_depression": {  # Gibbons 2002; UCI
        (1, inf): "An ST depression of 1 mm or more beyond that at rest counts as abnormal when the ST segment is flat "
        "or slopes down.",
        (-inf, 0): "A negative ST depression means that the ST segment stood higher during exercise than at rest.",
    },
}
"""From which value, and below which, a quantity means what."""


def meaning_of(name: str, record: PatientRecord) -> str | None:
    """Return what a record's value of one field means; ``None`` where there is nothing to explain."""
    value = getattr(record, name)
    if value is None or name in MEANINGS:
        return MEANINGS[name][value] if value is not None else None
    size = value / (220 - record.age) if name == "max_heart_rate" else value
    return next((meaning for (least, end), meaning in RANGES.get(name, {}).items() if least <= size < end), None)
