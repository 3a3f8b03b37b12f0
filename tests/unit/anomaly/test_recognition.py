"""Files of patients as people have them: each gives the shipped table's values, is asked about, or is refused."""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.dataset import SHIPPED_DATA, FloatArray
from server.anomaly.questions import AmbiguousDataError, Answers
from server.anomaly.recognition import Patients, load_dataset, read_patients

Rows = list[list[str]]


def named(names: str) -> list[str]:
    return names.split(",")


HEADER, *ROWS = [line.split(",") for line in SHIPPED_DATA.read_text().splitlines()]
FREE = [row for row in ROWS if row[13] == "Absence"]
SHORT = named("age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,target")
FEDESORIANO = named(
    "Age,Sex,ChestPainType,RestingBP,Cholesterol,FastingBS,RestingECG,MaxHR,ExerciseAngina,Oldpeak,ST_Slope,HeartDisease"
)
ISLR = named("Age,Sex,ChestPain,RestBP,Chol,Fbs,RestECG,MaxHR,ExAng,Oldpeak,Slope,Ca,Thal,AHD")
CP, ECG, SLOPE, CA, THAL, LABEL = 2, 6, 10, 11, 12, 13

Cells = Mapping[int, Mapping[str, str]]
"""By column what stands for each cell of the shipped table."""


def labels(absence: str, presence: str) -> Cells:
    return {LABEL: {"Absence": absence, "Presence": presence}}


IN_NUMBERS, REVERSED, EXCHANGED = labels("0", "1"), labels("1", "0"), labels("Presence", "Absence")
SHIFTED: Cells = {
    CP: {"1": "0", "2": "1", "3": "2", "4": "3"},
    SLOPE: {"1": "0", "2": "1", "3": "2"},
    THAL: {"3": "0", "6": "1", "7": "2"},
}
PERMUTED: Cells = {
    CP: {"4": "0", "2": "1", "3": "2", "1": "3"},
    ECG: {"2": "0", "0": "1", "1": "2"},
    SLOPE: {"3": "0", "2": "1", "1": "2"},
    CA: {"": "4"},
    THAL: {"": "0", "6": "1", "3": "2", "7": "3"},
}
FROM_1: Cells = {THAL: {"": "0", "6": "1", "3": "2", "7": "3"}}
NORMAL_FIRST: Cells = {THAL: {"3": "1", "6": "2", "7": "3"}}


def in_words(said: str) -> Cells:
    """Words for UCI's codes in order, as "female,male;..." of all columns with words but perhaps the last."""
    columns = zip(
        (1, CP, 5, ECG, SLOPE, THAL), ("01", "1234", "01", "012", "123", "367"), said.split(";"), strict=False
    )
    words = {column: dict(zip(codes, of.split(","), strict=True)) for column, codes, of in columns}
    return {**words, 8: words[5]}


WORDS = in_words(
    "Female,Male;typical angina,atypical angina,non-anginal,asymptomatic;FALSE,TRUE;"
    "normal,st-t abnormality,lv hypertrophy;upsloping,flat,downsloping;normal,fixed defect,reversable defect"
)
ABBREVIATED = {**in_words("F,M;TA,ATA,NAP,ASY;N,Y;Normal,ST,LVH;Up,Flat,Down"), 5: {}}
OWN_WORDS: Cells = {
    place: {str(code): word for code, word in field.codes.items()} for place, field in enumerate(FIELDS.values())
}
FLOATS: Cells = {column: {str(n): f"{n}.0" for n in range(600)} for column in range(13)}

Written = Callable[..., Path]


def changed(rows: Rows, *changes: Cells) -> Rows:
    """Rows of the shipped table with other cells."""
    cells: dict[int, Mapping[str, str]] = {column: of for change in changes for column, of in change.items()}
    return [[cells.get(i, {}).get(cell, cell) for i, cell in enumerate(row)] for row in rows]


def elsewhere(rows: Rows = ROWS) -> Rows:
    """Patients of another clinic: two years older and 3 mm Hg higher, so that none is in the shipped table."""
    return [[str(int(row[0]) + 2), row[1], row[2], str(int(row[3]) + 3), *row[4:]] for row in rows]


def truth(rows: Rows = ROWS) -> FloatArray:
    """The values of rows of the shipped table, shape (n, 13)."""
    return np.array([[float(cell) if cell else np.nan for cell in row[:13]] for row in rows])


def is_ill(rows: Rows = ROWS) -> list[bool]:
    return [row[13] == "Presence" for row in rows]


def without(rows: Rows, *columns: int) -> Rows:
    return [[cell for i, cell in enumerate(row) if i not in columns] for row in rows]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(
        header: Sequence[str] | None, rows: Rows, *, mark: str = ",", encoding: str = "utf-8", end: str = "\n"
    ) -> Path:
        path = tmp_path / "clinic.csv"
        lines = [mark.join(cells) for cells in ([[*header]] if header else []) + rows]
        path.write_bytes("".join(line + end for line in lines).encode(encoding))
        return path

    return write


def read(path: Path, *, needs_label: bool = True, **answers: Any) -> Patients:
    return read_patients(path, Answers(**answers), needs_label=needs_label)


def refusal(path: Path, kind: type[InvalidDataError] = InvalidDataError, **answers: Any) -> str:
    with pytest.raises(kind) as raised:
        read(path, **answers)
    assert isinstance(raised.value, AmbiguousDataError) == (kind is AmbiguousDataError)
    return raised.value.message


def assert_read(found: Patients, rows: Rows = ROWS) -> None:
    np.testing.assert_allclose(found.values, truth(rows))
    assert found.has_disease.tolist() == is_ill(rows)
    assert found.is_labeled.all()
    assert found.wrong_label is None


