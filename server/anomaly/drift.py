"""Drift: how the patients seen lately differ from the reference a model was made with.

Clinics differ in how many of their patients have the disease, and that is no drift: a field has drifted when it is like
that of none of the disease-free patients, the patients with disease, and both together. The difference has to be both
large, by convention, and more than chance. What is kept of the patients are counts: bins end between two observed
values, and hold none of a population or at least ``LEAST_IN_BIN``, unless all are in one bin.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property
from math import hypot
from typing import Annotated, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import chi2

from config.messages import Thresholds
from config.patient import FIELDS
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray
from server.anomaly.evaluation.intervals import wilson_interval

LEAST_PATIENTS = 100
"""Patients below which nothing is compared and nothing told."""

LEAST_MEASURED = 25
"""Patients in whom a field must have been measured, on both sides, for its values to be compared."""

LEAST_WITH_DISEASE = 25
"""Patients with disease of which fewer are left out: they cannot tell case mix from drift."""

LEAST_IN_BIN = 5
"""Patients of whom fewer are counted together with those of a bin beside."""

MODERATE_PSI, LARGE_PSI = 0.10, 0.25
"""The usual limits of the population stability index: Siddiqi, Credit Risk Scorecards (2006)."""

MODERATE_SHARE, LARGE_SHARE = 0.05, 0.10
"""Differences of a share: up to 5 % missing is inconsequential (Schafer 1999, doi 10.1177/096228029900800102), over
10 % likely biases (Bennett 2001, doi 10.1111/j.1467-842X.2001.tb00294.x); used for the levels' shares as well."""

FAMILY_ERROR = 0.05
"""Most often that all comparisons of one undrifted window together err against one population; drift has to show
against all of them at once."""

_QUANTITY_BINS = 5
_SCORE_BINS_BELOW_HIGH = 5
_COMPARISONS = 2 * len(COLUMNS) + 3
_ERROR = FAMILY_ERROR / _COMPARISONS
_SMOOTHING = 0.5
_LOWER_WITH_DISEASE = frozenset({"max_heart_rate"})

_Number = TypeVar("_Number", int, float)

Count = Annotated[int, Field(ge=0)]


