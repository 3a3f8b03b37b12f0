"""Drift: how the patients seen lately differ from the reference a model was made with.

Clinics differ in how many of their patients have the disease, and that is no drift: a field has drifted when it is like
that of none of the disease-free patients, the patients with disease, and both together. The difference has to be both
large, by convention, and more than chance.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from math import hypot
from typing import Annotated, Self, TypeVar

import numpy as np
from pydantic import Field
from scipy.stats import chi2

from server.anomaly.dataset import COLUMNS, FloatArray
from server.anomaly.intervals import wilson_interval
from server.anomaly.reference import Reference, field_counts, score_counts

LEAST_MEASURED = 25
"""Patients in whom a field must have been measured, on both sides, for its values to be compared."""


MODERATE_PSI, LARGE_PSI = 0.10, 0.25
"""The usual limits of the population stability index: Siddiqi, Credit Risk Scorecards (2006)."""

MODERATE_SHARE, LARGE_SHARE = 0.05, 0.10
"""Differences of a share: up to 5 % missing is inconsequential (Schafer 1999, doi 10.1177/096228029900800102), over
10 % likely biases (Bennett 2001, doi 10.1111/j.1467-842X.2001.tb00294.x); used for the levels' shares as well."""


FAMILY_ERROR = 0.05
"""Most often that all comparisons of one undrifted window together err against one population; drift has to show
against all of them at once."""

_COMPARISONS = 2 * len(COLUMNS) + 3
_ERROR = FAMILY_ERROR / _COMPARISONS
_SMOOTHING = 0.5
_LOWER_WITH_DISEASE = frozenset({"max_heart_rate"})

_Number = TypeVar("_Number", int, float)

Count = Annotated[int, Field(ge=0)]


class Status(StrEnum):
    """How far something is from the reference, by the usual limits and beyond chance."""

    STABLE = "stable"
    MODERATE = "moderate"
    LARGE = "large"

    @property
    def rank(self) -> int:
        return list(Status).index(self)

    @classmethod
    def of(cls, size: float, moderate: float, large: float) -> Self:
        """Return the status of a size by the limits from which it is moderate and large."""
        return cls("large" if size >= large else "moderate" if size >= moderate else "stable")


def worst(statuses: Iterable[Status]) -> Status:
    """Return the largest status, stable if there is none."""
    return max(statuses, key=lambda status: status.rank, default=Status.STABLE)


@dataclass(frozen=True)
class ShareDrift:
    """A share of the window's patients (0 to 1), and that of each population of the reference by name."""

    share: float
    references: Mapping[str, float]
    status: Status


@dataclass(frozen=True)
class DistributionDrift:
    """How measured values are distributed, against each population of the reference.

    ``psi`` are population stability indices, less what sampling alone adds on average. ``grown`` is the bin whose share
    grew most: it holds ``count`` of the window's patients, a ``share`` of them, and ``reference`` of the whole file's.
    """

    psi: Mapping[str, float]
    status: Status
    grown: int
    count: int
    share: float
    reference: float


@dataclass(frozen=True)
class FieldDrift:
    """One field; ``distribution`` is ``None`` where too few were measured to compare, or all are in one bin.

    Where no patients with disease are known, values that have moved as they do with the disease are no drift: that may
    be case mix.
    """

    missing: ShareDrift
    distribution: DistributionDrift | None

    @property
    def status(self) -> Status:
        return worst([self.missing.status, *([self.distribution.status] if self.distribution else [])])


@dataclass(frozen=True)
class ScoreDrift:
    """The anomaly scores that one model version gave.

    Where the scores of patients with disease are not known, only fewer alarms than the disease-free cause are drift:
    more of them may be case mix.
    """

    distribution: DistributionDrift
    medium_or_higher: ShareDrift
    high: ShareDrift

    @property
    def status(self) -> Status:
        return worst([self.distribution.status, self.medium_or_higher.status, self.high.status])


def field_drifts(values: FloatArray, reference: Reference) -> dict[str, FieldDrift]:
    """Compare the 13 fields of a window's patients, shape (m, 13) with NaN where not measured."""
    return {name: _field_drift(name, values[:, column], reference) for column, name in enumerate(COLUMNS)}


def score_drift(scores: FloatArray, reference: Reference) -> ScoreDrift:
    """Compare the anomaly scores of a window's patients, shape (m,) with m at least ``LEAST_MEASURED``."""
    seen = np.asarray(score_counts(scores, reference.score_edges))
    known = {
        name: np.asarray(population.scores)
        for name, population in reference.populations.items()
        if name != "with_disease" and population.scores is not None
    }
    medium_or_higher, high = (
        _share_drift((seen[-bins:].sum(), seen.sum()), {name: (c[-bins:].sum(), c.sum()) for name, c in known.items()})
        for bins in (2, 1)
    )
    if len(known) > 1:
        between = {"between": _mixed_in_halves(*known.values())}
        return ScoreDrift(_distribution_drift(seen, known | between), medium_or_higher, high)
    return _without_sicker(ScoreDrift(_distribution_drift(seen, known), medium_or_higher, high))


