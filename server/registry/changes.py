"""What a new version changes, in plain sentences."""

from collections.abc import Iterator

import numpy as np

from common.patient import FIELDS
from server.anomaly.calibration import LEAST_COMPARABLE, alarm_interval
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray
from server.anomaly.detector import AnomalyModel
from server.anomaly.evaluation_figures import SHOWN, by_level, level_text
from server.anomaly.manifest import Manifest


def changes_between(earlier: Manifest, later: Manifest) -> Iterator[str]:
    """Say in what a newly trained version differs from an earlier one: data, settings, and held-out figures."""
    if earlier.data != later.data:
        yield (
            f"trained on {later.data.name} ({later.data.disease_free} disease-free patients), "
            f"before on {earlier.data.name} ({earlier.data.disease_free})"
        )
    if earlier.recalibrated_from:
        yield f"calibrated on its own training patients again, before on {earlier.calibration_data.name}"
    before, after = (
        made.parameters.model_dump() | made.thresholds.model_dump() | made.versions for made in (earlier, later)
    )
    for name, value in after.items():
        if before.get(name) != value:
            yield f"{name} {value}, before {before.get(name)}"
    for name in ("auroc", "false_alarm_rate_high", "sensitivity_high"):
        was, now = (manifest.evaluation.estimate(name).value for manifest in (earlier, later))
        # As they are printed: "0.912, before 0.912" would tell nobody anything.
        if was is not None and now is not None and round(was, 3) != round(now, 3):
            yield f"{SHOWN[name].title} {now:.3f}, before {was:.3f}"


def recalibration_effect(earlier: AnomalyModel, later: AnomalyModel, dataset: Dataset) -> Iterator[str]:
    """Say how many of a site's patients were at each level before recalibration on its disease-free patients, and now.

    Patients with disease were not used, so theirs is measured. What the disease-free are at now follows from the design
    and says nothing on those who calibrated; how far others may be from it depends on the number of patients.
    """
    before, after = (model.counted_scores(dataset.values) for model in (earlier, later))
    diseased = dataset.has_disease
    for level, threshold in by_level(later.thresholds).items():
        low, high = alarm_interval(min(later.calibration.patients), threshold)
        yield (
            f"disease-free patients at {level_text(level)}: {_share(before[~diseased], threshold)} before, now "
            f"{1 - threshold:.0%} by design; with this many patients the true share may be {low:.0%} to {high:.0%}"
        )
        if diseased.any():
            share_before, share_now = (_share(scores[diseased], threshold) for scores in (before, after))
            yield f"patients with disease at {level_text(level)}: {share_before} before, {share_now} now"
    measured = (~np.isnan(dataset.values[dataset.disease_free])).sum(axis=0)
    for name, number in zip(COLUMNS, measured.tolist(), strict=True):
        if number < LEAST_COMPARABLE:
            yield seldom_measured(FIELDS[name].label, number, dataset.disease_free.size)


def seldom_measured(label: str, measured: int, patients: int) -> str:
    """Say that a field was measured in too few calibration patients to compare others with these alone."""
    return (
        f"{label}: measured in {measured} of {patients} disease-free calibration patients, which is too few; a patient "
        "in whom it is measured is compared with all of them, and flagged more often than by design"
    )


def _share(scores: FloatArray, threshold: float) -> str:
    return f"{int((scores >= threshold).sum())} of {scores.size} ({np.mean(scores >= threshold):.0%})"
