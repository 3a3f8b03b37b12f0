"""The 13 fields: what is possible, what is refused in which words, and that no value is repeated."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidRecordError
from common.patient import FIELDS, LABEL_COLUMN, PatientRecord
from config.secrets import PROJECT_ROOT
from tests.support.made_requests import record

QUANTITIES = [(name, field.possible_range, field.model_range) for name, field in FIELDS.items() if field.model_range]
CODED = [name for name, field in FIELDS.items() if field.codes]


def values(**changes: object) -> dict[str, Any]:
    return record().model_dump() | changes


def errors_of(received: object) -> dict[str, list[str]]:
    with pytest.raises(InvalidRecordError) as raised:
        PatientRecord.check(received)
    return raised.value.fields


def test_the_fields_are_those_of_the_data_set_in_order() -> None:
    header = (PROJECT_ROOT / "data" / "heart_disease.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [*(field.csv_column for field in FIELDS.values()), LABEL_COLUMN] == header
    assert [name for name, field in FIELDS.items() if field.required] == ["age", "sex"]
    assert all(bool(field.codes) != bool(field.possible_range) for field in FIELDS.values())


@pytest.mark.parametrize(("name", "possible", "model"), QUANTITIES)
def test_both_ends_of_what_is_possible_are_accepted_and_nothing_beyond(
    name: str, possible: tuple[float, float], model: tuple[float, float]
) -> None:
    lowest, highest = possible
    for value in (*possible, *model):
        checked = PatientRecord.check(values(**{name: value}))
        assert getattr(checked, name) == value
        assert (name in checked.extrapolated()) == (not model[0] <= value <= model[1])
    hardly_beyond = () if name == "age" else (math.nextafter(lowest, -math.inf), math.nextafter(highest, math.inf))
    for value in (lowest - 1, highest + 1, *hardly_beyond):
        refusal = f"must be between {lowest:g} and {highest:g} {FIELDS[name].unit}"
        assert errors_of(values(**{name: value})) == {name: [refusal]}


@pytest.mark.parametrize("name", CODED)
def test_only_known_codes_are_accepted(name: str) -> None:
    for code in FIELDS[name].codes:
        assert getattr(PatientRecord.check(values(**{name: code})), name) == code
    for value in (-1, 9, 8):
        assert errors_of(values(**{name: value}))[name][0].startswith("must be one of: ")


@pytest.mark.parametrize("name", list(FIELDS))
def test_no_other_type_passes_for_a_number(name: str) -> None:
    values_of_other_types: list[object] = ["54", "", True, [], {}, math.nan, math.inf, -math.inf, b"54", 10**400]
    for value in values_of_other_types:
        assert list(errors_of(values(**{name: value}))) == [name]


@pytest.mark.parametrize("name", list(FIELDS))
def test_not_measured_is_said_not_left_out(name: str) -> None:
    left_out = values()
    del left_out[name]
    assert errors_of(left_out) == {name: ["is missing; send null for a value that was not measured"]}
    if FIELDS[name].required:
        assert errors_of(values(**{name: None})) == {name: ["is required"]}
    else:
        assert PatientRecord.check(values(**{name: None})).imputed() == [name]


def test_every_error_of_every_field_is_reported_and_what_is_no_object_is_one_of_the_whole() -> None:
    fields = errors_of(values(age=0, sex=None, cholesterol="x", st_slope=4, more=1))
    assert set(fields) == {"age", "sex", "cholesterol", "st_slope", "unknown field"}
    assert {tuple(errors_of(received)) for received in (None, "MARKER", 7, b"MARKER")} == {("record",)}


@given(st.dictionaries(st.sampled_from([*FIELDS, "MARKER"]), st.sampled_from(["MARKER", -987654321, 1e300, None])))
def test_no_error_repeats_what_was_received(received: dict[str, object]) -> None:
    said = str(errors_of(received))
    assert not [value for value in ("MARKER", "987654321", "1e+300") if value in said]


def test_values_are_told_as_a_clinician_would_write_them() -> None:
    assert FIELDS["resting_bp"].in_words(120.0) == "120 mm Hg"
    assert FIELDS["st_depression"].in_words(1.4) == "1.4 mm"
    assert FIELDS["thallium_scan"].in_words(7) == "reversible defect"
    assert FIELDS["thallium_scan"].in_words(None) == "not measured"
