"""Drift in numbers: how the patients seen lately differ from the reference a model was made with.

Clinics differ in how many of their patients have the disease, and that is no drift: a field has drifted when it is like
that of none of the disease-free patients, the patients with disease, and both together. The difference has to be both
large, by convention, and more than chance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from math import hypot
from typing import Literal

import numpy as np
from scipy.stats import chi2

from server.anomaly.dataset import COLUMNS, FloatArray
from server.anomaly.intervals import wilson_interval
from server.anomaly.preprocessing import LOWER_WITH_DISEASE
from server.anomaly.reference import FieldCounts, Reference, field_counts, score_counts

# Patients in whom a field must have been measured, on both sides, for its values to be compared.
LEAST_MEASURED = 25

# The usual limits of the population stability index: Siddiqi, Credit Risk Scorecards (2006).
PSI_LIMITS = (0.10, 0.25)

# Differences of a share: up to 5 % missing is inconsequential (Schafer 1999, doi 10.1177/096228029900800102), over
# 10 % likely biases (Bennett 2001, doi 10.1111/j.1467-842X.2001.tb00294.x); used for the levels' shares as well.
SHARE_LIMITS = (0.05, 0.10)

# All comparisons of one undrifted window together err at most so often against one population (Bonferroni). It is less
# in truth, for drift has to show against all populations at once.
_ERROR = 0.05 / (2 * len(COLUMNS) + 2)
_SMOOTHING = 0.5


class Status(StrEnum):
    """How far something is from the reference, by the usual limits and beyond chance."""

    STABLE = "stable"
    MODERATE = "moderate"
    LARGE = "large"

    @property
    def rank(self) -> int:
        return list(Status).index(self)


What = Literal["not measured", "values", "High", "Medium or higher"]
"""What is compared."""


@dataclass(frozen=True)
class Difference:
    """One thing in which a window's patients may differ, and how far they do.

    ``share`` (0 to 1) is that of the window's patients, ``references`` those of each population of the reference. Of
    values it is the share in the bin that grew most, ``grown``, which holds ``count`` patients; ``psi`` are then the
    population stability indices, less what sampling alone adds on average.
    """

    what: What
    status: Status
    share: float
    references: Mapping[str, float]
    count: int
    psi: Mapping[str, float] = field(default_factory=dict)
    grown: int = 0


@dataclass(frozen=True)
class FieldDrift:
    """One field; ``distribution`` is ``None`` where too few were measured to compare, or all are in one bin."""

    missing: Difference
    distribution: Difference | None

    @property
    def status(self) -> Status:
        return worst(part.status for part in (self.missing, self.distribution) if part)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the largest status, stable if there is none."""
    return max(statuses, key=lambda status: status.rank, default=Status.STABLE)


def field_drifts(values: FloatArray, reference: Reference) -> dict[str, FieldDrift]:
    """Compare the 13 fields of a window's patients, shape (m, 13) with NaN where not measured."""
    counted = {name: field_counts(values[:, column], reference.edges[name]) for column, name in enumerate(COLUMNS)}
    return {name: _field_drift(name, seen, reference) for name, seen in counted.items()}


def _field_drift(name: str, seen: FieldCounts, reference: Reference) -> FieldDrift:
    fields = {whose: population.fields[name] for whose, population in reference.populations.items()}
    measured = sum(seen.counts)
    missing = {whose: (known.missing, known.missing + sum(known.counts)) for whose, known in fields.items()}
    not_measured = _share_difference("not measured", (seen.missing, seen.missing + measured), missing)
    counts = {whose: np.array(known.counts) for whose, known in fields.items() if sum(known.counts) >= LEAST_MEASURED}
    if len(seen.counts) == 1 or measured < LEAST_MEASURED or not counts:
        return FieldDrift(not_measured, None)
    values = _distribution_difference(np.array(seen.counts), counts)
    # Where no patients with disease are known, values that moved as they do with the disease may be case mix.
    if "with_disease" not in counts and _is_sicker(name, np.array(seen.counts), next(iter(counts.values()))):
        values = replace(values, status=Status.STABLE)
    return FieldDrift(not_measured, values)


def _is_sicker(name: str, seen: FloatArray, known: FloatArray) -> bool:
    """Tell whether the values lie, on average over the bins, further where disease takes them."""
    bins = np.arange(seen.size) * (-1 if name in LOWER_WITH_DISEASE else 1)
    return bool(bins @ seen / seen.sum() > bins @ known / known.sum())