BOOK: Cells = {
    CP: {"1": "typical", "2": "nontypical", "3": "nonanginal", "4": "asymptomatic"},
    THAL: {"3": "normal", "6": "fixed", "7": "reversable", "": "NA"},
    CA: {"": "NA"},
    LABEL: {"Absence": "No", "Presence": "Yes"},
}
WORDED = named("age,gender,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak,slope,ca,thal,num")
DIALECTS: dict[str, tuple[Sequence[str] | None, Sequence[Cells], str, str]] = {
    "its own": (HEADER, [], "the columns by their names, codes uci/367", "Presence = disease"),
    "its own words": (HEADER, [OWN_WORDS], "the columns by their names, words", "Presence = disease"),
    "UCI's names": (SHORT, [IN_NUMBERS], "codes uci/367", "`target`, 1 = disease, proved"),
    "UCI's own file": (None, [FLOATS, labels("0", "3")], "UCI's order, codes uci/367", "`Heart Disease`, 3 = disease"),
    "shifted": (SHORT, [SHIFTED, IN_NUMBERS], "codes shifted/012", "1 = disease, proved"),
    "the commonest copy": (SHORT, [PERMUTED, REVERSED], "codes permuted/213", "0 = disease, proved"),
    "words": (WORDED, [WORDS, labels("0", "2")], "words", "`num`, 2 = disease"),
    "a book's": (ISLR, [BOOK], "codes uci, proved", "`AHD`, Yes = disease"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_gives_the_values_of_the_shipped_table(written: Written, dialect: str) -> None:
    header, changes, names, label = DIALECTS[dialect]
    found = read(written(header, changed(ROWS, *changes)))
    assert_read(found)
    assert names in found.recognized[0]
    assert "; 303 patients; label" in found.recognized[0]
    assert label in found.recognized[0]
    assert found.recognized[-1] == (
        "303 of these patients are also in the shipped table; a model trained on that table has already seen them."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([SHIFTED, IN_NUMBERS], "codes shifted/012, by how codes and label go together; 303"),
        ([IN_NUMBERS], "codes uci/367; 303 patients; label `target`, 1 = disease."),
        ([FROM_1, IN_NUMBERS], "codes uci/213, by how"),
        ([NORMAL_FIRST, IN_NUMBERS], "codes uci/123, by how"),
    ],
)
def test_patients_of_another_clinic_are_told_by_how_codes_and_label_go_together(
    written: Written, changes: Sequence[Cells], said: str
) -> None:
    found = read(written(SHORT, changed(elsewhere(), *changes)))
    assert_read(found, elsewhere())
    assert said in found.recognized[0]


def test_two_alphabetical_orders_of_the_pain_types_are_asked_about_in_patients_of_another_clinic(
    written: Written,
) -> None:
    path = written(SHORT, changed(elsewhere(), PERMUTED, IN_NUMBERS))
    said = refusal(path, AmbiguousDataError)
    for convention, pain in (("permuted/213", "atypical angina"), ("islr/213", "non-anginal pain")):
        assert f"--codes {convention}: cp 0 = asymptomatic, 1 = {pain}, " in said
    assert_read(read(path, codes="permuted/213"), elsewhere())
    assert '--values "chest_pain_type:0=MEANING,' in refusal(path, AmbiguousDataError, codes="uci")


@pytest.mark.parametrize("changes", [[SHIFTED], []])
def test_a_bare_label_that_looks_the_wrong_way_round_is_asked_about_and_then_taken(
    written: Written, changes: Sequence[Cells]
) -> None:
    path = written(SHORT, changed(elsewhere(), *changes, REVERSED))
    said = refusal(path, AmbiguousDataError)
    assert "which value of target means disease? Patients with 1 look healthier than the others (AUROC 0.1" in said
    assert_read(read(path, label_of_disease="0"), elsewhere())
    wrong = "the label looks the wrong way round: patients labeled as diseased look healthier than the others, AUROC 0."
    if changes:  # what the codes mean cannot be read from such a label
        assert wrong in refusal(path, label_of_disease="1")
    else:
        assert wrong in (read(path, label_of_disease="1").wrong_label or "")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, "the label is the wrong way round: 303 rows of the shipped table are in this file too, but with the"),
        (elsewhere(), "the label looks the wrong way round: patients labeled as diseased look healthier than the"),
    ],
)
def test_labels_in_words_that_are_exchanged_stop_training(written: Written, rows: Rows, said: str) -> None:
    path = written(HEADER, changed(rows, EXCHANGED))
    with pytest.raises(InvalidDataError, match=said):
        load_dataset(path)
    assert_read(read(path, label_of_disease="Absence"), rows)


def test_with_few_of_a_class_a_label_that_looks_exchanged_is_asked_about(written: Written) -> None:
    rows = elsewhere(FREE[:60] + [row for row in ROWS if row[13] == "Presence"][:12])
    assert_read(read(written(HEADER, rows)), rows)
    path = written(HEADER, changed(rows, EXCHANGED))
    assert "only 12 patients have one of the labels" in refusal(path, AmbiguousDataError)
    assert read(path, yes=True).has_disease.sum() == 60


def test_one_class_alone_cannot_be_tested_and_bare_numbers_are_asked_about(written: Written) -> None:
    rows = elsewhere(FREE)
    found = read(written(HEADER, rows))
    assert_read(found, rows)
    assert found.recognized[-1] == "All labels are the same, so their direction cannot be tested."
    path = written(SHORT, changed(rows, IN_NUMBERS))
    assert "which value of target means disease?" in refusal(path, AmbiguousDataError)
    assert_read(read(path, label_of_disease="1"), rows)


def test_where_fields_speak_for_different_conventions_the_codes_are_asked_about(written: Written) -> None:
    """Where typical angina is the riskiest pain, shifted codes look permuted, but the slopes do not."""
    rows = changed(elsewhere(), {CP: {"1": "4", "4": "1"}})
    path = written(SHORT, changed(changed(rows, SHIFTED), IN_NUMBERS))
    assert "what do the codes of cp, restecg, slope, ca, thal mean?" in refusal(path, AmbiguousDataError)
    assert "are the codes of cp right?" in refusal(path, AmbiguousDataError, codes="shifted/012")
    assert_read(read(path, codes="shifted/012", yes=True), rows)


def test_without_label_codes_are_asked_about_unless_matched_rows_prove_them(written: Written) -> None:
    found = read(written(SHORT[:13], without(changed(ROWS, PERMUTED), LABEL)), needs_label=False)
    np.testing.assert_allclose(found.values, truth())
    assert not found.is_labeled.any()
    path = written(SHORT[:13], without(changed(elsewhere(), PERMUTED), LABEL))
    with pytest.raises(AmbiguousDataError, match="what do the codes"):
        read(path, needs_label=False)


