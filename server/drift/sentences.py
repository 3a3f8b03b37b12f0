"""Drift in plain sentences: what differs, for whom, and how it was in the data that the model was made with."""

from collections.abc import Mapping, Sequence
from math import inf

from common.patient import FIELDS, FieldDescription
from server.anomaly.reference import Reference
from server.drift.comparison import Difference, FieldDrift, Status

# Patients below which a part of a window is not counted out: a share of one or two may point to a person.
LEAST_TOLD = 5

_SPACE = "\u202f"  # narrow, and no line breaks there
_PLURAL = frozenset({"major_vessels"})


def data_in_words(recalibrated_from: str | None) -> str:
    """Name the data that a model is compared with: those of its training, or of its recalibration."""
    return "the calibration data" if recalibrated_from else "training"


def summary(drifts: Mapping[str, FieldDrift], scored: Sequence[Difference], data: str) -> str:
    """Say in a few words whether and where anything has drifted."""
    fields = sum(drift.status != Status.STABLE for drift in drifts.values())
    parts = ["1 field differs" if fields == 1 else f"{fields} fields differ"] if fields else []
    if any(level.status != Status.STABLE for level in scored):
        parts.append("anomaly scores differ")
    return f"{' and '.join(parts)} from {data}" if parts else f"as in {data}"


def sentence(name: str | None, found: Difference, reference: Reference, *, whose: str, data: str) -> str:
    """Say what has drifted, in the field of a name or in the scores.

    ``whose`` names the patients, as in "Client-1's patients", and ``data`` what they are compared with.
    """
    here = in_percent(found.share)
    before = in_percent(found.references["all_patients" if "all_patients" in found.references else "disease_free"])
    if name is not None:
        label = FIELDS[name].label
        is_not, differs = ("are not", "differ") if name in _PLURAL else ("is not", "differs")
        if found.what == "not measured":
            return f"{label} {is_not} measured for {here} of {whose}; in {data} {before}."
        share = here if found.count >= LEAST_TOLD else f"fewer than {LEAST_TOLD}"
        values = _bin_in_words(FIELDS[name], reference.edges[name], found.grown)
        return f"{label} {differs}: {share} of the values of {whose} are {values}; in {data} {before}."
    by_design = found.references["disease_free"]
    outside = f"more than the {before} of all patients in {data}"
    if found.share < by_design:
        outside = f"fewer than the {in_percent(by_design)} of disease-free patients by design"
    return f"{here} of {whose} are {found.what}: {outside}."


def levels_in_words(scored: Sequence[Difference], data: str) -> str:
    """Say what shares are High and Medium or higher, and what was to be expected."""
    here = [in_percent(share.share) for share in scored]
    by_design = [in_percent(share.references["disease_free"]) for share in scored]
    before = [in_percent(share.references["all_patients"]) for share in scored if "all_patients" in share.references]
    said = f"{here[0]} are High and {here[1]} Medium or higher. By design it is {by_design[0]} and {by_design[1]}"
    was = f"; in {data} it was {before[0]} and {before[1]} of all" if before else ""
    return f"{said} of disease-free patients{was}."


def in_percent(share: float) -> str:
    """Return a share in whole percents, its space one that never breaks a line; one above nothing is never 0 %."""
    whole = round(share * 100)
    return f"less than 1{_SPACE}%" if share and not whole else f"{whole}{_SPACE}%"


def _bin_in_words(field: FieldDescription, edges: list[float], number: int) -> str:
    low, high = [-inf, *edges][number], [*edges, inf][number]
    if field.codes:
        return " or ".join(f"“{words}”" for code, words in sorted(field.codes.items()) if low < code <= high)
    if not number:
        return f"at most {high:g} {field.unit}"
    return f"over {low:g} {field.unit}" if high == inf else f"between {low:g} and {high:g} {field.unit}"