def score_drifts(scores: FloatArray, reference: Reference) -> list[Difference]:
    """Compare the shares of a window's patients at High, and at Medium or higher, by their scores, shape (m,)."""
    populations = {whose: reference.populations[whose].scores for whose in ("disease_free", "all_patients")}
    known = {whose: np.array(counts) for whose, counts in populations.items() if counts is not None}
    seen = np.array(score_counts(scores, reference.score_edges))
    drifts = []
    levels: tuple[What, What] = ("High", "Medium or higher")
    for bins, level in enumerate(levels, start=1):
        references = {whose: (counts[-bins:].sum(), counts.sum()) for whose, counts in known.items()}
        drift = _share_difference(level, (seen[-bins:].sum(), seen.sum()), references)
        # Where scores of patients with disease are not known, more alarms than the disease-free raise may be case mix.
        if "all_patients" not in known and drift.share > drift.references["disease_free"]:
            drift = replace(drift, status=Status.STABLE)
        drifts.append(drift)
    return drifts


def drifted(fields: Mapping[str, FieldDrift], scored: Sequence[Difference]) -> list[tuple[str | None, Difference]]:
    """Return all that has drifted with the name of its field, ``None`` for scores; the largest first."""
    found: list[tuple[str | None, Difference]] = [(None, level) for level in scored]
    found += [(name, part) for name, of in fields.items() for part in (of.missing, of.distribution) if part]
    return sorted((one for one in found if one[1].status is not Status.STABLE), key=lambda one: -one[1].status.rank)


_CountOf = tuple[float, float]
"""How many patients, of how many."""


def _share_difference(what: What, seen: _CountOf, references: Mapping[str, _CountOf]) -> Difference:
    """Compare a share: it has drifted as far as it lies above all references, or below all of them."""
    # Between two references is another case mix: only what lies beyond all of them counts.
    differences = [_difference_beyond_chance(*seen, *known) for known in references.values()]
    outside = max(min(differences), -max(differences), 0.0)
    shares = {whose: float(count / of) for whose, (count, of) in references.items()}
    return Difference(what, _status(outside, SHARE_LIMITS), float(seen[0] / seen[1]), shares, int(seen[0]))


def _difference_beyond_chance(count: float, of: float, known: float, of_known: float) -> float:
    """Return the difference of two shares, 0 if Newcombe's interval of it (1998, method 10) holds 0."""
    share, reference = count / of, known / of_known
    if share < reference:
        return -_difference_beyond_chance(known, of_known, count, of)
    low, _ = wilson_interval(count, of, error=_ERROR)
    _, high = wilson_interval(known, of_known, error=_ERROR)
    return share - reference if share - reference > hypot(share - low, high - reference) else 0.0


def _distribution_difference(seen: FloatArray, references: Mapping[str, FloatArray]) -> Difference:
    """Compare counts by bin with those of each population."""
    compared = {whose: _compare(seen, known) for whose, known in references.items()}
    shares = {whose: known / known.sum() for whose, known in references.items()}
    whole = shares["all_patients" if "all_patients" in shares else "disease_free"]
    grown = int((seen / seen.sum() - whole).argmax())
    return Difference(
        what="values",
        # The most similar population decides: patients like the diseased alone are another case mix, and no drift.
        status=min((status for _, status in compared.values()), key=lambda status: status.rank),
        share=float(seen[grown] / seen.sum()),
        references={whose: float(known[grown]) for whose, known in shares.items()},
        count=int(seen[grown]),
        psi={whose: psi for whose, (psi, _) in compared.items()},
        grown=grown,
    )


def _compare(seen: FloatArray, known: FloatArray) -> tuple[float, Status]:
    """Return the population stability index of counts by bin, less its expectation where only sampling differs.

    Without drift it follows (1/n + 1/m) times chi-squared with one degree of freedom less than there are bins
    (Yurdakul and Naranjo 2020, doi 10.21314/JRMV.2020.227). Half a patient is added to each bin, so that none is empty.
    """
    # Bins that both lack say nothing, and each would count as a degree of freedom.
    used = (seen + known) > 0
    scale = 1 / seen.sum() + 1 / known.sum()
    shares, references = (
        (counts + _SMOOTHING) / (counts.sum() + _SMOOTHING * counts.size) for counts in (seen[used], known[used])
    )
    total = float(((shares - references) * np.log(shares / references)).sum())
    freedom = int(used.sum()) - 1
    psi = max(0.0, total - scale * freedom)
    return psi, _status(psi, PSI_LIMITS) if total > scale * _chi_squared_limit(freedom) else Status.STABLE


def _status(size: float, limits: tuple[float, float]) -> Status:
    """Return the status of a size by the limits from which it is moderate and large."""
    moderate, large = limits
    return Status.LARGE if size >= large else Status.MODERATE if size >= moderate else Status.STABLE


@cache
def _chi_squared_limit(freedom: int) -> float:
    return float(chi2.isf(_ERROR, freedom)) if freedom else 0.0
