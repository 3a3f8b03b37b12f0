"""What a new version changes, said in sentences that were worked out by hand."""

import numpy as np
import pytest

from common.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, Figure
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import NewVersion
from server.registry.artifact import MANIFEST_FILE
from server.registry.changes import changes_between, recalibration_effect


@pytest.fixture
def manifest(detector: Detector) -> Manifest:
    return detector.manifest


def test_the_same_again_has_changed_nothing(manifest: Manifest) -> None:
    assert list(changes_between(manifest, manifest)) == []


def test_other_data_settings_packages_and_figures_are_each_named(manifest: Manifest) -> None:
    figures = manifest.evaluation.figures
    changed = {
        "auroc": Figure(ours=Estimate(value=0.9004)),
        "false_alarm_rate_high": figures["false_alarm_rate_high"],
        "sensitivity_high": Figure(ours=Estimate(value=0.5)),
    }
    before = manifest.model_copy(
        update={"evaluation": manifest.evaluation.model_copy(update={"figures": figures | changed})}
    )
    later = manifest.model_copy(
        update={
            "data": manifest.data.model_copy(update={"name": "clinic.csv", "sha256": "1" * 64, "disease_free": 90}),
            "parameters": manifest.parameters.model_copy(update={"n_estimators": 200, "calibration_by_age": True}),
            "thresholds": Thresholds(medium=0.75, high=0.95),
            "versions": manifest.versions | {"numpy": "9.9"},
            "evaluation": manifest.evaluation.model_copy(
                update={"figures": figures | changed | {"auroc": Figure(ours=Estimate(value=0.9123))}}
            ),
        }
    )
    assert list(changes_between(before, later)) == [
        "trained on clinic.csv (90 disease-free patients), before on heart_disease.csv (164)",
        "n_estimators 200, before 50",
        "calibration_by_age True, before False",
        "medium 0.75, before 0.8",
        f"numpy 9.9, before {manifest.versions['numpy']}",
        "AUROC 0.912, before 0.900",
    ]


def test_a_figure_that_one_of_the_two_lacks_is_not_compared(manifest: Manifest) -> None:
    without = manifest.evaluation.model_copy(update={"figures": {}})
    assert list(changes_between(manifest, manifest.model_copy(update={"evaluation": without}))) == []
    assert list(changes_between(manifest.model_copy(update={"evaluation": without}), manifest)) == []


def test_training_after_a_recalibration_says_whose_patients_calibrate_again(
    manifest: Manifest, recalibrated: NewVersion
) -> None:
    earlier = Manifest.model_validate_json(recalibrated.files[MANIFEST_FILE])
    assert list(changes_between(earlier, manifest)) == [
        "calibrated on its own training patients again, before on sicker.csv"
    ]


def test_the_effect_of_a_recalibration_is_counted_level_by_level(
    detector: Detector, recalibrated: NewVersion, sicker_site: Dataset
) -> None:
    before, after = (model.anomaly_scores(sicker_site.values) for model in (detector.model, recalibrated.model))

    def share(scores: FloatArray, of: BoolArray, threshold: float) -> str:
        alarms = np.count_nonzero(scores[of] >= threshold)
        return f"{alarms} of {of.sum()} ({alarms / of.sum():.0%})"

    expected = []
    for level, threshold, design, truly in (
        ("Medium or higher", 0.8, "20%", "12% to 29%"),
        ("High", 0.95, "5%", "1% to 11%"),
    ):
        free, ill = ~sicker_site.has_disease, sicker_site.has_disease
        expected += [
            f"disease-free patients at {level}: {share(before, free, threshold)} before, now {design} by design; "
            f"with so many patients it may truly be {truly}",
            f"patients with disease at {level}: {share(before, ill, threshold)} before, "
            f"{share(after, ill, threshold)} now",
        ]
    assert list(recalibration_effect(detector.model, recalibrated.model, sicker_site)) == expected


def test_of_a_site_without_patients_with_disease_only_the_false_alarms_are_told(
    detector: Detector, recalibrated: NewVersion, sicker_site: Dataset
) -> None:
    free = sicker_site.disease_free
    alone = Dataset("free.csv", "0" * 64, sicker_site.values[free], sicker_site.has_disease[free])
    said = list(recalibration_effect(detector.model, recalibrated.model, alone))
    assert [sentence.split(":")[0] for sentence in said] == [
        "disease-free patients at Medium or higher",
        "disease-free patients at High",
    ]
    assert said == list(recalibration_effect(detector.model, recalibrated.model, sicker_site))[::2]
