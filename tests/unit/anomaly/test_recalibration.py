"""Recalibration for another site: the forest stays, and the false-alarm rates become what they are by design again."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from common.errors import InvalidDataError
from server.anomaly.calibration import Calibration
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray, frame_of
from server.anomaly.detector import Detector
from server.evaluation.new_version import NewVersion, recalibrated_version
from server.evaluation.training import recalibrate
from server.registry.artifact import load_detector
from server.registry.versions import activate, store_version
from tests.support.patients import real_patients, small_training, some_patients
from tests.unit.anomaly.test_detector import real_records


def false_alarm_rates(scores: FloatArray) -> tuple[float, float]:
    return float((scores >= 0.8).mean()), float((scores >= 0.95).mean())


def test_on_a_sicker_population_recalibration_restores_the_designed_rates(
    detector: Detector, recalibrated: NewVersion, sicker_newcomers: Dataset
) -> None:
    newcomers = sicker_newcomers.values[sicker_newcomers.disease_free]
    before = false_alarm_rates(detector.model.anomaly_scores(newcomers))
    after = false_alarm_rates(recalibrated.model.anomaly_scores(newcomers))
    assert before[0] > 0.33
    assert after[0] == pytest.approx(0.20, abs=0.07)
    assert after[1] <= before[1]


def test_on_average_over_sites_the_share_at_each_level_is_the_one_by_design(detector: Detector) -> None:
    """Forty sites of 40 and as many newcomers each, drawn from disease-free patients the forest finds sicker."""
    model, dataset = detector.model, real_patients()
    patients = dataset.values[dataset.disease_free]
    patients = patients[~np.isnan(patients).any(axis=1)]
    sicker = patients[np.argsort(model.anomaly_scores(patients))[40:]]
    alarms = []
    for seed in range(40):
        drawn = sicker[np.random.default_rng(seed).permutation(len(sicker))]
        site = Dataset("site.csv", "0" * 64, drawn[:40], np.zeros(40, dtype=bool))
        alarms.append(false_alarm_rates(recalibrate(model, site, small_training()).anomaly_scores(drawn[40:80])))
    medium, high = np.mean(alarms, axis=0)
    assert medium == pytest.approx(0.20, abs=0.025)
    assert high == pytest.approx(0.05, abs=0.015)


def test_forest_typical_values_and_thresholds_stay_and_the_anomaly_scores_change(
    detector: Detector, recalibrated: NewVersion
) -> None:
    before, after = (model.assess(real_records()) for model in (detector.model, recalibrated.model))
    assert [(said.raw_score, said.contributions) for said in after] == [
        (said.raw_score, said.contributions) for said in before
    ]
    assert [said.anomaly_score for said in after] != [said.anomaly_score for said in before]
    assert (recalibrated.model.typical, recalibrated.model.thresholds) == (detector.typical, detector.thresholds)


def test_the_scores_follow_from_the_site_s_disease_free_patients_alone(
    recalibrated: NewVersion, sicker_site: Dataset
) -> None:
    model, local = recalibrated.model, sicker_site.values[sicker_site.disease_free]
    assert model.calibration.patients == (len(local),)
    complete = local[~np.isnan(local).any(axis=1)]
    known = -model.forest.score_samples(model.preprocessor.transform(frame_of(complete)))
    answers = model.assess(real_records())
    whole = [said for said, record in zip(answers, real_records(), strict=True) if not record.imputed()]
    calibration = Calibration.fit(known)
    expected = [calibration.score(said.raw_score) for said in whole]
    assert [said.anomaly_score for said in whole] == pytest.approx(expected, abs=1e-9)


def test_twenty_five_disease_free_patients_are_enough_and_fewer_are_refused_with_the_reason(detector: Detector) -> None:
    for disease_free in (0, 24):
        site = some_patients(disease_free=disease_free, diseased=30)
        said = rf"clinic\.csv holds {disease_free} disease-free patients, and recalibration needs at least 25"
        with pytest.raises(InvalidDataError, match=said):
            recalibrate(detector.model, site, small_training())
    with_disease, without = (
        recalibrate(detector.model, some_patients(disease_free=25, diseased=diseased), small_training())
        for diseased in (30, 0)
    )
    assert with_disease.calibration.scores[0].shape == (2048, 25)
    assert np.array_equal(with_disease.calibration.scores[0], without.calibration.scores[0])


def test_a_site_that_never_measures_a_field_can_recalibrate(detector: Detector) -> None:
    site = some_patients(disease_free=30, diseased=0)
    site.values[:, COLUMNS.index("thallium_scan")] = np.nan
    (scores,) = recalibrate(detector.model, site, small_training()).calibration.scores
    assert np.isfinite(scores).sum(axis=1).min() >= 19


def test_by_age_a_site_needs_enough_of_each_age_and_gets_two_calibrations(detector: Detector) -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    few = some_patients(disease_free=30, diseased=0)
    with pytest.raises(InvalidDataError, match="calibration by age needs at least 19 of each"):
        recalibrate(detector.model, few, settings)
    enough = some_patients(disease_free=80, diseased=0)
    older = int((enough.values[:, COLUMNS.index("age")] >= 55).sum())
    assert recalibrate(detector.model, enough, settings).calibration.patients == (80 - older, older)


def test_the_forest_s_own_training_file_is_no_other_site(detector: Detector) -> None:
    with pytest.raises(InvalidDataError, match="is the file that the forest was fitted on"):
        recalibrated_version(detector, real_patients(), small_training(), made_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_operators_are_shown_that_a_model_was_recalibrated_and_no_alarm_rates_of_before(
    detector: Detector, recalibrated: NewVersion, tmp_path: Path
) -> None:
    activate(tmp_path, store_version(tmp_path, recalibrated.files))
    metrics = load_detector(tmp_path).metrics
    assert metrics["recalibrated_on"] == recalibrated.model.calibration.patients[0]
    assert metrics["auroc"] == detector.metrics["auroc"]
    assert metrics["high"] == metrics["medium_or_higher"] == {"false_alarm_rate": None, "sensitivity": None}
    assert detector.metrics["recalibrated_on"] is None