def test_what_is_said_of_the_codes_is_not_taken_against_the_rows_of_the_shipped_table(written: Written) -> None:
    path = written(SHORT, changed(ROWS, PERMUTED, REVERSED))
    assert "prove other codes of cp, restecg, slope, ca, thal than --codes says" in refusal(path, codes="shifted")
    assert "there are no codes nonsense. Known are: uci/367" in refusal(path, codes="nonsense")
    assert_read(read(path, codes="permuted"))


def test_a_german_spreadsheet_is_read(written: Written) -> None:
    header = named(
        "Alter,Geschlecht,Brustschmerz,Ruheblutdruck,Cholesterin,Nüchternblutzucker > 120,Ruhe-EKG,"
        "max. Herzfrequenz,Belastungsangina,ST-Senkung,ST-Steigung,Anzahl Hauptgefäße,Thallium,KHK"
    )
    words = in_words(
        "weiblich,männlich;typische Angina,atypische Angina,nicht-anginös,asymptomatisch;nein,ja;"
        "normal,ST-T-Veränderung,Linksherzhypertrophie;ansteigend,flach,abfallend;normal,fixiert,reversibel"
    )
    rows = [[cell.replace(".", ",") for cell in row] for row in changed(elsewhere(), words, labels("nein", "ja"))]
    assert_read(read(written(header, rows, mark=";", encoding="cp1252")), elsewhere())


Change = Callable[[list[str]], list[str]]
AS_THEY_ARE: dict[str, tuple[str, Change]] = {
    "a column of women": ("female", lambda row: [row[0], str(1 - int(row[1])), *row[2:]]),
    "both pressures": ("BP", lambda row: [*row[:3], f"{row[3]}/60" if int(row[3]) > 60 else row[3], *row[4:]]),
    "cholesterol in g/L": ("Cholestérol", lambda row: [*row[:4], f"{int(row[4]) / 100}", *row[5:]]),
    "glucose": ("Fasting glucose", lambda row: [*row[:5], str(99 + 41 * int(row[5]) + int(row[0]) % 9), *row[6:]]),
    "glucose in mmol/L": ("fbs", lambda row: [*row[:5], f"{5 + 3 * int(row[5]) + int(row[0]) % 9 / 10}", *row[6:]]),
    "millivolts": ("ST depression (mV)", lambda row: [*row[:9], f"{float(row[9]) / 10:.2f}", *row[10:]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", AS_THEY_ARE)
def test_what_a_column_says_in_its_own_way_is_converted(written: Written, kind: str) -> None:
    name, change = AS_THEY_ARE[kind]
    places = {place for row in ROWS for place, cell in enumerate(change(row)) if cell != row[place]}
    header = [name if place in places else of for place, of in enumerate(HEADER)]
    assert_read(read(written(header, [change(row) for row in elsewhere()])), elsewhere())


@pytest.mark.parametrize("codes", ["1 2 3 4", "typical atypical nonanginal asymptomatic"])
def test_codes_in_columns_of_their_own_are_joined(written: Written, codes: str) -> None:
    header = [*HEADER[:2], *(f"cp_{code}" for code in codes.split()), *HEADER[3:]]
    rows = [[*row[:2], *(str(row[2] == code) for code in "1234"), *row[3:]] for row in elsewhere()]
    assert_read(read(written(header, rows)), elsewhere())


def test_an_unknown_name_whose_values_fit_one_field_is_asked_about(written: Written) -> None:
    path = written([*HEADER[:7], "Wert 7", *HEADER[8:]], elsewhere())
    said = 'Max HR may be Wert 7. --column "max_heart_rate=Wert 7", or --column "max_heart_rate=none" if it is not.'
    assert said in refusal(path, AmbiguousDataError)
    assert_read(read(path, columns=["max_heart_rate=Wert 7"]), elsewhere())
    assert np.isnan(read(path, columns=["max_heart_rate=none"]).values[:, 7]).all()


@pytest.mark.parametrize(
    ("column", "words", "asked", "said"),
    [
        (SLOPE, ["", "rising", "level", "steil ab"], "st_slope:", ["st_slope:level=flat,steil ab=down"]),
        (1, ["M", "H"], "sex:", ["sex:M=female", "sex:H=male"]),
        (1, ["1", "2"], "sex:", ["sex:1=female,2=male"]),
        (8, ["2", "1"], "exercise_angina:", ["exang:2=no,1=yes"]),
        (1, ['"she, her"', '"a=b"'], "sex:a=b=MEANING,she, her=MEANING", ["sex:she, her=female,a=b=male"]),
    ],
)
def test_values_that_many_patients_have_and_that_are_not_clear_are_asked_about(
    written: Written, column: int, words: Sequence[str], asked: str, said: Sequence[str]
) -> None:
    change = {str(code): word for code, word in enumerate(words) if word}
    path = written(HEADER, changed(elsewhere(), {column: change}))
    assert f'--values "{asked}' in refusal(path, AmbiguousDataError)
    assert_read(read(path, values=said), elsewhere())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["sex:male"], "write --values FIELD:VALUE=MEANING,VALUE=MEANING."),
        (["sex:=male"], "write --values FIELD:VALUE=MEANING,VALUE=MEANING."),
        (["sex:female=0,male=1"], "--values: female is in no cell of Sex."),
        (["sex:1=female,2=1.5"], "what Sex means is one of: female, male, not measured."),
        (["chol:999=0", "thal:3=normal"], "--values: there is no column for Thallium."),
    ],
)
def test_values_that_are_explained_wrongly_are_refused(written: Written, values: Sequence[str], said: str) -> None:
    path = written(HEADER[:12] + HEADER[13:], without(changed(elsewhere(), {1: {"0": "1", "1": "2"}}), THAL))
    assert said in refusal(path, values=values, columns=["thal=none"])


def test_a_label_of_disease_that_no_patient_has_is_refused(written: Written) -> None:
    assert "of Heart Disease, which has absence." in refusal(written(HEADER, FREE), label_of_disease="Presense")


def test_a_few_strangers_among_the_shipped_patients_are_not_tested_alone(written: Written) -> None:
    strangers = changed(elsewhere(ROWS[:12]), EXCHANGED)
    assert read(written(HEADER, [*ROWS[12:], *strangers])).wrong_label is None


