"""Recalibration for another site restores the designed false-alarm rates; what a new version changes is said."""

from datetime import UTC, datetime

import numpy as np
import pytest

from common.errors import InvalidDataError
from common.messages import Thresholds
from server.anomaly.calibration import Calibration
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, Figure
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import recalibrated_version
from server.evaluation.training import recalibrate
from server.registry.changes import changes_between, recalibration_effect
from tests.support.patients import real_patients, real_records, small_training, some_patients


@pytest.mark.full
def test_on_average_over_sites_the_share_at_each_level_is_the_one_by_design(detector: Detector) -> None:
    """Forty sites of 40 and as many newcomers each, drawn from disease-free patients the forest finds sicker."""
    model, dataset = detector.model, real_patients()

    def alarm_rates(scores: FloatArray) -> list[float]:
        return [float((scores >= threshold).mean()) for threshold in (0.8, 0.95)]

    patients = dataset.values[dataset.disease_free]
    patients = patients[~np.isnan(patients).any(axis=1)]
    sicker = patients[np.argsort(model.anomaly_scores(patients))[40:]]
    assert alarm_rates(model.anomaly_scores(sicker))[0] > 0.23
    alarms = []
    for seed in range(40):
        drawn = sicker[np.random.default_rng(seed).permutation(len(sicker))]
        site = Dataset("site.csv", "0" * 64, drawn[:40], np.zeros(40, dtype=bool))
        alarms.append(alarm_rates(recalibrate(model, site, small_training()).anomaly_scores(drawn[40:80])))
    medium, high = np.mean(alarms, axis=0)
    assert medium == pytest.approx(0.20, abs=0.025)
    assert high == pytest.approx(0.05, abs=0.015)


def test_forest_and_thresholds_stay_and_anomaly_scores_follow_from_the_site_s_disease_free_patients_alone(
    detector: Detector, recalibrated: Detector, sicker_site: Dataset
) -> None:
    model, local = recalibrated.model, sicker_site.values[sicker_site.disease_free]
    before, after = (one.assess(real_records()[:60]) for one in (detector.model, model))
    assert [(said.raw_score, said.contributions) for said in after] == [
        (said.raw_score, said.contributions) for said in before
    ]
    assert (model.typical, model.thresholds) == (detector.typical, detector.thresholds)
    assert model.calibration.patients == (len(local),)
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
    enough.values[:, COLUMNS.index("thallium_scan")] = np.nan  # also where a field is never measured
    (scores,) = recalibrate(detector.model, enough, small_training()).calibration.scores
    assert scores.shape == (2048, 25)
    assert np.isfinite(scores).sum(axis=1).min() >= 19


def test_by_age_a_site_needs_enough_of_each_age_and_gets_two_calibrations(detector: Detector) -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    with pytest.raises(InvalidDataError, match="calibration by age needs at least 19 of each"):
        recalibrate(detector.model, some_patients(disease_free=30, diseased=0), settings)
    enough = some_patients(disease_free=80, diseased=0)
    older = int((enough.values[:, COLUMNS.index("age")] >= 55).sum())
    assert recalibrate(detector.model, enough, settings).calibration.patients == (80 - older, older)


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


def test_a_new_version_names_other_data_settings_packages_and_figures_and_nothing_that_is_the_same(
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
    for earlier, same in ((before, before), (before, without), (without, before)):
        assert list(changes_between(earlier, same)) == []


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
    rows = sicker_site.disease_free
    alone = Dataset("free.csv", "0" * 64, sicker_site.values[rows], sicker_site.has_disease[rows])
    assert list(recalibration_effect(detector.model, recalibrated.model, alone)) == expected[::2]