def _mixed_in_halves(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the counts of a population made of two in equal parts, as many patients as the smaller one has."""
    mixed: FloatArray = (one / one.sum() + other / other.sum()) / 2 * min(one.sum(), other.sum())
    return mixed


def _without_sicker(drift: ScoreDrift) -> ScoreDrift:
    def judged(share: ShareDrift) -> ShareDrift:
        is_more = share.share > share.references["disease_free"]
        return replace(share, status=Status.STABLE) if is_more else share

    distribution = replace(drift.distribution, status=Status.STABLE)
    return ScoreDrift(distribution, judged(drift.medium_or_higher), judged(drift.high))


def _field_drift(name: str, values: FloatArray, reference: Reference) -> FieldDrift:
    known = {name_of: (of.fields[name], of.patients) for name_of, of in reference.populations.items()}
    missing = {name_of: (field.missing, patients) for name_of, (field, patients) in known.items()}
    counts = {name_of: np.asarray(field.counts, dtype=np.float64) for name_of, (field, _) in known.items()}
    seen = field_counts(values, reference.edges[name])
    return FieldDrift(
        _share_drift((seen.missing, len(values)), missing),
        _values_drift(name, np.asarray(seen.counts, dtype=np.float64), counts),
    )


def _values_drift(name: str, seen: FloatArray, counts: Mapping[str, FloatArray]) -> DistributionDrift | None:
    comparable = {name_of: counted for name_of, counted in counts.items() if counted.sum() >= LEAST_MEASURED}
    if seen.size == 1 or seen.sum() < LEAST_MEASURED or not comparable:
        return None
    drift = _distribution_drift(seen, comparable)
    is_case_mix = "with_disease" not in comparable and _is_sicker(name, seen, next(iter(comparable.values())))
    return replace(drift, status=Status.STABLE) if is_case_mix else drift


def _is_sicker(name: str, seen: FloatArray, known: FloatArray) -> bool:
    """Tell whether the values lie, on average over the bins, further where disease takes them."""
    bins = np.arange(seen.size) * (-1 if name in _LOWER_WITH_DISEASE else 1)
    return bool(bins @ seen / seen.sum() > bins @ known / known.sum())


_CountOf = tuple[float, float]
"""How many patients, of how many."""


def _share_drift(seen: _CountOf, references: Mapping[str, _CountOf]) -> ShareDrift:
    """Compare a share: it has drifted as far as it lies above all references, or below all of them."""
    differences = [_difference_beyond_chance(*seen, *known) for known in references.values()]
    outside = max(min(differences), -max(differences), 0.0)
    shares = {name: float(count / of) for name, (count, of) in references.items()}
    return ShareDrift(float(seen[0] / seen[1]), shares, Status.of(outside, MODERATE_SHARE, LARGE_SHARE))


def _difference_beyond_chance(count: float, of: float, known: float, of_known: float) -> float:
    """Return the difference of two shares, 0 if Newcombe's interval of it (1998, method 10) holds 0."""
    share, reference = count / of, known / of_known
    low, high = wilson_interval(count, of, error=_ERROR)
    low_known, high_known = wilson_interval(known, of_known, error=_ERROR)
    difference = share - reference
    if difference > 0:
        return difference if difference > hypot(share - low, high_known - reference) else 0.0
    return difference if -difference > hypot(high - share, reference - low_known) else 0.0


@dataclass(frozen=True)
class _Comparison:
    psi: float
    status: Status


def _distribution_drift(seen: FloatArray, references: Mapping[str, FloatArray]) -> DistributionDrift:
    """Compare counts by bin with those of each population: the most similar one decides."""
    comparisons = {name: _compare(seen, known) for name, known in references.items()}
    whole = references["all_patients" if "all_patients" in references else "disease_free"]
    shares, before = seen / seen.sum(), whole / whole.sum()
    grown = int((shares - before).argmax())
    return DistributionDrift(
        psi={name: comparison.psi for name, comparison in comparisons.items()},
        status=min((comparison.status for comparison in comparisons.values()), key=lambda status: status.rank),
        grown=grown,
        count=int(seen[grown]),
        share=float(shares[grown]),
        reference=float(before[grown]),
    )


def _compare(seen: FloatArray, known: FloatArray) -> _Comparison:
    """Return the population stability index of counts by bin, less its expectation where only sampling differs.

    Without drift it follows (1/n + 1/m) times chi-squared with one degree of freedom less than there are bins
    (Yurdakul and Naranjo 2020, doi 10.21314/JRMV.2020.227). Half a patient is added to each bin, so that none is empty.
    """
    used = (seen + known) > 0
    scale = 1 / seen.sum() + 1 / known.sum()
    shares, references = (
        (counts + _SMOOTHING) / (counts.sum() + _SMOOTHING * counts.size) for counts in (seen[used], known[used])
    )
    parts = (shares - references) * np.log(shares / references)
    freedom = int(used.sum()) - 1
    psi = max(0.0, float(parts.sum()) - scale * freedom)
    beyond_chance = float(parts.sum()) > scale * _chi_squared_limit(freedom)
    status = Status.of(psi, MODERATE_PSI, LARGE_PSI) if beyond_chance else Status.STABLE
    return _Comparison(psi, status)


@cache
def _chi_squared_limit(freedom: int) -> float:
    return float(chi2.isf(_ERROR, freedom)) if freedom else 0.0