def test_a_column_that_a_person_chooses_and_that_may_say_the_opposite_is_asked_about(written: Written) -> None:
    path = written([*HEADER[:5], "FBS <= 120", *HEADER[6:]], changed(elsewhere(), {5: {"0": "1", "1": "0"}}))
    assert "FBS over 120 may be FBS <= 120. --column" in refusal(path, AmbiguousDataError)
    chosen, asked = ["fbs=FBS <= 120"], '--values "fasting_blood_sugar_high:0=MEANING,1=MEANING"'
    assert asked in refusal(path, AmbiguousDataError, columns=chosen)
    assert_read(read(path, columns=chosen, values=["fbs:1=no,0=yes"]), elsewhere())


def test_a_label_whose_name_explains_a_range_of_codes_is_asked_for_and_read(written: Written) -> None:
    name = "status (0 = absent; 1-4 = present)"
    rows = changed(elsewhere(), labels("0", "2"))
    path = written([*HEADER[:13], name], [*rows[:-1], [*rows[-1][:13], "0"]])
    assert f'--column "label={name}"' in refusal(path, AmbiguousDataError)
    assert read(path, columns=[f"label={name}"]).has_disease.tolist() == [*is_ill()[:-1], False]


def test_a_label_by_a_name_that_may_say_the_opposite_or_in_unknown_words_is_asked_about(written: Written) -> None:
    path = written([*HEADER[:13], "healthy"], changed(elsewhere(), labels("yes", "no")))
    said = refusal(path, AmbiguousDataError, columns=["label=healthy"])
    assert "which value of healthy means disease? The column's name may say the opposite. It has no and yes." in said
    assert_read(read(path, columns=["label=healthy"], label_of_disease="no"), elsewhere())
    path = written(HEADER, changed(elsewhere(), labels("E", "S")))
    assert "which value of Heart Disease means disease?" in refusal(path, AmbiguousDataError)


def test_codes_that_label_encoders_made_of_a_books_words_are_proved_by_the_shipped_rows_alone(written: Written) -> None:
    """In alphabetical order "nonanginal" comes before "nontypical"; a third order is of no known convention."""
    for order, named in (("3210", "islr/213"), ("2310", "of its own")):
        encoded: Cells = {**PERMUTED, CP: dict(zip("1234", order, strict=True))}
        found = read(written(SHORT, changed(ROWS, encoded, REVERSED)))
        assert_read(found)
        assert f"codes {named}, proved by rows of the shipped table" in found.recognized[0]


def test_words_that_are_others_in_the_shipped_table_are_refused(written: Written) -> None:
    path = written(SHORT, changed(ROWS, {1: {"0": "Male", "1": "Female"}}))
    assert "303 rows of the shipped table are in this file too, but with other values of sex." in refusal(path)


def test_codes_of_no_convention_are_read_as_a_person_says_they_are(written: Written) -> None:
    path = written(SHORT, changed(elsewhere(), {CP: SHIFTED[CP]}))
    said = refusal(path, AmbiguousDataError)
    assert '--values "chest_pain_type:0=MEANING,1=MEANING,2=MEANING,3=MEANING"' in said
    cp = "cp:0=typical angina,1=atypical angina,2=non-anginal pain,3=4"
    assert_read(read(path, values=[cp]), elsewhere())
    encoded: Cells = {**PERMUTED, CP: {"4": "0", "3": "1", "2": "2", "1": "3"}}
    path = written(SHORT, changed(elsewhere(), encoded, IN_NUMBERS))
    assert "what do these values mean?" in refusal(path, AmbiguousDataError, codes="none")
    cp = "cp:3=typical angina,2=atypical angina,1=nonanginal,0=asymptomatic"
    others = ["restecg:0=LVH,1=normal,2=1", "slope:0=down,1=flat,2=up", "ca:4=not measured", "thal:0=?,1=fixed,2=3,3=7"]
    assert_read(read(path, values=[cp, *others], codes="none"), elsewhere())


def test_abbreviations_zero_cholesterol_and_missing_columns_are_read_and_their_cost_is_said(written: Written) -> None:
    rows = changed(elsewhere(), ABBREVIATED, IN_NUMBERS)
    rows[5][4] = rows[6][4] = "0"
    found = read(written(FEDESORIANO, without(rows, CA, THAL)))
    expected = truth(elsewhere())
    expected[[5, 6], 4] = np.nan
    expected[:, [CA, THAL]] = np.nan
    np.testing.assert_allclose(found.values, expected)
    assert found.has_disease.tolist() == is_ill()
    assert "Patients with Cholesterol 0, which counts as not measured: 2." in found.recognized
    assert found.recognized[-1].startswith("Not measured in any patient: Number of vessels fluro, Thallium. What that")


def test_cholesterol_in_mmol_is_converted(written: Written) -> None:
    rows = [[*row[:4], f"{int(row[4]) / 38.67:.2f}", *row[5:]] for row in ROWS]
    found = read(written(HEADER, [[*rows[0][:4], "0", *rows[0][5:]], *rows[1:]]))
    np.testing.assert_allclose(found.values[1:], truth()[1:], atol=0.3)
    assert np.isnan(found.values[0, 4])
    assert "Cholesterol: mmol/L, converted to mg/dL, times 38.67." in found.recognized


