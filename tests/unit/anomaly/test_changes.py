"""What a new version changes, said in sentences that were worked out by hand."""

import numpy as np

from common.messages import Thresholds
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, Figure
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import NewVersion
from server.registry.artifact import MANIFEST_FILE
from server.registry.changes import changes_between, recalibration_effect


def with_auroc(manifest: Manifest, auroc: float) -> Manifest:
    figures = manifest.evaluation.figures | {"auroc": Figure(ours=Estimate(value=auroc))}
    return manifest.model_copy(update={"evaluation": manifest.evaluation.model_copy(update={"figures": figures})})


def test_other_data_settings_packages_and_figures_are_each_named(detector: Detector) -> None:
    before = with_auroc(detector.manifest, 0.9004)
    later = with_auroc(before, 0.9123).model_copy(
        update={
            "data": before.data.model_copy(update={"name": "clinic.csv", "sha256": "1" * 64, "disease_free": 90}),
            "parameters": before.parameters.model_copy(update={"n_estimators": 200, "calibration_by_age": True}),
            "thresholds": Thresholds(medium=0.75, high=0.95),
            "versions": before.versions | {"numpy": "9.9"},
        }
    )
    assert list(changes_between(before, later)) == [
        "trained on clinic.csv (90 disease-free patients), before on heart_disease.csv (164)",
        "n_estimators 200, before 50",
        "calibration_by_age True, before False",
        "medium 0.75, before 0.8",
        f"numpy 9.9, before {before.versions['numpy']}",
        "AUROC 0.912, before 0.900",
    ]


def test_the_same_again_and_figures_that_one_of_the_two_lacks_have_changed_nothing(detector: Detector) -> None:
    manifest = detector.manifest
    evaluation = manifest.evaluation.model_copy(update={"figures": {}})
    without = manifest.model_copy(update={"evaluation": evaluation})
    for earlier, later in ((manifest, manifest), (manifest, without), (without, manifest)):
        assert list(changes_between(earlier, later)) == []


def test_training_after_a_recalibration_says_whose_patients_calibrate_again(
    detector: Detector, recalibrated: NewVersion
) -> None:
    earlier = Manifest.model_validate_json(recalibrated.files[MANIFEST_FILE])
    said = ["calibrated on its own training patients again, before on sicker.csv"]
    assert list(changes_between(earlier, detector.manifest)) == said


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
    rows = sicker_site.disease_free
    alone = Dataset("free.csv", "0" * 64, sicker_site.values[rows], sicker_site.has_disease[rows])
    assert list(recalibration_effect(detector.model, recalibrated.model, alone)) == expected[::2]
