"""Rows as people paste them: what is read, what is asked, and what is refused; nothing is silently something else."""

import re

import pytest

from client.pasted_row import read_row
from common.errors import InvalidDataError
from common.patient import FIELDS, PatientRecord
from config.secrets import PROJECT_ROOT

UCI = "63 1 1 145 233 1 2 150 0 2.3 3 0 6"  # slope 3 and thallium 6 are UCI's alone
SHARED = "41 0 2 130 204 0 0 172 0 1.4 2 0 3"  # codes that all numberings have
ORDER = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal"]
READ = (63, 1, 1, 145, 233, 1, 2, 150, 0, 2.3, 3, 0, 6)
OWN = ",".join([*(field.csv_column for field in FIELDS.values()), "Heart Disease"])


def line(text: str, mark: str = "\t", **changes: str) -> str:
    cells = dict(zip(ORDER, text.split(), strict=False)) | changes
    return mark.join(cells.values())


def below(names: str, cells: str, mark: str = "\t") -> str:
    return f"{mark.join(names.split())}\n{mark.join(cells.split())}"


WORDS = {"sex": "Male", "cp": "typical angina", "restecg": "LVH", "slope": "downsloping", "thal": "fixed defect"}
WHOLE = {
    "UCI's 13 columns": line(UCI),
    "commas": line(UCI, ","),
    "semicolons and a decimal comma": line(UCI, ";", oldpeak="2,3"),
    "quotes, spaces and a line end": ' "63" ;1;1; 145;233;1;2;150;0;"2,3";3;0;6 \r\n',
    "words": line(UCI, **WORDS),
    "short names in another order": below(" ".join(reversed(ORDER)), " ".join(reversed(UCI.split()))),
    "an index, a label and a column of no field": below("id num " + " ".join(ORDER), "7 0 " + UCI),
    "our own names": f"{OWN}\n{line(UCI, ',')},Presence",
    "empty cells behind the last column": line(UCI) + "\t0\t\t",
}  # fmt: skip


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_a_row_whose_codes_are_clear_is_read_without_a_question(text: str) -> None:
    row = read_row(text)
    assert (row.record, row.questions, row.errors) == (dict(zip(FIELDS, READ, strict=True)), [], {})
    assert PatientRecord.check(row.record)


def test_our_own_names_say_which_codes_are_meant() -> None:
    row = read_row(f"{OWN}\n{line(SHARED, ',')},Absence")
    assert (row.questions, row.ignored) == ([], ["Heart Disease (the label)"])
    assert [row.record[name] for name in ("chest_pain_type", "st_slope", "thallium_scan")] == [2, 2, 3]


FROM_ALPHABET = ("permuted", "islr")
ASKED = {
    "3 is three things":
        (line(SHARED, cp="3"), "codes", {("uci",): (3, 0, 2), ("shifted",): (4, 0, 3), FROM_ALPHABET: (1, 2, 1)}),
    "0 is not UCI's": (line(SHARED, cp="0"), "codes", {("shifted",): (1, 0, 3), FROM_ALPHABET: (4, 2, 1)}),
    "4 vessels are not UCI's":
        (line(SHARED, ca="4"), "codes", {("shifted",): (3, 0, 3), ("permuted",): (3, 2, 1), ("islr",): (2, 2, 1)}),
    "thallium 3": (line(UCI, thal="3"), "thallium", {("367",): (3,), ("123", "213"): (7,)}),
    "thallium 2": (line(UCI, thal="2"), "thallium", {("012", "102"): (7,), ("123",): (6,), ("213",): (3,)}),
    "thallium 0": (line(UCI, thal="0"), "thallium", {("012",): (3,), ("102",): (6,), ("123", "213"): (None,)}),
    "copies' names":
        (below("Age Sex ChestPainType", "63 1 3"), "codes", {("uci",): (3,), ("shifted",): (4,), FROM_ALPHABET: (1,)}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "about", "expected"), ASKED.values(), ids=ASKED)
def test_codes_that_one_row_cannot_tell_are_asked_about(
    text: str, about: str, expected: dict[tuple[str, ...], tuple[int | None, ...]]
) -> None:
    row = read_row(text)
    differing = ("chest_pain_type", "resting_ecg", "st_slope") if about == "codes" else ("thallium_scan",)
    (question,) = [one for one in row.questions if one.about == about]
    meant = {}
    for reading in question.readings:
        whole = row.record | reading.record
        meant[tuple(reading.names)] = tuple(whole[name] for name in differing if name in whole)
    assert meant == expected
    assert not {name for reading in question.readings for name in reading.record} & row.record.keys()


IN_MMOL = {"cholesterol": {"value": 5.8, "unit": "mmol/L"}}