FILES: dict[str, dict[str, Any]] = {
    "semicolons, decimal commas": {"rows": [[cell.replace(".", ",") for cell in row] for row in ROWS], "mark": ";"},
    "Statlog's spaces without header":
        {"header": None, "rows": changed(ROWS, labels("1", "2"), {CA: {"": "-9"}, THAL: {"": "?"}}), "mark": "  "},
    "bars": {"mark": "|"},
    "byte order mark and CRLF": {"encoding": "utf-8-sig", "end": "\r\n"},
    "CR": {"end": "\r"},
    "UTF-16": {"encoding": "utf-16", "mark": "\t"},
    "UTF-16 without mark": {"encoding": "utf-16-le"},
    "Latin-1": {"header": [*HEADER, "Größe"], "rows": [[*row, "ü"] for row in ROWS], "encoding": "latin-1"},
    "sep line as wide as the sheet": {"header": ["sep=,,,,,\n" + HEADER[0], *HEADER[1:]]},
    "comments and blank lines":
        {"header": ["# In 1988\n\n" + HEADER[0], *HEADER[1:]], "rows": [*ROWS[:9], ["# the rest"], [""], *ROWS[9:]]},
    "a title": {"header": ["Cardiology\n" + HEADER[0], *HEADER[1:]]},
    "repeated header": {"rows": [*ROWS[:99], HEADER, *ROWS[99:]]},
    "trailing commas": {"header": [*HEADER, ""], "rows": [[*row, "", ""] for row in ROWS]},
    "trailing commas behind rows alone": {"rows": [[*row, ""] for row in ROWS]},
    "index column": {"header": ["", *HEADER], "rows": [[str(i), *row] for i, row in enumerate(ROWS)]},
    "row names without header": {"rows": [[f'"{i}"', *row] for i, row in enumerate(ROWS)]},
    "quotes": {"rows": [[f'"{cell}"' for cell in row] for row in ROWS]},
    "names in a comment, in another order":
        {"header": ["# age", "label", *SHORT[1:13]], "rows": [[row[0], row[13], *row[1:13]] for row in ROWS]},
    "single quotes, but for gaps": {
        "header": [f"'{name}'" for name in HEADER],
        "rows": [[f"'{cell}'" if cell else "NULL" for cell in row] for row in ROWS],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_of_file_gives_the_values_of_the_shipped_table(written: Written, kind: str) -> None:
    assert_read(read(written(**{"header": HEADER, "rows": ROWS, **FILES[kind]})))


@pytest.mark.parametrize("sheet", [None, "More"])
def test_a_workbook_is_read(tmp_path: Path, sheet: str | None) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("Notes", 0).append(["Age and sex", "as told"])
    for page in (book["Sheet"], *([book.create_sheet("More")] if sheet else [])):
        page.append(["Patients of the clinic"])
        page.append([])
        page.append(HEADER)
        for row in ROWS if page.title == (sheet or "Sheet") else ROWS[:5]:
            page.append([float(cell) if cell.replace(".", "").isdigit() else cell or None for cell in row])
    path = tmp_path / "clinic.xlsx"
    book.save(path)
    assert_read(read(path, sheet=sheet))
    if sheet:
        assert "there is no sheet Mroe, but: Notes, Sheet, More." in refusal(path, sheet="Mroe")
        with pytest.raises(AmbiguousDataError, match=r"which sheet\? These hold patients: Sheet, More\."):
            read(path)


def test_formulas_and_dates_of_a_workbook_are_refused_with_row_and_column(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [HEADER, ["=60+3", *ROWS[0][1:]], [*ROWS[1][:9], datetime.date(2026, 3, 2), *ROWS[1][10:]]]:
        book["Sheet"].append(row)
    path = tmp_path / "clinic.xlsx"
    book.save(path)
    said = refusal(path).splitlines()
    assert said[1:] == [
        "Row 2: column Age must be a number.",
        "Row 3: column ST depression must be a number, or left empty where nothing was measured.",
    ]


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("Age", "old", "column Age must be a number."),
        ("BP", "80/120", "column BP must be a number, or left empty where nothing was measured."),
        ("BP", "999", "column BP must be between 40 and 300 mm Hg, or left empty where nothing was measured."),
        ("Chest pain type", "5", "column Chest pain type must be one of: 1 (typical angina), 2 (atypical angina), 3 ("),
        ("Heart Disease", "1", "column Heart Disease must be one of: Absence, Presence;"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_by_row_and_column_and_what_must_stand_there(
    written: Written, column: str, cell: str, said: str
) -> None:
    rows = [list(row) for row in ROWS]
    rows[1][HEADER.index(column)] = f'"{cell}"'
    path = written(HEADER, rows)
    assert refusal(path).startswith(f"{path}: Row 3: {said}")


@pytest.mark.parametrize("column", range(14))
@pytest.mark.parametrize("content", ["MARKER", "987654", '"98765,4"'])
def test_no_refusal_holds_a_cells_content(written: Written, column: int, content: str) -> None:
    rows = [list(row) for row in ROWS]
    rows[0][column] = content
    path = written(HEADER, rows)
    assert content.strip('"') not in refusal(path).replace(str(path), "")


def test_rows_that_cannot_be_read_are_named_by_what_must_stand_there(written: Written) -> None:
    rows = [["x", "y", *ROWS[0][2:]], ROWS[1][:13], [*ROWS[2], "extra"], *[["x", *row[1:]] for row in ROWS[3:]]]
    path = written(HEADER, rows)
    assert refusal(path).splitlines() == [
        f"{path}: 303 rows cannot be read, so the file was not used:",
        "Row 2: column Sex must be one of: 0 (female), 1 (male).",
        "Rows 2, 5, 6, 7, 8 and 296 more: column Age must be a number.",
        "Rows 3, 4: the number of cells differs from the number of columns.",
    ]


@pytest.mark.parametrize("column", ["Age", "Sex", "Heart Disease"])
def test_rows_that_lack_what_each_patient_needs_are_left_out_once_a_person_agrees(
    written: Written, column: str
) -> None:
    rows = [list(row) for row in ROWS]
    rows[1][HEADER.index(column)] = rows[4][HEADER.index(column)] = "?"
    path = written(HEADER, rows)
    assert f"Patients without {column} cannot be used: Rows 3, 6." in refusal(path, AmbiguousDataError)
    found = read(path, yes=True)
    assert_read(found, [row for place, row in enumerate(ROWS) if place not in {1, 4}])
    assert f"Left out, for want of {column}: Rows 3, 6." in found.recognized


def test_a_mark_among_glucose_is_asked_about(written: Written) -> None:
    rows = [AS_THEY_ARE["glucose"][1](row) for row in elsewhere()]
    for row in rows[:3]:
        row[5] = "999"
    path = written(HEADER, rows)
    assert '--values "fasting_blood_sugar_high:999=MEANING"' in refusal(path, AmbiguousDataError)
    found = read(path, values=["fbs:999=not measured"]).values[:, 5]
    np.testing.assert_allclose(found, [*[np.nan] * 3, *truth()[3:, 5]])


@pytest.mark.parametrize(("column", "mark"), [("BP", "999"), ("BP", "low"), ("Heart Disease", "later"), ("Age", "999")])
def test_a_mark_that_many_patients_have_is_asked_about(written: Written, column: str, mark: str) -> None:
    rows = [list(row) for row in ROWS]
    for row in rows[:3]:
        row[HEADER.index(column)] = mark
    path, name = written(HEADER, rows), {"BP": "resting_bp", "Age": "age", "Heart Disease": "label"}[column]
    assert f'--values "{name}:{mark}=MEANING"' in refusal(path, AmbiguousDataError)
    found = read(path, needs_label=False, yes=True, values=[f"{name}:{mark}=not measured"])
    assert len(found.values) == 303 - 3 * (column == "Age")
    assert (~found.is_labeled).sum() == 3 * (column == "Heart Disease")


def test_a_mark_of_one_quantity_is_asked_about_in_others_where_it_is_possible(written: Written) -> None:
    path = written(HEADER, [[*row[:3], "999", "999", *row[5:]] for row in ROWS[:3]] + ROWS[3:])
    said = ["bp:999=not measured"]
    for values in ([], said):
        assert '--values "cholesterol:999=MEANING"' in refusal(path, AmbiguousDataError, values=values, yes=True)
    found = read(path, values=[*said, "chol:999=999"], yes=True).values[0, 3:5]
    np.testing.assert_equal(found, [np.nan, 999])


def test_na_is_asked_about_where_no_other_word_is_non_anginal(written: Written) -> None:
    path = written(HEADER, changed(elsewhere(), {CP: {"1": "TA", "2": "ATA", "3": "NA", "4": "ASY"}}))
    assert '--values "chest_pain_type:NA=MEANING"' in refusal(path, AmbiguousDataError)
    assert_read(read(path, values=["cp:NA=non-anginal pain"]), elsewhere())


@pytest.mark.parametrize(
    "footer", [[["Source: the clinic"]], [["Total: 303 patients", *[""] * 14], ["printed in May", *[""] * 14]]]
)
def test_rows_below_that_are_no_patients_are_left_out_once_a_person_agrees(written: Written, footer: Rows) -> None:
    path = written(["No.", *HEADER], [*([str(number), *row] for number, row in enumerate(ROWS)), *footer])
    assert "look like a footer and no patients: Row" in refusal(path, AmbiguousDataError)
    found = read(path, yes=True)
    assert_read(found)
    assert any(said.startswith("Left out, as no patients: Row") for said in found.recognized)


@pytest.mark.parametrize("cells", [1, 14])
def test_a_legend_in_a_footer_is_doubtful(written: Written, cells: int) -> None:
    path = written(HEADER, [*ROWS, ["Chest pain type: 1 = asymptomatic; 4 = typical", *[""] * (cells - 1)]])
    said = " ".join(read(path, yes=True).recognized)
    assert "Taken as it is: the footer in row 305 may say what codes mean, and is not read" in said


@pytest.mark.parametrize("places", [(302,), (0, 302)])
def test_rows_that_are_cut_off_are_refused(written: Written, places: Sequence[int]) -> None:
    path = written(HEADER, [row[:4] if place in places else row for place, row in enumerate(ROWS)])
    lines = ", ".join(str(place + 2) for place in places)
    assert f"{lines}: the number of cells differs" in refusal(path, yes=True)
    path = written(HEADER, [*ROWS, ["63 years", "1"]])
    assert "Row 305: the number of cells differs" in refusal(path, yes=True)


@pytest.mark.parametrize(("name", "words"), [("Dx", ("0", "1")), ("X", ("neg", "pos"))])
def test_a_column_that_seems_to_be_the_label_is_asked_about_where_none_is_known(
    written: Written, name: str, words: tuple[str, str]
) -> None:
    path = written([name, *HEADER[:13]], [[words[row[13] == "Presence"], *row[:13]] for row in ROWS])
    with pytest.raises(AmbiguousDataError, match=f'--column "label={name}"'):
        read(path, needs_label=False)
    assert_read(read(path, columns=[f"label={name}"]))


def test_columns_that_cannot_be_a_field_by_what_stands_in_them_are_not_offered(written: Written) -> None:
    header = ["Patient ID", *HEADER[:12], "date of scan"]
    rows = [[str(place), *row[:12], f"2/5/{1980 + place % 9}"] for place, row in enumerate(ROWS)]
    assert not read(written(header, rows), needs_label=False).is_labeled.any()


def test_values_of_a_column_whose_name_explains_them_are_those_of_the_file(written: Written) -> None:
    path = written([HEADER[0], "female", *HEADER[2:]], elsewhere())
    found = read(path, values=["sex:0=female,1=male"])
    assert_read(found, elsewhere())
    assert "as its name says" not in " ".join(found.recognized)


def test_who_explains_one_code_of_two_that_a_name_explains_is_asked_about_the_other(written: Written) -> None:
    header = [HEADER[0], "sex (1 = male; 2 = female)", *HEADER[2:]]
    path = written(header, changed(elsewhere(), {1: {"0": "2"}}))
    assert '--values "sex:2=MEANING"' in refusal(path, AmbiguousDataError, values=["sex:1=female"])
    assert_read(read(path), elsewhere())


def test_what_few_rows_have_is_not_shown_with_exchanged_codes_or_with_the_label(written: Written) -> None:
    rows = changed(elsewhere(), {1: {"0": "Male", "1": "Female"}})
    rows[0][1] = "Female (Smith)" if rows[0][1] == "Female" else "Male (Smith)"
    rows[1][13] = rows[1][13].upper()
    path = written(HEADER, rows)
    said = refusal(path, AmbiguousDataError) + " ".join(read(path, yes=True).recognized)
    assert "are the codes of Sex right?" in said
    assert "smith" not in said.casefold()
    assert rows[1][13] not in said


def test_a_rare_mark_in_the_label_is_refused_by_row(written: Written) -> None:
    rows = [[*row[:13], "1234"[i % 4] if row[13] == "Presence" else "0"] for i, row in enumerate(elsewhere())]
    assert read(written(HEADER, rows)).has_disease.tolist() == is_ill()
    rows[5][13] = "9"
    assert "Row 7: column Heart Disease must be one of" in refusal(written(HEADER, rows))
    rows = changed(elsewhere(), IN_NUMBERS)
    rows[5][13] = "x"
    assert "Row 7: column Heart Disease must be one of" in refusal(written(HEADER, rows), label_of_disease="1")


def test_a_number_in_a_rows_other_unit_and_a_birth_date_are_named(written: Written) -> None:
    rows = [[*row[:4], "5.2", *row[5:]] if place % 3 else row for place, row in enumerate(ROWS)]
    said = 'look like mmol/L: convert them, or leave the column out: --column "cholesterol=none"'
    assert said in refusal(written(HEADER, rows))
    path = written(["born", *HEADER[1:]], [["1/2/1950", *row[1:]] for row in ROWS])
    assert "An age in whole years is needed: dates of birth are not read." in refusal(path, AmbiguousDataError)


def at_two_sites(north: Rows, south: Rows) -> tuple[Sequence[str], Rows]:
    return [*HEADER, "Site"], [*([*row, "north"] for row in north), *([*row, "south"] for row in south)]


def test_a_bare_label_that_clinics_use_in_opposite_ways_is_named_in_the_question(written: Written) -> None:
    path = written(*at_two_sites(changed(elsewhere(), IN_NUMBERS), changed(elsewhere(), REVERSED)))
    assert "Within Site, Heart Disease seems to mean the opposite in some" in refusal(path, AmbiguousDataError)


def test_agreeing_to_one_question_agrees_to_no_other(written: Written) -> None:
    rows = [["", *ROWS[0][1:]], *[[*row[:4], "999", *row[5:]] for row in ROWS[1:9]], *ROWS[9:]]
    path = written(HEADER, rows)
    with pytest.raises(AmbiguousDataError, match="Patients without Age") as asked:
        read(path)
    assert "Cholesterol is 999 in 8 patients" in refusal(path, AmbiguousDataError, agreed={asked.value.question})


def test_a_row_of_groups_above_the_names_and_one_of_units_below_are_asked_about(written: Written) -> None:
    units = ["years", "", "", "mmHg", *[""] * 9, ""]
    path = written(["Patient", "", "", "At rest", *[""] * 4, "Exercise", *[""] * 4, "Result"], [HEADER, units, *ROWS])
    assert "row 1 stands above the names of the columns, and is not read" in refusal(path, AmbiguousDataError)
    found = read(path, yes=True)
    assert_read(found)
    assert "Left out, for want of Sex, Heart Disease: Row 3." in found.recognized


def test_columns_without_names_in_another_order_are_refused(written: Written) -> None:
    path = written(None, changed([[*row[1:3], row[0], *row[3:]] for row in ROWS], IN_NUMBERS))
    assert "Put a row of names on top." in refusal(path)


def test_units_in_cells_are_read_where_they_are_the_fields_own(written: Written) -> None:
    units = {"Age": " years", "BP": "mmHg", "Cholesterol": " mg/dl", "Max HR": " /min", "ST depression": " mm"}
    rows = [[cell + units.get(name, "") for name, cell in zip(HEADER, row, strict=True)] for row in ROWS]
    assert_read(read(written(HEADER, rows)))
    rows[0][HEADER.index("Cholesterol")] = "5.2 mmol/L"
    assert "Row 2: column Cholesterol must be a number" in refusal(written(HEADER, rows))


def test_a_label_that_one_of_two_clinics_has_the_wrong_way_round_is_found(written: Written) -> None:
    found = read(written(*at_two_sites(elsewhere(), changed(elsewhere(), EXCHANGED)[:80])), yes=True)
    said = "among patients with one value of Site, the label looks the wrong way round"
    assert (found.wrong_label or "").startswith(said)


def test_clinics_with_other_codes_in_one_file_are_asked_about(written: Written) -> None:
    """The pain types of all patients together need not look exchanged."""
    other = changed(elsewhere(), {CP: dict(zip("1234", "4321", strict=True))})
    said = refusal(written(*at_two_sites(elsewhere(), other[:120])), AmbiguousDataError)
    assert "are the codes of Chest pain type right? They go with the label as if they were exchanged." in said


def at(column: int, change: Callable[[list[str]], str]) -> Change:
    """Rows with another cell in a column."""
    return lambda row: [*row[:column], change(row), *row[column + 1 :]]


SAME, OLDER = at(0, lambda row: row[0]), at(0, lambda row: str(int(row[0]) + 1))
NAMES = ",".join(HEADER)
DOUBTFUL: dict[str, tuple[str, Change]] = {
    'Chest pain type may be cp_2 or cp_3 or cp_4. --column "chest_pain_type=NAME", or --column "chest_pain':
        (NAMES.replace("Chest pain type", "cp_2,cp_3,cp_4"),
         lambda row: [*row[:2], *(str(int(row[2] == code)) for code in "234"), *row[3:]]),
    'ST depression may be ST deprssion (mm). --column "st_depression=ST deprssion (mm)"':
        (NAMES.replace("ST depression", "ST deprssion (mm)"), SAME),
    "BP may be BP (diastolic). --column": (NAMES.replace("BP", "BP (diastolic)"), SAME),
    "Cholesterol is 999 in": (NAMES, at(4, lambda row: "999" if int(row[3]) % 4 == 0 else row[4])),
    "BP is 222 in": (NAMES, at(3, lambda row: "222" if int(row[0]) % 7 == 0 else row[3])),  # far from the others
    "BP is 99 in": (NAMES, at(3, lambda row: "99" if int(row[0]) % 9 == 0 else row[3])),  # usual, but too often
    "the median of BP is 75, which is unusual for BP": (NAMES, at(3, lambda row: str(int(row[3]) // 2 + 10))),
    "Heart Disease is 0, 1 or 3: are all but 0 disease":
        (NAMES, at(13, lambda row: "0" if row[13] == "Absence" else "13"[int(row[0]) % 2])),
    "ekg_text is not read, and may say what the codes of EKG results mean":
        (f"{NAMES},ekg_text", lambda row: [*row, "none" if row[6] == "0" else "some"]),
    "a comment (# or %) may say what codes mean": (f"# EKG: 1 = hypertrophy\n{NAMES}", SAME),
    "EKG results is never left ventricular hypertrophy: it may be a yes or no":
        (NAMES, lambda row: OLDER(at(6, lambda row: "1" if row[6] == "2" else row[6])(row))),
    "FBS over 120 is yes in 85% of the patients, which is unusual":
        (NAMES, lambda row: OLDER(at(5, lambda row: str(1 - int(row[5])))(row))),
    "are the codes of Exercise angina right? They go with the label as if they were exchanged.":
        (NAMES, lambda row: OLDER(at(8, lambda row: str(1 - int(row[8])))(row))),
    "are the codes of Slope of ST right?": (NAMES, lambda row: OLDER(at(10, lambda row: str(4 - int(row[10])))(row))),
    " are called a summary or an example: remove them if they are no patients":
        (f"{NAMES},id", lambda row: [*row, "Mean value" if row is ROWS[0] else "P"]),
    "Sex differs in 1": (NAMES, at(1, lambda row: str(1 - int(row[1])) if row in ROWS[::20] else row[1])),
    "ST depression is at most 0.3": (NAMES, at(9, lambda row: f"{float(row[9]) / 10:g}")),
    "ST depression has no number above 0": (NAMES, at(9, lambda row: f"-{row[9]}")),
}  # fmt: skip


@pytest.mark.parametrize("said", DOUBTFUL)
def test_what_may_be_meant_otherwise_is_asked_and_taken_with_yes(written: Written, said: str) -> None:
    header, change = DOUBTFUL[said]
    path = written(header.split(","), [change(row) for row in ROWS if float(row[9]) <= 5])
    with pytest.raises(AmbiguousDataError, match=re.escape(said)):
        read(path)
    assert read(path, yes=True).recognized


def test_what_was_read_is_said_so_that_an_odd_reading_shows(written: Written) -> None:
    rows = [[*row, "3b"] for row in changed(ROWS, IN_NUMBERS)]
    path = written([*SHORT, "ward"], [*rows, rows[0]])
    path.write_text("# made in May\n" + path.read_text())
    said = "\n".join(read(path).recognized)
    for part in (
        "; sex 0 = female (32%), 1 = male (68%);",
        "Values: Age mostly 40 to 68, median 56; Sex male 68%; BP mostly 108 to 160, median 130;",
        "Not measured in some patients: ",
        "Not used: ward.",
        "Patients with the same values as another: 1.",
        "Comment lines or other sheets that were not read: 1.",
    ):
        assert part in said


def test_a_quotation_mark_that_takes_rows_into_one_cell_is_refused(written: Written) -> None:
    path = written([*HEADER, "notes"], [[*row, '"' if place in (9, 49) else "x"] for place, row in enumerate(ROWS)])
    assert "a quotation mark that does not end before row" in refusal(path)


def test_codes_in_another_order_are_asked_about_among_few_patients(written: Written) -> None:
    orders = {CP: dict(zip("1234", "4321", strict=True)), SLOPE: dict(zip("123", "321", strict=True))}
    said = refusal(written(SHORT, changed(elsewhere(ROWS[::6]), orders, IN_NUMBERS)), AmbiguousDataError)
    assert re.search("are the codes of cp.* right", said)


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it has no row with known names of columns"),
    "unknown names": (b"wiek,plec,tetno\n63,1,145\n", "it has no row with known names of columns, and is no"),
    "names alone": (NAMES.encode(), "holds no patients"),
    "a footer alone": (f"{NAMES}\nSource\nprinted in May\n".encode(), "it holds no patients."),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "only Excel workbooks of 2007 and later (.xlsx)"),
    "another zip file": (b"PK\x03\x04nonsense", "is neither a text file nor an Excel workbook"),
    "no age": (b"sex,cp,chol,target\n1,1,233,0\n", "there is no column for Age."),
    "a column twice": (b"age,sex,chol,chol,num\n63,1,2,2,0\n", "the columns chol and chol are the same field."),
    "a field twice":
        (b"age,sex,chol,Cholesterol,num\n63,1,2,2,0\n", "columns chol and Cholesterol are the same field. Say which"),
    "no label": (b"age,sex,cp,ward\n63,1,1,3b\n", 'no known column for Heart Disease. --column "label=NAME"'),
    "codes without words": (b"age;sex (0 = he);cp;num\n63;1;1;0\n", "column for Sex; it may be sex (0 = he). --column"),
    "a quote that never ends": (b'age,sex,cp,num\n63,"1\n', "cannot be read as a CSV file"),
    "patients above": (b"63,1,1,0\nage,sex,cp,num\n63,1,1,0\n", "row 1 stands above the names of the columns"),
    "three kinds of labels":
        (b"age,sex,cp,num\n63,1,4,5\n63,1,4,6\n63,1,4,7\n", "Rows 2, 3, 4: column num must be one of: Absence, "),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_read_so_is_refused_with_the_reason_or_asked_about(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "clinic.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=re.escape(said)):
        read(path)


def test_a_column_is_one_field_and_is_told_from_others_by_its_name(written: Written) -> None:
    path = written([*HEADER[:2], "X", *HEADER[3:], "Y", "Y"], [[*row, "1", "2"] for row in elsewhere()])
    said = refusal(path, columns=["cp=X", "fbs=X"])
    assert "--column: X cannot be chest_pain_type and fasting_blood_sugar_high. One column is one field." in said
    assert "there are several columns Y." in refusal(path, columns=["cp=Y"])
    assert "write --column FIELD=NAME; fields are age, sex," in refusal(path, columns=["sex"])
    assert "there is no column sexe, but: " in refusal(path, columns=["sex=sexe"])
    last_word = ["fbs=X", "fbs=FBS over 120", "cp=X"]
    assert_read(read(path, columns=last_word), elsewhere())


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing.csv").endswith(": there is no such file.")
    assert refusal(tmp_path) == f"{tmp_path}: it cannot be read: Is a directory."


def test_of_very_many_patients_a_random_sample_is_trained_on_and_said(written: Written) -> None:
    path = written(HEADER, elsewhere() * 70)
    dataset, again = load_dataset(path), load_dataset(path)
    assert (dataset.disease_free.size, len(dataset.values)) == (10_000, 19_730)
    said = "A random sample is used: 10,000 of 11,480 disease-free patients, and 9,730 of 9,730 with disease."
    assert dataset.recognized[-1] == said
    np.testing.assert_array_equal(dataset.values, again.values)
    assert "303 patients" in load_dataset(written(HEADER, ROWS)).recognized[0]
