"""Training: factors, the trees grown, what each forest may see, what is refused, and that a seed gives one model."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from common.errors import InvalidDataError
from config.settings import TrainingSettings
from server.anomaly.calibration import MOST_CALIBRATION_PATIENTS
from server.anomaly.dataset import COLUMNS, Dataset
from server.anomaly.detector import AnomalyModel
from server.anomaly.fitting import fit_and_score
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.splits import calibration_folds, evaluation_folds
from server.evaluation.training import drawn_to_calibrate, train
from tests.support.patients import real_patients, small_training, some_patients


def said_by(model: AnomalyModel) -> tuple[list[float], list[float]]:
    """The raw scores of some patients, and the calibration of all patterns."""
    raw = [said.raw_score for said in model.assessments(real_patients().values[:20].tolist())]
    return raw, np.nan_to_num(model.calibration.scores[0]).ravel().tolist()


def test_the_typical_value_of_a_coded_field_is_a_code() -> None:
    values, scan = real_patients().values[:2].copy(), COLUMNS.index("thallium_scan")
    values[:, scan] = (3, 7)
    assert OneSidedRiskFactors().fit(values).typical_[scan] == 3


@pytest.mark.parametrize(
    ("seed", "max_samples", "patients"), [(0, 4, 120), (1, 16, 120), (12345, 100, 120), (3, 64, 30)]
)
def test_a_forest_grown_tree_by_tree_is_scikit_learns_own_also_of_fewer_patients_than_a_tree_takes(
    seed: int, max_samples: int, patients: int
) -> None:
    values = real_patients().values[real_patients().disease_free]
    settings = small_training().model_copy(update={"random_state": seed, "max_samples": max_samples})
    preprocessor = OneSidedRiskFactors()
    factors = preprocessor.fit_transform(values[:patients])
    forest = IsolationForest(n_estimators=50, max_samples=min(max_samples, patients), random_state=seed).fit(factors)
    expected = -forest.score_samples(preprocessor.transform(values[120:]))
    np.testing.assert_allclose(fit_and_score(values[:patients], values[120:], settings), expected, rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_model_in_one_process_or_two_and_another_one_another() -> None:
    patients = some_patients(disease_free=60, diseased=20)
    alone, in_processes, other = (
        said_by(train(patients, small_training().model_copy(update=changes)))
        for changes in ({}, {"workers": 2}, {"random_state": 1})
    )
    assert alone == in_processes
    assert alone[0] != other[0]
    assert alone[1] != other[1]


def test_every_patient_is_held_out_once_by_forests_that_saw_no_disease_and_not_them() -> None:
    dataset = real_patients()
    folds = evaluation_folds(dataset, TrainingSettings(evaluation_folds=5))
    assert sorted(np.concatenate([fold.scored for fold in folds])) == list(range(303))
    for fold in folds:
        assert not dataset.has_disease[fold.fitted_on].any()
        assert not set(fold.fitted_on) & set(fold.scored)
        fits = calibration_folds(fold.fitted_on, TrainingSettings(calibration_folds=10))
        assert sorted(np.concatenate([fit.scored for fit in fits])) == list(fold.fitted_on)
        assert all(sorted([*fit.fitted_on, *fit.scored]) == list(fold.fitted_on) for fit in fits)


@pytest.mark.parametrize(
    ("disease_free", "said"),
    [
        (0, r"clinic\.csv holds no disease-free patients \(column Heart Disease: Absence\), and the detector learns"),
        (39, r"holds 39 disease-free .* keep the forest of another clinic: train_model\.py --recalibrate\.$"),
        (40, "the folds leave 15 of them, and each tree is grown on 16"),
    ],
)
def test_too_few_disease_free_patients_are_refused_with_a_sentence(disease_free: int, said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        train(some_patients(disease_free=disease_free, diseased=20), small_training())


def test_just_enough_patients_are_enough_and_nobody_with_disease_is_needed() -> None:
    settings = small_training().model_copy(update={"evaluation_folds": 5, "calibration_folds": 5})
    assert train(some_patients(disease_free=40, diseased=0), settings).calibration.patients == (40,)


def test_of_very_many_patients_a_thousand_calibrate_the_same_ones_every_time() -> None:
    rows, settings = np.arange(5, 1505), small_training()
    drawn = drawn_to_calibrate(rows, settings).tolist()
    assert len(drawn) == MOST_CALIBRATION_PATIENTS
    assert drawn == sorted(set(drawn) & set(rows.tolist())) == drawn_to_calibrate(rows, settings).tolist()


@pytest.mark.parametrize(("younger", "older"), [(60, 18), (18, 60), (60, 19)])
def test_calibration_by_age_needs_enough_of_each_age(younger: int, older: int) -> None:
    values = real_patients().values[real_patients().disease_free]
    is_older = values[:, COLUMNS.index("age")] >= 55
    chosen = np.concatenate([values[~is_older][:younger], values[is_older][:older]])
    site = Dataset("ages.csv", "0" * 64, chosen, np.zeros(len(chosen), dtype=np.bool_))
    settings = small_training().model_copy(update={"calibration_by_age": True})
    if min(younger, older) >= 19:
        assert train(site, settings).calibration.patients == (younger, older)
        return
    said = f"{younger} disease-free patients under 55 and {older} from 55 on; calibration by age needs at least 19"
    with pytest.raises(InvalidDataError, match=said) as caught:
        train(site, settings)
    assert "MODEL_CALIBRATION_BY_AGE" in caught.value.message