def test_cholesterol_is_converted_where_its_column_says_so_and_asked_about_where_it_does_not() -> None:
    names = " ".join(ORDER)
    said = read_row(below(names.replace("chol", "chol_mmol"), line(UCI, " ", chol="5,8")))
    assert (said.record["cholesterol"], said.entered, said.questions) == (224.3, IN_MMOL, [])
    asked = read_row(line(UCI, chol="5.8"))
    ((yes, no),) = [question.readings for question in asked.questions if question.about == "cholesterol"]
    assert (yes.names, yes.record, yes.entered) == (["mmol/L"], {"cholesterol": 224.3}, IN_MMOL)
    assert (no.record, asked.entered, "cholesterol" in asked.record) == ({}, {}, False)
    refused = read_row(below(names.replace("chol", "chol_mgdl"), line(UCI, " ", chol="5.8")))
    assert refused.questions == []
    assert refused.errors["cholesterol"].startswith("must be between 50 and 1000 mg/dL")


def test_names_and_words_of_other_languages_and_what_a_name_says_of_its_codes_are_read() -> None:
    text = "Alter\tfemale\tRuheblutdruck\tCholestérol (g/L)\tST-Senkung\tFBS < 120\n63\t1\t145\t2,33\t1,2\t1"
    row = read_row(text)
    assert row.record == {"age": 63, "sex": 0, "resting_bp": 145, "cholesterol": 233, "st_depression": 1.2}
    assert (row.questions, row.errors, row.ignored) == ([], {}, ["FBS < 120"])


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"thal": ""}, "thallium_scan", None), ({"chol": "0"}, "cholesterol", None),
        ({"oldpeak": "−0,5"}, "st_depression", -0.5), ({"fbs": "FALSE"}, "fasting_blood_sugar_high", 0),
    ],
)  # fmt: skip
def test_gaps_are_not_measured_and_words_are_values(changes: dict[str, str], name: str, value: float | None) -> None:
    row = read_row(line(UCI, **changes))
    assert (row.record[name], row.errors) == (value, {})


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"age": "63.5"}, "age", "whole number"), ({"age": "?"}, "age", "is required"),
        ({"sex": "2"}, "sex", "0 \\(female\\), 1"), ({"trestbps": "145/90"}, "resting_bp", "a number"),
        ({"chol": "30"}, "cholesterol", "50 and 1000"), ({"cp": "1.5"}, "chest_pain_type", "1 \\(typical"),
        ({"cp": "angina"}, "chest_pain_type", "1 \\(typical"), ({"ca": "5"}, "major_vessels", "one of: 0, 1, 2, 3"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_read_says_why_and_is_no_value(changes: dict[str, str], name: str, why: str) -> None:
    row = read_row(line(UCI, **changes))
    assert re.search(why, row.errors[name])
    assert name not in row.record
    assert not any(name in reading.record for question in row.questions for reading in question.readings)


def test_codes_of_different_numberings_in_one_row_are_no_values() -> None:
    row = read_row(below("age sex cp slope ca", "63 1 0 3 2"))
    assert row.record == {"age": 63, "sex": 1, "major_vessels": 2}
    assert set(row.errors.values()) == {"uses a different numbering than the row's other codes"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 cells"), ("63\t1\t145\t233\t1", "5 cells"), (line(UCI) + "\t0\t1", "15 cells"),
        (line(UCI, ",", oldpeak="2,3") + ",0", "15 cells"), (f"{line(UCI)}\n{line(UCI)}", "No known column names"),
        (f"{OWN}\n{line(UCI, ',')},1\n{line(UCI, ',')},1", "3 rows"), (f"{OWN}\n{line(UCI, ',')}", "13 cells for 14"),
        ("cp\tchest pain\tage\tsex\n1\t1\t63\t1", "same field"), ("name\tage\nMiller\t63", "No known column names"),
        ("7," + line(UCI, ","), "cells do not fit"), (line(UCI)[3:] + "\t0", "cells do not fit"),
        ("x" * 10_001, "longer"), ("\t".join(ORDER), "cells do not fit"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_row_of_one_patient_is_refused_and_says_what_is_needed(text: str, why: str) -> None:
    with pytest.raises(InvalidDataError, match=why) as refused:
        read_row(text)
    assert "Miller" not in refused.value.message


def test_every_row_of_the_shipped_file_is_read_as_the_file_is_with_its_names() -> None:
    names, *rows = (PROJECT_ROOT / "data" / "heart_disease.csv").read_text(encoding="utf-8").splitlines()
    for text in rows:
        row = read_row(f"{names}\n{text}")
        assert (row.questions, row.errors) == ([], {})
        assert PatientRecord.check(row.record)
