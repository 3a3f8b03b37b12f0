"""How sure: what is enough for a level, what is missing for one, and what missing tests could still show."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from common.messages import MissingTests, NotEnough, RiskLevel
from common.patient import FIELDS, PatientRecord
from server.anomaly.calibration import codes_of, every_pattern
from server.anomaly.dataset import COLUMNS
from server.anomaly.detector import Detector
from server.anomaly.missing_tests import MOST_IN_FULL, possible_values
from server.anomaly.sufficiency import ACCEPTABLE_AUROC, Sufficiency
from server.evaluation.discrimination import auroc_and_error, aurocs_by_pattern
from tests.support.patients import real_patients, real_records, typical_patient

MAN_OF_67 = PatientRecord.check(dict.fromkeys(FIELDS) | {"age": 67, "sex": 1})


def only(*measured: str) -> list[float | None]:
    """A patient of whom age, sex and some other fields were measured."""
    return [1.0 if field.required or name in measured else None for name, field in FIELDS.items()]


def test_the_auroc_and_its_error_are_those_of_the_curve_and_of_the_bootstrap() -> None:
    random = np.random.default_rng(0)
    ill, free = random.normal(1, 1, 80).round(1), random.normal(0, 1, 90).round(1)  # with ties
    auroc, error = auroc_and_error(ill, free)
    assert auroc == pytest.approx(roc_auc_score([1] * 80 + [0] * 90, np.concatenate([ill, free])), abs=1e-12)
    drawn = [auroc_and_error(random.choice(ill, 80), random.choice(free, 90))[0] for _ in range(2000)]
    assert error == pytest.approx(np.std(drawn), rel=0.06)


def test_age_and_sex_or_risk_factors_do_not_tell_disease_and_a_scan_does(detector: Detector) -> None:
    aurocs = detector.model.sufficiency.aurocs
    assert aurocs is not None
    by_code = dict(zip(codes_of(every_pattern()), aurocs.tolist(), strict=True))

    def measured(*names: str) -> list[float]:
        code = codes_of(np.array([[not FIELDS[name].required and name not in names for name in COLUMNS]]))[0]
        limits: list[float] = by_code[code]
        return limits

    assert measured()[1] < 0.62 < ACCEPTABLE_AUROC
    assert measured("resting_bp", "cholesterol", "fasting_blood_sugar_high", "resting_ecg")[1] < ACCEPTABLE_AUROC
    for name in ("thallium_scan", "chest_pain_type"):
        assert 0.70 < measured(name)[1] < measured(name)[0] < 0.85
    assert measured(*COLUMNS) == pytest.approx([0.91, 0.88], abs=0.02)


def test_a_man_of_67_of_whom_nothing_was_measured_has_no_level(detector: Detector) -> None:
    (said,) = detector.assess([MAN_OF_67])
    assert said.anomaly_score >= detector.thresholds.high
    assert said.risk_level is RiskLevel.INDETERMINATE
    found = detector.outlook(MAN_OF_67, said.risk_level)
    assert isinstance(found, NotEnough)
    assert {"chest_pain_type", "thallium_scan"} <= set(found.needed)
    assert not {"cholesterol", "resting_bp", "age"} & set(found.needed)
    assert found.extreme == []
    for name in found.needed:
        more = MAN_OF_67.model_copy(update={name: detector.typical[name]})
        assert detector.assess([more])[0].risk_level in (RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH)


def test_a_value_that_is_extreme_on_its_own_stays_visible(detector: Detector) -> None:
    extreme = PatientRecord.check(dict.fromkeys(FIELDS) | {"age": 40, "sex": 0, "cholesterol": 900, "resting_bp": 118})
    assert detector.assess([extreme])[0].risk_level is RiskLevel.INDETERMINATE
    found = detector.outlook(extreme, RiskLevel.INDETERMINATE)
    assert isinstance(found, NotEnough)
    assert found.extreme == ["cholesterol"]


def test_all_real_patients_have_a_level_and_a_recalibrated_model_keeps_the_rule(
    detector: Detector, recalibrated: Detector
) -> None:
    assert RiskLevel.INDETERMINATE not in {said.risk_level for said in detector.assess(real_records())}
    np.testing.assert_array_equal(recalibrated.model.sufficiency.aurocs, detector.model.sufficiency.aurocs)


def test_without_labels_exercise_or_imaging_is_enough() -> None:
    assert aurocs_by_pattern(np.zeros((2048, 10)), real_patients().values[:10], np.arange(10) < 5) is None
    rule = Sufficiency(None)
    for name in COLUMNS[2:]:
        is_test = name in (
            "max_heart_rate", "exercise_angina", "st_depression", "st_slope", "major_vessels", "thallium_scan"
        )  # fmt: skip
        assert rule.is_enough(only(name)) == is_test
    assert not rule.is_enough(only())
    assert "thallium_scan" in rule.needed(only("cholesterol"))


def test_age_and_sex_alone_are_never_enough_however_well_they_tell_disease() -> None:
    best = Sufficiency(np.ones((2048, 2)))
    assert not best.is_enough(only())
    assert best.abstained_patterns == 1
    assert best.is_enough(only("cholesterol"))


@pytest.mark.parametrize("missing", [("thallium_scan",), ("max_heart_rate", "st_depression", "st_slope", "resting_bp")])
def test_the_range_of_missing_tests_holds_every_result_that_they_could_show(
    detector: Detector, missing: tuple[str, ...]
) -> None:
    possible = detector.manifest.possible_values
    for whole in real_records()[:5]:
        found = detector.outlook(whole.model_copy(update=dict.fromkeys(missing)), RiskLevel.LOW)
        assert isinstance(found, MissingTests)
        assert not found.is_sampled
        assert found.most_informative in missing
        results = product(*(possible[name] for name in missing))
        said = detector.assess([whole.model_copy(update=dict(zip(missing, shown, strict=True))) for shown in results])
        scores = [one.anomaly_score for one in said]
        ends = [found.lowest.anomaly_score, found.highest.anomaly_score]
        assert ends == pytest.approx([min(scores), max(scores)], abs=1e-12)
        assert {found.lowest.risk_level, found.highest.risk_level} <= {one.risk_level for one in said}


def test_the_test_that_settles_most_is_the_one_whose_results_leave_the_least_open(detector: Detector) -> None:
    both = typical_patient(dict(detector.typical), thallium_scan=None, cholesterol=None)
    found = detector.outlook(both, RiskLevel.LOW)
    assert isinstance(found, MissingTests)
    assert found.most_informative == "thallium_scan"
    assert detector.outlook(real_records()[0], RiskLevel.LOW) is None


def test_of_many_missing_tests_a_sample_and_both_ends_are_looked_at(detector: Detector) -> None:
    names = COLUMNS[-(MOST_IN_FULL + 1) :]
    found = detector.outlook(real_records()[0].model_copy(update=dict.fromkeys(names)), RiskLevel.LOW)
    assert isinstance(found, MissingTests)
    assert found.is_sampled
    assert found.highest.risk_level is RiskLevel.HIGH
    again = detector.outlook(real_records()[0].model_copy(update=dict.fromkeys(names)), RiskLevel.LOW)
    assert again == found


def test_bins_of_quantities_stand_for_all_patients_in_round_numbers() -> None:
    possible = possible_values(real_patients().values)
    assert possible["thallium_scan"] == [3, 6, 7]
    for name, step in (("resting_bp", 5), ("cholesterol", 5), ("max_heart_rate", 5), ("st_depression", 0.5)):
        assert 4 <= len(possible[name]) <= 5
        assert all(value % step == 0 for value in possible[name])
        assert possible[name] == sorted(possible[name], reverse=name == "max_heart_rate")
