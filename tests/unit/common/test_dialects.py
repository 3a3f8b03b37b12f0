"""The names, words and numbers that files and pasted rows hold, and what they are read as."""

import pytest

from common.dialects import CONVENTIONS, LABEL, field_named, is_own_name, label_in, number_in, value_of
from common.errors import InvalidDataError
from common.patient import FIELDS

NAMES = {
    "age": "age, AGE, Age (years), age_years, Age [yrs]",
    "sex": "sex, Gender, Sex (M/F)",
    "chest_pain_type": "cp, ChestPain, Chest.pain.type, chest_pain_type, chest pain type (4 values)",
    "resting_bp": "trestbps, RestBP, BP, trtbps, resting bp s, trestbps (mm Hg), BP_mmHg",
    "cholesterol": "chol, Cholesterol, serum_cholestoral, chol [mg/dl], Cholesterol (mmol/L), Serum cholesterol",
    "fasting_blood_sugar_high": "fbs, FastingBS, FBS over 120, fasting blood sugar > 120 mg/dl",
    "resting_ecg": "restecg, RestECG, EKG results, resting electrocardiographic results (values 0,1,2)",
    "max_heart_rate": "thalach, thalch, thalachh, MaxHR, Max HR, max_heart_rate_achieved, Max HR (bpm)",
    "exercise_angina": "exang, exng, ExAng, ExerciseAngina, exercise_induced_angina, Exercise-induced angina",
    "st_depression": "oldpeak, ST depression, ST_Depression (mm)",
    "st_slope": "slope, slp, ST_Slope, Slope of ST, slope_of_peak_exercise_st_segment",
    "major_vessels": "ca, caa, Number.of.vessels.fluro, number of major vessels (0-3) colored by flourosopy",
    "thallium_scan": "thal, thall, Thallium, thallium_scan, Thalassemia",
    LABEL: "num, target, output, Heart Disease, HeartDisease, AHD, class, condition, diameter narrowing",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_column_is_known_by_each_of_its_names(name: str) -> None:
    assert {header: field_named(header) for header in NAMES[name].split(", ")} == dict.fromkeys(
        NAMES[name].split(", "), name
    )


@pytest.mark.parametrize(
    "header",
    ["id", "", "dataset", "thalassemia history", "sex (0 = male, 1 = female)", "sex (0 male 1 female)", "cp=4"],
)
def test_other_columns_and_those_that_explain_codes_of_their_own_are_not_known(header: str) -> None:
    assert field_named(header) is None


def test_own_names_are_told_from_those_of_copies_with_other_codes() -> None:
    own = [written for name, field in FIELDS.items() for written in (name, field.csv_column, field.label)]
    assert all(map(is_own_name, [*own, "Chest.pain.type", "chest PAIN type", "Heart Disease"]))
    assert not any(map(is_own_name, ["ChestPainType", "RestingECG", "cp", "thal", "id"]))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.3", 2.3), ("2,3", 2.3), (" 3.0 ", 3), ("−0.5", -0.5), ("–1", -1), ("６３", 63), ("1e2", 100), ("+4", 4),
        ("1.234,5", None), ("1,234,5", None), ("1_0", None), ("inf", None), ("nan", None), ("12/8", None), ("", None),
        ("5.8 mmol/L", None), ("٫5", None), ("2.Mar", None), ("0x1", None),
    ],
)  # fmt: skip
def test_a_number_is_read_or_not_and_never_changed(text: str, number: float | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if not field.required])
def test_what_says_not_measured_is_no_value(name: str) -> None:
    for gap in ("", " ", "?", "-9", "-9.0", "NA", "n/a", "NaN", "null", "<NA>", ".", "unknown", "Not measured"):
        assert value_of(name, gap) is None
    with pytest.raises(InvalidDataError):
        value_of(name, "none")


def test_words_and_labels_are_read_in_any_writing() -> None:
    words = ["Typical Angina", "typ_angina", "TA", "1", "1.0"]
    assert {value_of("chest_pain_type", word) for word in words} == {1}
    assert [value_of("thallium_scan", word) for word in ("Normal", "fixed defect", "reversable_defect")] == [3, 6, 7]
    assert [value_of("resting_ecg", word) for word in ("normal", "ST-T wave abnormality", "LV hypertrophy")] == [
        0,
        1,
        2,
    ]
    assert [label_in(word) for word in ("Presence", "'>50_1'", "no", "Healthy", "1", "?")] == [
        True, True, False, False, None, None,
    ]  # fmt: skip


def test_each_convention_gives_every_code_of_uci_once() -> None:
    for codes in CONVENTIONS.values():
        for name, meanings in codes.items():
            assert sorted(meaning for meaning in meanings.values() if meaning is not None) == sorted(FIELDS[name].codes)
    assert len(CONVENTIONS) == 15
    assert value_of("chest_pain_type", "0", CONVENTIONS["permuted/213"]["chest_pain_type"]) == 4
    assert value_of("cholesterol", "5,8", mmol=True) == 224.3
