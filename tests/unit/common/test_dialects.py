"""The names, words and numbers that files and pasted rows hold, and what they are read as."""

import pytest

from common.dialects import CONVENTIONS, LABEL, code_in, field_named, is_own_name, number_in, stated_codes, value_of
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


ELSEWHERE = {
    "age": "Alter (Jahre), âge, edad, leeftijd, età, idade",
    "sex": "Geschlecht (m/w), sexe, Género, geslacht, sesso, female, Sex (M=1; F=2)",
    "chest_pain_type": "Art der Brustschmerzen, douleur thoracique, tipo de dolor de pecho, pijn op de borst",
    "resting_bp": "Ruheblutdruck, RR systolisch (mmHg), pression artérielle au repos, TA sistólica, BP (kPa)",
    "cholesterol": "Gesamtcholesterin (mg/dl), Cholestérol (g/L), colesterol total, totaal cholesterol, colesterolo",
    "fasting_blood_sugar_high": "Nüchternblutzucker > 120, BLUTZUCKER_UEBER_120, glycémie à jeun, nuchtere glucose",
    "resting_ecg": "Ruhe-EKG, EKG-Befund, Électrocardiogramme de repos, ECG en reposo, rust-ECG, ECG a riposo",
    "max_heart_rate": "max. Herzfrequenz, Puls max, fréquence cardiaque maximale, FC máx, Heart rate (peak)",
    "exercise_angina": "Belastungsangina, angine d'effort, angina por ejercicio, inspanningsangina, angina da sforzo",
    "st_depression": "ST-Senkung, sous-décalage ST (mm), descenso del ST, ST-daling, ST depression (mV)",
    "st_slope": "Steigung der ST-Strecke, pente ST, pendiente del ST, helling ST, pendenza ST",
    "major_vessels": "Anzahl der Hauptgefäße, Hauptgefaesse, nombre de vaisseaux, vasos principales, # vessels",
    "thallium_scan": "Thalliumszintigramm, scintigraphie au thallium, gammagrafía talio, tallio",
    LABEL: "KHK, Herzkrankheit, maladie cardiaque, enfermedad cardíaca, hartziekte, malattia cardiaca, Diagnose",
}


def test_a_letter_at_the_end_of_a_name_states_nothing_of_its_codes() -> None:
    assert [stated_codes("exercise_angina", header) for header in ("exang_n", "exang_no")] == [{}, {1: 0, 0: 1}]


@pytest.mark.parametrize(("name", "headers"), [*NAMES.items(), *ELSEWHERE.items()])
def test_a_column_is_known_by_each_of_its_names(name: str, headers: str) -> None:
    assert {header: field_named(header) for header in headers.split(", ")} == dict.fromkeys(headers.split(", "), name)


@pytest.mark.parametrize(
    "header",
    ["id", "", "dataset", "thalassemia history", "sex (0 = he, 1 = she)", "cp=4", "cp_2", "heart rate", "puls",
     "glucose", "HDL cholesterol", "BP (diastolic)", "FBS < 120", "no heart disease", "family history of heart disease",
     "ST", "diastolischer Blutdruck", "Ca (mg/dL)", "exercise ECG", "chol (g/dL)", "max BP", "Angina"],
)  # fmt: skip
def test_other_columns_are_not_known(header: str) -> None:
    assert field_named(header) is None


def test_own_names_are_told_from_those_of_copies_with_other_codes() -> None:
    own = [written for name, field in FIELDS.items() for written in (name, field.csv_column, field.label)]
    assert all(map(is_own_name, [*own, "Chest.pain.type", "chest PAIN type", "Heart Disease"]))
    assert not any(map(is_own_name, ["ChestPainType", "RestingECG", "cp", "thal", "id"]))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.3", 2.3), ("2,3", 2.3), (" 3.0 ", 3), ("−0.5", -0.5), ("–1", -1), ("６３", 63), ("1e2", 100), ("+4", 4),
        ("1.234,5", None), ("1_0", None), ("inf", None), ("nan", None), ("12/8", None), ("5.8 mmol/L", None),
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


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("chest_pain_type", "Typical Angina, typ_angina, TA, 0: typical angina, Value 1: typical angina", 1),
        ("thallium_scan", "reversable_defect, 7 reversible defect", 7), ("resting_ecg", "ST-T wave abnormality", 1),
        ("fasting_blood_sugar_high", "<= 120 mg/dl", 0), ("fasting_blood_sugar_high", "> 120 mg/dl", 1),
        ("fasting_blood_sugar_high", "98 mg/dl, 120 mg/dl", None), (LABEL, "0 disease, 1, ?", None),
        ("thallium_scan", "no reversible defect, 3 reversible defect, no, defect, 4", None),
        ("sex", "weiblich, femme, Mujer, vrouw, 0 - female", 0), ("sex", "V, x, divers", None),
        ("chest_pain_type", "nicht anginöser Schmerz, dolor no anginoso, douleur non angineuse, niet-angineus", 3),
        ("resting_ecg", "Linksherzhypertrophie, HVG, hipertrofia ventricular izquierda, LVH (by Estes' criteria)", 2),
        ("st_slope", "ansteigend, ascendante, stijgend, 1: upsloping", 1),
        ("thallium_scan", "nicht reversibel, irréversible, onomkeerbaar defect, défaut fixe", 6),
        ("exercise_angina", "nein, non, nee, keine Angina", 0),
        (LABEL, "no, Healthy, kein KHK, sin enfermedad, gesund, < 50% diameter narrowing", 0),
        (LABEL, "Presence, '>50_1', krank, présence, > 50% diameter narrowing, Coronaropathie", 1),
        ("chest_pain_type", "none, pain, angina, no", None), ("resting_ecg", "right ventricular hypertrophy", None),
    ],
)  # fmt: skip
def test_words_mean_a_code_in_any_writing_and_those_that_may_mean_two_or_the_opposite_none(
    name: str, words: str, code: int | None
) -> None:
    assert {word: code_in(name, word) for word in words.split(", ")} == dict.fromkeys(words.split(", "), code)


def test_each_convention_gives_every_code_of_uci_once() -> None:
    for codes in CONVENTIONS.values():
        for name, meanings in codes.items():
            assert sorted(meaning for meaning in meanings.values() if meaning is not None) == sorted(FIELDS[name].codes)
    assert len(CONVENTIONS) == 20
    assert value_of("chest_pain_type", "0", CONVENTIONS["permuted/213"]["chest_pain_type"]) == 4
    assert {value_of("chest_pain_type", number) for number in ("1", "1.0", "1,0")} == {1}
    assert value_of("cholesterol", "5,8", factor=38.67) == 224.3