class _ReferencePart(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class FieldCounts(_ReferencePart):
    """In how many patients a field was not measured, and how many measured values fell into each of its bins."""

    missing: Count
    counts: list[Count]


class Population(_ReferencePart):
    """Some patients as counts; ``scores`` are those of their anomaly scores by bin, ``None`` where not known."""

    patients: Count
    fields: dict[str, FieldCounts]
    scores: list[Annotated[float, Field(ge=0)]] | None

    def __add__(self, other: "Population") -> "Population":
        return Population(
            patients=self.patients + other.patients,
            fields={
                name: FieldCounts(
                    missing=field.missing + other.fields[name].missing,
                    counts=_sum(field.counts, other.fields[name].counts),
                )
                for name, field in self.fields.items()
            },
            scores=_sum(self.scores, other.scores) if self.scores and other.scores else None,
        )


class Reference(_ReferencePart):
    """The patients that a model was calibrated with, in aggregates alone: drift is measured from them.

    A value falls into the bin of the first of ``edges`` that it does not exceed, or the last; a score belongs to the
    bin above an edge it equals, as with a threshold. The scores of the disease-free patients are those by design.
    """

    edges: dict[str, list[float]]
    score_edges: list[float]
    disease_free: Population
    with_disease: Population

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        fits = all(map(self._fits, (self.disease_free, self.with_disease)))
        if list(self.edges) != COLUMNS or not fits or not self.disease_free.patients:
            raise ValueError("the counts do not fit the fields and their bins")
        return self

    def _fits(self, population: Population) -> bool:
        bins = {name: len(edges) + 1 for name, edges in self.edges.items()}
        return {name: len(field.counts) for name, field in population.fields.items()} == bins and (
            population.scores is None or len(population.scores) == len(self.score_edges) + 1
        )

    @cached_property
    def populations(self) -> dict[str, Population]:
        """The disease-free patients, those of the whole file, and those with disease if they are known, by name."""
        populations = {"disease_free": self.disease_free, "all_patients": self.disease_free + self.with_disease}
        return populations | ({"with_disease": self.with_disease} if self.with_disease.patients else {})


def reference_of(
    values: FloatArray, has_disease: BoolArray, thresholds: Thresholds, *, anomaly_scores: FloatArray | None = None
) -> Reference:
    """Describe the patients of a file that a model was trained or recalibrated with; some must be without disease.

    Parameters
    ----------
    values
        All patients of the file, shape (n, 13), NaN where not measured.
    has_disease
        Their labels, shape (n,). Patients with disease count if there are ``LEAST_WITH_DISEASE`` of them.
    thresholds
        Those of the model: they are edges of the score's bins.
    anomaly_scores
        Calibrated anomaly scores of all patients, by forests that saw none of those with disease, shape (n,); only
        theirs count, since those of the others are known by design.
    """
    known = has_disease & (has_disease.sum() >= LEAST_WITH_DISEASE)
    disease_free, with_disease = values[~has_disease], values[known]
    edges = {}
    for column, name in enumerate(COLUMNS):
        ends = _codes_but_the_last(name) or _near_quintiles(disease_free[:, column], values[:, column])
        edges[name] = _without_small_bins(ends, (disease_free[:, column], with_disease[:, column]))
    score_edges = [*np.linspace(0, thresholds.medium, _SCORE_BINS_BELOW_HIGH)[1:].tolist(), thresholds.high]
    scores = None
    if anomaly_scores is not None and known.any():
        scores = _score_counts(anomaly_scores[known], score_edges)
    return Reference(
        edges=edges,
        score_edges=score_edges,
        disease_free=_population(disease_free, edges, _scores_by_design(len(disease_free), score_edges)),
        with_disease=_population(with_disease, edges, scores),
    )


def _scores_by_design(patients: int, edges: Sequence[float]) -> list[float]:
    """Return how many of the disease-free should score in each bin: their scores are calibrated to be uniform."""
    counts: list[float] = (np.diff([0, *edges, 1]) * patients).tolist()
    return counts


def _sum(counts: Sequence[_Number], others: Sequence[_Number]) -> list[_Number]:
    return [count + other for count, other in zip(counts, others, strict=True)]


def _codes_but_the_last(name: str) -> list[float]:
    return [float(code) for code in sorted(FIELDS[name].codes)[:-1]]


def _near_quintiles(disease_free: FloatArray, everybody: FloatArray) -> list[float]:
    """Return the quintiles of the disease-free, each moved half way up to the next value seen in anybody."""
    measured = disease_free[~np.isnan(disease_free)]
    if not measured.size:
        return []
    quantiles = np.quantile(measured, np.arange(1, _QUANTITY_BINS) / _QUANTITY_BINS, method="inverted_cdf")
    observed = np.unique(everybody[~np.isnan(everybody)])
    below = np.flatnonzero(np.isin(observed, quantiles[quantiles < measured.max()]))
    edges: list[float] = ((observed[below] + observed[below + 1]) / 2).tolist()
    return edges


def _without_small_bins(edges: list[float], populations: Sequence[FloatArray]) -> list[float]:
    """Join each bin that holds a few of a population to the emptier one beside it, until none does."""
    counts = np.array([_field_counts(values, edges).counts for values in populations])
    small = np.flatnonzero(((counts > 0) & (counts < LEAST_IN_BIN)).any(axis=0))
    if not edges or not small.size:
        return edges
    beside = [number for number in (small[0] - 1, small[0] + 1) if 0 <= number <= len(edges)]
    emptier = min(beside, key=lambda number: counts[:, number].sum())
    between = min(small[0], emptier)
    return _without_small_bins([*edges[:between], *edges[between + 1 :]], populations)


def _population(values: FloatArray, edges: Mapping[str, list[float]], scores: list[float] | None) -> Population:
    fields = {name: _field_counts(values[:, column], edges[name]) for column, name in enumerate(COLUMNS)}
    return Population(patients=len(values), fields=fields, scores=scores)


def _field_counts(values: FloatArray, edges: Sequence[float]) -> FieldCounts:
    measured = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, measured, side="left"), minlength=len(edges) + 1)
    return FieldCounts(missing=len(values) - len(measured), counts=counts.tolist())


def _score_counts(scores: FloatArray, edges: Sequence[float]) -> list[float]:
    bins = np.searchsorted(edges, scores, side="right")
    counts: list[float] = np.bincount(bins, minlength=len(edges) + 1).astype(np.float64).tolist()
    return counts


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
    seen = np.asarray(_score_counts(scores, reference.score_edges))
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
    seen = _field_counts(values, reference.edges[name])
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
