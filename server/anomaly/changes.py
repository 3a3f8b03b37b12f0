"""What a new version changes, in plain sentences."""

from collections.abc import Iterator

import numpy as np

from config.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.detector import AnomalyModel
from server.anomaly.manifest import Manifest

_FIGURES = {
    "auroc": "AUROC",
    "false_alarm_rate_high": "false alarms at High",
    "sensitivity_high": "sensitivity at High",
}


def changes_between(earlier: Manifest, later: Manifest) -> list[str]:
    """Say in what a newly trained version differs from an earlier one: data, settings, and held-out figures."""
    return [*_data_changes(earlier, later), *_setting_changes(earlier, later), *_figure_changes(earlier, later)]


def _data_changes(earlier: Manifest, later: Manifest) -> Iterator[str]:
    if earlier.data != later.data:
        yield (
            f"trained on {later.data.name} ({later.data.disease_free} disease-free patients), "
            f"before on {earlier.data.name} ({earlier.data.disease_free})"
        )
    if earlier.recalibrated_from:
        yield f"calibrated on its own training patients again, before on {earlier.calibration_data.name}"


def _setting_changes(earlier: Manifest, later: Manifest) -> Iterator[str]:
    before = earlier.parameters.model_dump() | earlier.thresholds.model_dump() | earlier.versions
    after = later.parameters.model_dump() | later.thresholds.model_dump() | later.versions
    for name, value in after.items():
        if before.get(name) != value:
            yield f"{name} {value}, before {before.get(name)}"


def _figure_changes(earlier: Manifest, later: Manifest) -> Iterator[str]:
    for name, title in _FIGURES.items():
        before, after = earlier.evaluation.value(name), later.evaluation.value(name)
        if before is not None and after is not None and round(before, 3) != round(after, 3):
            yield f"{title} {after:.3f}, before {before:.3f}"


def recalibration_effect(earlier: AnomalyModel, later: AnomalyModel, dataset: Dataset) -> list[str]:
    """Say how many of a site's patients are at each level before and after recalibration on its disease-free patients.

    What these are at afterwards follows from the design; patients with disease were not used, so theirs is measured.
    """
    before, after = (model.anomaly_scores(dataset.values) for model in (earlier, later))
    return [
        f"{label} at {level}: {_share(before, group, threshold)} before, {_share(after, group, threshold)} now{design}"
        for label, group, by_design in (
            ("disease-free patients", ~dataset.has_disease, True),
            ("patients with disease", dataset.has_disease, False),
        )
        if group.any()
        for level, threshold in _levels(later.thresholds)
        for design in [f" ({1 - threshold:.0%} by design)" if by_design else ""]
    ]


def _levels(thresholds: Thresholds) -> tuple[tuple[str, float], ...]:
    return ("Medium or higher", thresholds.medium), ("High", thresholds.high)


def _share(scores: FloatArray, group: BoolArray, threshold: float) -> str:
    alarms = int((scores[group] >= threshold).sum())
    return f"{alarms} of {int(group.sum())} ({np.mean(scores[group] >= threshold):.0%})"
