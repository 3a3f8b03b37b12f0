"""Any patients that the field description allows, for tests of properties."""

from typing import Any

from hypothesis import strategies as st

from common.patient import FIELDS, PatientRecord


def _values_of(name: str) -> st.SearchStrategy[Any]:
    field = FIELDS[name]
    if field.codes:
        values: st.SearchStrategy[Any] = st.sampled_from(sorted(field.codes))
    else:
        lowest, highest = field.possible_range or (0, 0)
        values = st.integers(int(lowest), int(highest)) if name == "age" else st.floats(lowest, highest)
    return values if field.required else st.none() | values


records = st.fixed_dictionaries({name: _values_of(name) for name in FIELDS}).map(PatientRecord.check)
"""Any possible patient, with any fields but age and sex not measured."""
