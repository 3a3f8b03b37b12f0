"""The reference that drift is measured from: counts of the patients a model was made with, and no patient's record.

Bins end between two observed values, and hold none of a population or at least ``LEAST_IN_BIN``, unless all are in one
bin.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from common.messages import Message, Thresholds
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, BoolArray, FloatArray

# Of fewer patients with disease none counts: they cannot tell case mix from drift.
LEAST_WITH_DISEASE = 25

# Fewer patients are counted together with those of a bin beside: a count of one or two may point to a person.
LEAST_IN_BIN = 5

_QUANTITY_BINS = 5

Count = Annotated[int, Field(ge=0)]


class FieldCounts(Message):
    """In how many patients a field was not measured, and how many measured values fell into each of its bins."""

    missing: Count
    counts: list[Count]


class Population(Message):
    """Some patients as counts; ``scores`` are those of their anomaly scores by bin, ``None`` where not known."""

    patients: Count
    fields: dict[str, FieldCounts]
    scores: list[Annotated[float, Field(ge=0)]] | None

    def __add__(self, other: "Population") -> "Population":
        fields = {}
        for name, own in self.fields.items():
            more = other.fields[name]
            counts = np.add(own.counts, more.counts).tolist()
            fields[name] = FieldCounts(missing=own.missing + more.missing, counts=counts)
        scores = np.add(self.scores, other.scores).tolist() if self.scores and other.scores else None
        return Population(patients=self.patients + other.patients, fields=fields, scores=scores)


class Reference(Message):
    """The patients that a model was calibrated with, in aggregates alone: drift is measured from them.

    A value falls into the bin of the first of ``edges`` that it does not exceed, or the last; a score belongs to the
    bin above an edge it equals, as with a threshold. The scores of the disease-free patients are those by design.
    """

    edges: dict[str, list[float]]
    score_edges: list[float]
    disease_free: Population
    with_disease: Population

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
        Those of the model: they are the edges of the score's bins.
    anomaly_scores
        Calibrated anomaly scores of all patients, by forests that saw none of those with disease, shape (n,), NaN where
        there is no level; only theirs count, since those of the others are known by design.
    """
    known = has_disease & (has_disease.sum() >= LEAST_WITH_DISEASE)
    disease_free, with_disease = values[~has_disease], values[known]
    edges = {}
    for column, name in enumerate(COLUMNS):
        codes = [float(code) for code in sorted(FIELDS[name].codes)[:-1]]
        ends = codes or _near_quintiles(disease_free[:, column], values[:, column])
        edges[name] = _without_small_bins(ends, (disease_free[:, column], with_disease[:, column]))
    score_edges = [thresholds.medium, thresholds.high]
    # The scores of the disease-free are calibrated to be uniform, so they follow from the design.
    by_design: list[float] = (np.diff([0, *score_edges, 1]) * len(disease_free)).tolist()
    scores = score_counts(anomaly_scores[known], score_edges) if anomaly_scores is not None and known.any() else None
    return Reference(
        edges=edges,
        score_edges=score_edges,
        disease_free=_population(disease_free, edges, by_design),
        with_disease=_population(with_disease, edges, scores),
    )


def _near_quintiles(disease_free: FloatArray, everybody: FloatArray) -> list[float]:
    """Return the quintiles of the disease-free, each moved half way up to the next value seen in anybody."""
    measured = disease_free[~np.isnan(disease_free)]
    if not measured.size:
        return []
    quantiles = np.quantile(measured, np.arange(1, _QUANTITY_BINS) / _QUANTITY_BINS, method="inverted_cdf")
    # An edge that is itself a value would tell that some patient has it: the manifest shows the edges.
    observed = np.unique(everybody[~np.isnan(everybody)])
    below = np.flatnonzero(np.isin(observed, quantiles[quantiles < measured.max()]))
    edges: list[float] = ((observed[below] + observed[below + 1]) / 2).tolist()
    return edges


def _without_small_bins(edges: list[float], populations: Sequence[FloatArray]) -> list[float]:
    """Join each bin that holds a few of a population to the emptier one beside it, until none does."""
    counts = np.array([field_counts(values, edges).counts for values in populations])
    small = np.flatnonzero(((counts > 0) & (counts < LEAST_IN_BIN)).any(axis=0))
    if not edges or not small.size:
        return edges
    beside = [number for number in (small[0] - 1, small[0] + 1) if 0 <= number <= len(edges)]
    # The emptier neighbor: joining it loses the least of what the bins tell apart.
    emptier = min(beside, key=lambda number: counts[:, number].sum())
    between = min(small[0], emptier)
    return _without_small_bins([*edges[:between], *edges[between + 1 :]], populations)


def _population(values: FloatArray, edges: Mapping[str, list[float]], scores: list[float] | None) -> Population:
    fields = {name: field_counts(values[:, column], edges[name]) for column, name in enumerate(COLUMNS)}
    return Population(patients=len(values), fields=fields, scores=scores)


def field_counts(values: FloatArray, edges: Sequence[float]) -> FieldCounts:
    """Count the values of a field by bin, and those not measured."""
    measured = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, measured, side="left"), minlength=len(edges) + 1)
    return FieldCounts(missing=len(values) - len(measured), counts=counts.tolist())


def score_counts(scores: FloatArray, edges: Sequence[float]) -> list[float]:
    """Count scores by bin but NaN; one on an edge belongs above it, as a threshold belongs to the level above."""
    bins = np.searchsorted(edges, scores[~np.isnan(scores)], side="right")
    counts: list[float] = np.bincount(bins, minlength=len(edges) + 1).astype(np.float64).tolist()
    return counts
