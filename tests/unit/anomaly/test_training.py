"""Training: what each forest may see, what is refused, and that a seed gives one model."""

from collections.abc import Iterable

import numpy as np
import pytest

from config.errors import InvalidDataError
from config.messages import Thresholds
from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset, FloatArray
from server.anomaly.detector import AnomalyModel
from server.anomaly.evaluation import HeldOutFold, as_table, evaluate
from server.anomaly.training import calibration_fits, evaluation_folds, train
from tests.unit.anomaly.patients import real_patients, small_training, typical_patient

THRESHOLDS = Thresholds(medium=0.8, high=0.95)


def some_patients(*, disease_free: int, diseased: int) -> Dataset:
    """The first real patients with either label."""
    whole = real_patients()
    rows = np.concatenate([whole.disease_free[:disease_free], np.flatnonzero(whole.has_disease)[:diseased]])
    return Dataset("clinic.csv", whole.sha256, whole.values[rows], whole.has_disease[rows])


def raw_scores(model: AnomalyModel) -> list[float]:
    patients = [typical_patient(dict(model.typical), major_vessels=vessels) for vessels in range(4)]
    return [said.raw_score for said in model.assess(patients)]


def test_the_same_seed_gives_the_same_model_in_one_process_or_two() -> None:
    alone = train(real_patients(), small_training())
    in_processes = train(real_patients(), small_training().model_copy(update={"workers": 2}))
    assert raw_scores(alone.model) == raw_scores(in_processes.model)
    assert alone.model.calibration == in_processes.model.calibration
    assert alone.metrics == in_processes.metrics


def test_another_seed_gives_another_model() -> None:
    seeds = [small_training().model_copy(update={"random_state": seed}) for seed in (1, 2)]
    one, other = (train(real_patients(), settings) for settings in seeds)
    assert raw_scores(one.model) != raw_scores(other.model)


def test_every_fit_is_counted_before_the_first_is_done() -> None:
    seen: list[int] = []

    def watch(results: Iterable[FloatArray], total: int) -> Iterable[FloatArray]:
        for result in results:
            seen.append(total)
            yield result

    train(real_patients(), small_training(), progress=watch)
    assert seen == [14] * 14


def test_every_patient_is_held_out_once_by_forests_that_saw_no_disease_and_not_them() -> None:
    dataset = real_patients()
    folds = evaluation_folds(dataset, TrainingSettings(evaluation_folds=5))
    assert sorted(np.concatenate([fold.scored for fold in folds])) == list(range(303))
    for fold in folds:
        assert not dataset.has_disease[fold.fitted_on].any()
        assert not set(fold.fitted_on) & set(fold.scored)


def test_calibration_scores_are_out_of_fold_and_of_the_training_patients_alone() -> None:
    rows = real_patients().disease_free[:50]
    fits = calibration_fits(rows, TrainingSettings(calibration_folds=10))
    assert sorted(np.concatenate([fit.scored for fit in fits])) == list(rows)
    for fit in fits:
        assert sorted([*fit.fitted_on, *fit.scored]) == list(rows)


def test_even_a_small_forest_tells_most_patients_apart() -> None:
    metrics = train(real_patients(), small_training()).metrics
    assert metrics["patients"] == 303
    assert metrics["auroc"] > 0.85
    assert metrics["high"]["false_alarm_rate"] < metrics["medium_or_higher"]["false_alarm_rate"] < 0.4
    assert metrics["high"]["sensitivity"] > 0.4


def test_the_path_length_follows_another_sample_size() -> None:
    trained = train(real_patients(), small_training().model_copy(update={"max_samples": 32}))
    factors = trained.model.preprocessor.transform(real_patients().frame(np.arange(1)))
    expected = -trained.model.forest.score_samples(factors)[0]
    changes = dict(zip(trained.model.typical, real_patients().values[0].tolist(), strict=True))
    (said,) = trained.model.assess([typical_patient(changes)])
    assert said.raw_score == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("disease_free", "diseased", "said"),
    [
        (0, 20, "clinic.csv holds no disease-free patients"),
        (1, 20, "at least 2 of each"),
        (40, 1, "40 disease-free patients and 1 with disease"),
        (40, 20, "the folds leave 15 of them, and each tree is grown on 16"),
    ],
)
def test_too_few_patients_for_the_folds_are_refused_with_a_sentence(
    disease_free: int, diseased: int, said: str
) -> None:
    with pytest.raises(InvalidDataError, match=said):
        train(some_patients(disease_free=disease_free, diseased=diseased), small_training())


def test_just_enough_patients_are_enough() -> None:
    metrics = train(some_patients(disease_free=44, diseased=4), small_training()).metrics
    assert (metrics["disease_free"], metrics["with_disease"]) == (44, 4)


def test_the_figures_of_an_evaluation_are_those_worked_out_by_hand() -> None:
    labels = np.array([False, False, False, False, True, True])
    scores = np.array([0.1, 0.2, 0.8, 0.96, 0.94, 0.99])
    metrics = evaluate([HeldOutFold(labels, scores, scores)], THRESHOLDS)
    assert metrics["auroc"] == pytest.approx(7 / 8)
    assert metrics["medium_or_higher"] == {"false_alarm_rate": 0.5, "sensitivity": 1.0}
    assert metrics["high"] == {"false_alarm_rate": 0.25, "sensitivity": 0.5}


def test_the_table_holds_every_figure() -> None:
    labels = np.array([False, False, True, True])
    scores = np.array([0.1, 0.9, 0.94, 0.99])
    table = as_table(evaluate([HeldOutFold(labels, scores, scores)], THRESHOLDS), THRESHOLDS)
    for figure in ("4 (2 disease-free, 2 with disease)", "1.000", "50.0%", "100.0%", "0.0%", "20%", "5%"):
        assert figure in table
