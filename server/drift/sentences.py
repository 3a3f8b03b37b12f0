"""Drift in plain sentences: what differs, for whom, and how it was in the data that the model was made with."""

from collections.abc import Iterator, Mapping
from math import inf

from common.patient import FIELDS, FieldDescription
from server.anomaly.reference import Reference
from server.drift.comparison import DistributionDrift, FieldDrift, ScoreDrift, ShareDrift, Status

LEAST_TOLD = 5
"""Patients below which a part of a window is not counted out."""

_SPACE = "\u202f"
_PLURAL = frozenset({"major_vessels"})

Told = tuple[Status, str]
"""How large something is, and what."""


def data_in_words(recalibrated_from: str | None) -> str:
    """Name the data that a model is compared with: those of its training, or of its recalibration."""
    return "the calibration data" if recalibrated_from else "training"


def summary(drifts: Mapping[str, FieldDrift], scored: ScoreDrift | None, data: str) -> str:
    """Say in a few words whether and where anything has drifted."""
    fields = sum(drift.status != Status.STABLE for drift in drifts.values())
    parts = ["1 field differs" if fields == 1 else f"{fields} fields differ"] if fields else []
    if scored and scored.status != Status.STABLE:
        parts.append("anomaly scores differ")
    return f"{' and '.join(parts)} from {data}" if parts else f"as in {data}"


def field_findings(name: str, drift: FieldDrift, reference: Reference, whose: str, data: str) -> Iterator[Told]:
    """Say what has drifted in a field; ``whose`` names the patients, as in "Client-1's patients"."""
    field, changed = FIELDS[name], drift.distribution
    is_not, differs = ("are not", "differ") if name in _PLURAL else ("is not", "differs")
    if drift.missing.status != Status.STABLE:
        here, before = in_percent(drift.missing.share), in_percent(drift.missing.references["all_patients"])
        yield drift.missing.status, f"{field.label} {is_not} measured for {here} of {whose}; in {data} {before}."
    if changed and changed.status != Status.STABLE:
        values = _bin_in_words(field, reference.edges[name], changed.grown)
        yield changed.status, f"{field.label} {differs}: {_shares(changed, whose, values, data)}."


def score_findings(scored: ScoreDrift, whose: str, data: str) -> Iterator[Told]:
    """Say what has drifted in the anomaly scores; their spread only where the levels' shares say nothing."""
    levels = {"High": scored.high, "Medium or higher": scored.medium_or_higher}
    drifted = {level: share for level, share in levels.items() if share.status != Status.STABLE}
    for level, share in drifted.items():
        yield share.status, f"{in_percent(share.share)} of {whose} are {level}: {_outside(share, data)}."
    if not drifted and scored.distribution.status != Status.STABLE:
        yield (
            scored.distribution.status,
            f"The anomaly scores of {whose} are spread like those of no patients in {data}.",
        )


def levels_in_words(scored: ScoreDrift, data: str) -> str:
    """Say what shares are High and Medium or higher, and what was to be expected."""
    both = (scored.high, scored.medium_or_higher)
    here = [in_percent(share.share) for share in both]
    by_design, before = (
        [in_percent(share.references[population]) for share in both if population in share.references]
        for population in ("disease_free", "all_patients")
    )
    said = f"{here[0]} are High and {here[1]} Medium or higher. By design it is {by_design[0]} and {by_design[1]}"
    was = f"; in {data} it was {before[0]} and {before[1]} of all" if before else ""
    return f"{said} of disease-free patients{was}."


def in_percent(share: float) -> str:
    """Return a share in whole percents, its space one that never breaks a line; one above nothing is never 0 %."""
    whole = round(share * 100)
    return f"less than 1{_SPACE}%" if share and not whole else f"{whole}{_SPACE}%"


def _shares(changed: DistributionDrift, whose: str, values: str, data: str) -> str:
    here = in_percent(changed.share) if changed.count >= LEAST_TOLD else f"fewer than {LEAST_TOLD}"
    return f"{here} of the values of {whose} are {values}; in {data} {in_percent(changed.reference)}"


def _outside(share: ShareDrift, data: str) -> str:
    by_design = share.references["disease_free"]
    if share.share < by_design:
        return f"fewer than the {in_percent(by_design)} of disease-free patients by design"
    return f"more than the {in_percent(share.references['all_patients'])} of all patients in {data}"


def _bin_in_words(field: FieldDescription, edges: list[float], number: int) -> str:
    if field.codes:
        low, high = [-inf, *edges][number], [*edges, inf][number]
        return " or ".join(f"“{words}”" for code, words in sorted(field.codes.items()) if low < code <= high)
    if not number:
        return f"at most {edges[0]:g} {field.unit}"
    above = f"{edges[number - 1]:g}"
    is_last = number == len(edges)
    return f"over {above} {field.unit}" if is_last else f"between {above} and {edges[number]:g} {field.unit}"
