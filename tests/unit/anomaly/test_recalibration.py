"""Recalibration for another site restores the designed false-alarm rates; what a new version changes is said."""

from datetime import UTC, datetime

import numpy as np
import pytest

from common.errors import InvalidDataError
from common.messages import Thresholds
from server.anomaly.calibration import Calibration
from server.anomaly.dataset import BoolArray, Dataset, FloatArray
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, Figure
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import recalibrated_version
from server.evaluation.training import recalibrate
from server.registry.changes import changes_between, recalibration_effect
from tests.support.patients import real_patients, real_records, small_training, some_patients


def test_contributions_stay_and_anomaly_scores_follow_from_the_site_s_disease_free_patients_alone(
    detector: Detector, recalibrated: Detector, sicker_site: Dataset
) -> None:
    model, local = recalibrated.model, sicker_site.values[sicker_site.disease_free]
    before, after = (one.assess(real_records()[:60]) for one in (detector.model, model))
    assert [said.contributions for said in after] == [said.contributions for said in before]
    complete = local[~np.isnan(local).any(axis=1)]
    calibration = Calibration((-model.forest.score_samples(model.preprocessor.transform(complete))).tolist())
    whole = [said for said, record in zip(after, real_records()[:60], strict=True) if not record.imputed()]
    expected = [calibration.score(said.raw_score) for said in whole]
    assert [said.anomaly_score for said in whole] == pytest.approx(expected, abs=1e-9)


def test_twenty_five_disease_free_patients_are_enough_and_fewer_are_refused_with_the_reason(detector: Detector) -> None:
    for disease_free in (0, 24):
        site = some_patients(disease_free=disease_free, diseased=30)
        said = rf"clinic\.csv holds {disease_free} disease-free patients, and recalibration needs at least 25"
        with pytest.raises(InvalidDataError, match=said):
            recalibrate(detector.model, site, small_training())
    enough = some_patients(disease_free=25, diseased=0)
    assert recalibrate(detector.model, enough, small_training()).calibration.patients == (25,)


def test_by_age_a_site_needs_enough_of_each_age_and_gets_two_calibrations(detector: Detector) -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    with pytest.raises(InvalidDataError, match="calibration by age needs at least 19 of each"):
        recalibrate(detector.model, some_patients(disease_free=30, diseased=0), settings)
    site = some_patients(disease_free=80, diseased=0)
    assert len(recalibrate(detector.model, site, settings).calibration.patients) == 2


def test_the_forest_s_own_training_file_is_no_other_site(detector: Detector) -> None:
    with pytest.raises(InvalidDataError, match="is the file that the forest was fitted on"):
        recalibrated_version(detector, real_patients(), small_training(), made_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_operators_are_shown_that_a_model_was_recalibrated_and_no_alarm_rates_of_before(
    detector: Detector, recalibrated: Detector
) -> None:
    metrics = recalibrated.metrics
    assert metrics["recalibrated_on"] == recalibrated.model.calibration.patients[0]
    assert metrics["auroc"] == detector.metrics["auroc"]
    assert metrics["high"] == metrics["medium_or_higher"] == {"false_alarm_rate": None, "sensitivity": None}
    assert detector.metrics["recalibrated_on"] is None


def with_auroc(manifest: Manifest, auroc: float) -> Manifest:
    figures = manifest.evaluation.figures | {"auroc": Figure(ours=Estimate(value=auroc))}
    return manifest.model_copy(update={"evaluation": manifest.evaluation.model_copy(update={"figures": figures})})


def test_a_new_version_names_other_data_settings_packages_and_figures(
    detector: Detector, recalibrated: Detector
) -> None:
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
        "pairs in which the one with disease scores higher (AUROC) 0.912, before 0.900",
    ]
    said = ["calibrated on its own training patients again, before on sicker.csv"]
    assert list(changes_between(recalibrated.manifest, detector.manifest)) == said
    without = before.model_copy(update={"evaluation": before.evaluation.model_copy(update={"figures": {}})})
    assert list(changes_between(before, without)) == []


def test_the_effect_of_a_recalibration_is_counted_level_by_level(
    detector: Detector, recalibrated: Detector, sicker_site: Dataset
) -> None:
    before, after = (model.anomaly_scores(sicker_site.values) for model in (detector.model, recalibrated.model))

    def share(scores: FloatArray, of: BoolArray, threshold: float) -> str:
        alarms = np.count_nonzero(scores[of] >= threshold)
        return f"{alarms} of {of.sum()} ({alarms / of.sum():.0%})"

    free, ill, expected = ~sicker_site.has_disease, sicker_site.has_disease, []
    for level, at, design, truly in (("Medium or higher", 0.8, "20%", "12% to 29%"), ("High", 0.95, "5%", "1% to 11%")):
        expected += [
            f"disease-free patients at {level}: {share(before, free, at)} before, now {design} by design; "
            f"with this many patients the true share may be {truly}",
            f"patients with disease at {level}: {share(before, ill, at)} before, {share(after, ill, at)} now",
        ]
    assert list(recalibration_effect(detector.model, recalibrated.model, sicker_site)) == expected
