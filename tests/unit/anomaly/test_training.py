"""Training: what each forest may see, what is refused, and that a seed gives one model."""

from collections.abc import Iterable

import numpy as np
import pytest

from common.errors import InvalidDataError
from config.settings import TrainingSettings
from server.anomaly.calibration import MOST_CALIBRATION_PATIENTS
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray
from server.anomaly.detector import AnomalyModel, Detector
from server.evaluation.splits import calibration_folds, evaluation_folds
from server.evaluation.training import drawn_to_calibrate, train
from tests.support.patients import real_patients, small_training, some_patients, typical_patient


def raw_scores(model: AnomalyModel) -> list[float]:
    patients = [typical_patient(dict(model.typical), major_vessels=vessels) for vessels in range(4)]
    return [said.raw_score for said in model.assess(patients)]


def calibration_of(model: AnomalyModel) -> list[list[list[float]]]:
    return [np.nan_to_num(band).tolist() for band in model.calibration.scores]


def test_the_same_seed_gives_the_same_model_in_one_process_or_two() -> None:
    patients = some_patients(disease_free=60, diseased=20)
    alone = train(patients, small_training())
    in_processes = train(patients, small_training().model_copy(update={"workers": 2}))
    assert raw_scores(alone) == raw_scores(in_processes)
    assert calibration_of(alone) == calibration_of(in_processes)


def test_another_seed_gives_another_model() -> None:
    seeds = [small_training().model_copy(update={"random_state": seed}) for seed in (1, 2)]
    one, other = (train(some_patients(disease_free=60, diseased=20), settings) for settings in seeds)
    assert raw_scores(one) != raw_scores(other)
    assert calibration_of(one) != calibration_of(other)


def test_every_fit_is_counted_before_the_first_is_done() -> None:
    seen: list[int] = []

    def watch(results: Iterable[FloatArray], total: int) -> Iterable[FloatArray]:
        for result in results:
            seen.append(total)
            yield result

    train(some_patients(disease_free=50, diseased=0), small_training(), progress=watch)
    assert seen == [4] * 4


def test_every_patient_is_held_out_once_by_forests_that_saw_no_disease_and_not_them() -> None:
    dataset = real_patients()
    folds = evaluation_folds(dataset, TrainingSettings(evaluation_folds=5))
    assert sorted(np.concatenate([fold.scored for fold in folds])) == list(range(303))
    for fold in folds:
        assert not dataset.has_disease[fold.fitted_on].any()
        assert not set(fold.fitted_on) & set(fold.scored)


def test_calibration_scores_are_out_of_fold_and_of_the_training_patients_alone() -> None:
    rows = real_patients().disease_free[:50]
    fits = calibration_folds(rows, TrainingSettings(calibration_folds=10))
    assert sorted(np.concatenate([fit.scored for fit in fits])) == list(rows)
    for fit in fits:
        assert sorted([*fit.fitted_on, *fit.scored]) == list(rows)


def test_even_a_small_forest_tells_most_patients_apart(detector: Detector) -> None:
    metrics = detector.metrics
    assert metrics["patients"] == 303
    assert metrics["auroc"] > 0.85
    assert metrics["high"]["false_alarm_rate"] < metrics["medium_or_higher"]["false_alarm_rate"] < 0.4
    assert metrics["high"]["sensitivity"] > 0.4


def test_the_path_length_follows_another_sample_size() -> None:
    settings = small_training().model_copy(update={"max_samples": 32, "calibration_folds": 2})
    trained = train(real_patients(), settings)
    factors = trained.preprocessor.transform(real_patients().frame(np.arange(1)))
    expected = -trained.forest.score_samples(factors)[0]
    changes = dict(zip(trained.typical, real_patients().values[0].tolist(), strict=True))
    (said,) = trained.assess([typical_patient(changes)])
    assert said.raw_score == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("disease_free", "said"),
    [
        (0, r"clinic\.csv holds no disease-free patients \(column Heart Disease: Absence\), and the detector learns"),
        (1, r"holds 1 disease-free patients; a detector of one's own needs at least 40"),
        (17, r"holds 17 disease-free patients; a detector of one's own needs at least 40"),
        (39, r"holds 39 disease-free .* keep the forest of another clinic: train_model\.py --recalibrate\.$"),
        (40, "the folds leave 15 of them, and each tree is grown on 16"),
    ],
)
def test_too_few_disease_free_patients_are_refused_with_a_sentence(disease_free: int, said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        train(some_patients(disease_free=disease_free, diseased=20), small_training())


@pytest.mark.parametrize("diseased", [0, 1, 4])
def test_just_enough_patients_are_enough_and_nobody_with_disease_is_needed(diseased: int) -> None:
    model = train(some_patients(disease_free=44, diseased=diseased), small_training())
    assert model.calibration.patients == (44,)


def test_forty_are_enough_where_the_folds_leave_enough_of_them() -> None:
    settings = small_training().model_copy(update={"evaluation_folds": 5, "calibration_folds": 5})
    assert train(some_patients(disease_free=40, diseased=2), settings).calibration.patients == (40,)


def test_of_very_many_patients_a_thousand_calibrate_the_same_ones_every_time() -> None:
    rows, settings = np.arange(5, 1505), small_training()
    drawn = drawn_to_calibrate(rows, settings)
    assert drawn.size == MOST_CALIBRATION_PATIENTS == 1000
    assert drawn.tolist() == sorted(set(drawn.tolist()) & set(rows.tolist()))
    assert drawn.tolist() == drawn_to_calibrate(rows, settings).tolist()
    other_seed = settings.model_copy(update={"random_state": 1})
    assert drawn.tolist() != drawn_to_calibrate(rows, other_seed).tolist()
    assert drawn_to_calibrate(rows[:1000], settings).tolist() == rows[:1000].tolist()


@pytest.mark.parametrize(("younger", "older"), [(60, 18), (18, 60)])
def test_too_few_of_an_age_are_refused_for_a_calibration_by_age(younger: int, older: int) -> None:
    site = by_age(younger, older)
    settings = small_training().model_copy(update={"calibration_by_age": True})
    said = f"{younger} disease-free patients under 55 and {older} from 55 on; calibration by age needs at least 19"
    with pytest.raises(InvalidDataError, match=said) as caught:
        train(site, settings)
    assert "MODEL_CALIBRATION_BY_AGE" in caught.value.message
    assert train(site, small_training()).calibration.patients == (78,)


def test_just_enough_of_each_age_calibrate_apart() -> None:
    settings = small_training().model_copy(update={"calibration_by_age": True})
    assert train(by_age(60, 19), settings).calibration.patients == (60, 19)


def by_age(younger: int, older: int) -> Dataset:
    """Some disease-free real patients under 55, and from 55 on."""
    whole = real_patients()
    values = whole.values[whole.disease_free]
    is_older = values[:, COLUMNS.index("age")] >= 55
    chosen = np.concatenate([values[~is_older][:younger], values[is_older][:older]])
    return Dataset("ages.csv", whole.sha256, chosen, np.zeros(len(chosen), dtype=np.bool_))


def test_a_field_measured_in_no_disease_free_patient_is_refused_by_its_column() -> None:
    whole = real_patients()
    values = whole.values.copy()
    values[~whole.has_disease, COLUMNS.index("thallium_scan")] = np.nan
    with pytest.raises(InvalidDataError, match="Column Thallium was measured in too few disease-free patients"):
        train(Dataset("gaps.csv", whole.sha256, values, whole.has_disease), small_training())
