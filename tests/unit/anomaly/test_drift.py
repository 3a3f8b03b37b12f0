"""Drift: quiet where nothing but chance and case mix differs, told where something does."""

import json
from math import log

import numpy as np
import pytest

from common.messages import Thresholds
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray
from server.anomaly.detector import Detector
from server.anomaly.reference import LEAST_WITH_DISEASE, Reference, reference_of
from server.drift.comparison import Status, field_drifts, score_drifts
from tests.support.patients import real_patients

THRESHOLDS = Thresholds(medium=0.8, high=0.95)
PATIENTS = real_patients()
DISEASE_FREE, WITH_DISEASE = (PATIENTS.values[PATIENTS.has_disease == label] for label in (False, True))
CHOLESTEROL, THALLIUM = COLUMNS.index("cholesterol"), COLUMNS.index("thallium_scan")


def drawn(values: FloatArray, number: int, random: np.random.Generator) -> FloatArray:
    return values[random.integers(0, len(values), number)]


def clinic(patients: int, share_with_disease: float, random: np.random.Generator) -> FloatArray:
    with_disease = random.binomial(patients, share_with_disease)
    return np.vstack([drawn(DISEASE_FREE, patients - with_disease, random), drawn(WITH_DISEASE, with_disease, random)])


def reference(scores: FloatArray | None = None) -> Reference:
    return reference_of(PATIENTS.values, PATIENTS.has_disease, THRESHOLDS, anomaly_scores=scores)


def scores_with_disease(patients: int) -> FloatArray:
    """Scores of which 66 % are High and 16 % Medium, about as measured held out."""
    return np.interp(np.arange(patients) / patients, [0, 0.18, 0.34, 1], [0, 0.8, 0.95, 1])


def training_scores() -> FloatArray:
    scores = np.full(len(PATIENTS.values), 0.5)
    scores[PATIENTS.has_disease] = scores_with_disease(len(WITH_DISEASE))
    return scores


def told(values: FloatArray, known: Reference) -> set[str]:
    """Name what is said to have drifted in a window."""
    drifts = field_drifts(values, known)
    missing = {f"{name} missing" for name, drift in drifts.items() if drift.missing.status != Status.STABLE}
    return missing | {
        name for name, drift in drifts.items() if drift.distribution and drift.distribution.status != Status.STABLE
    }


def test_a_reference_survives_json_and_holds_no_patient() -> None:
    known = reference(training_scores())
    assert Reference.model_validate_json(known.model_dump_json()) == known
    listed = json.loads(known.model_dump_json())
    assert set(listed) == {"edges", "score_edges", "disease_free", "with_disease"}
    for population in (listed["disease_free"], listed["with_disease"]):
        assert all(set(field) == {"missing", "counts"} for field in population["fields"].values())
        assert all(len(field["counts"]) <= 5 for field in population["fields"].values())


def test_the_stability_index_is_the_textbooks_less_what_sampling_adds() -> None:
    known = reference()
    shares = np.array(known.disease_free.fields["sex"].counts) / 164
    values = np.tile(DISEASE_FREE[0], (1000, 1))
    values[:, COLUMNS.index("sex")] = np.arange(1000) >= 200
    textbook = (0.2 - shares[0]) * log(0.2 / shares[0]) + (0.8 - shares[1]) * log(0.8 / shares[1])
    found = field_drifts(values, known)["sex"].distribution
    assert found is not None
    assert found.psi["disease_free"] == pytest.approx(textbook - (1 / 1000 + 1 / 164), abs=0.005)


@pytest.mark.parametrize("share_with_disease", [0.0, 0.5, 1.0])
def test_case_mix_alone_is_no_drift(share_with_disease: float) -> None:
    random = np.random.default_rng(3)
    known = reference()
    said = sum(bool(told(clinic(200, share_with_disease, random), known)) for _ in range(100))
    assert said <= 0.03 * 100


def test_values_in_another_unit_are_told_in_every_window() -> None:
    random, known = np.random.default_rng(5), reference()
    for _ in range(50):
        halved = clinic(100, 0.46, random)
        halved[:, CHOLESTEROL] /= 2
        lower = field_drifts(halved, known)["cholesterol"].distribution
        assert lower is not None
        assert (lower.status, lower.grown) == (Status.LARGE, 0)
        assert lower.share > lower.references["all_patients"]


def test_few_measured_values_are_not_compared() -> None:
    window = clinic(100, 0.5, np.random.default_rng(0))
    window[24:, CHOLESTEROL] = np.nan
    assert field_drifts(window, reference())["cholesterol"].distribution is None
    window[24, CHOLESTEROL] = 240
    assert field_drifts(window, reference())["cholesterol"].distribution is not None


def scores_of(patients: int, share_with_disease: float, random: np.random.Generator) -> FloatArray:
    with_disease = int(patients * share_with_disease)
    return np.append(random.random(patients - with_disease), random.choice(scores_with_disease(500), with_disease))


@pytest.mark.parametrize("share_with_disease", [0.0, 0.2, 0.46])
def test_alarms_between_the_disease_free_and_the_training_file_are_no_drift(share_with_disease: float) -> None:
    random, known = np.random.default_rng(2), reference(training_scores())
    windows = [score_drifts(scores_of(100, share_with_disease, random), known) for _ in range(200)]
    assert sum(any(drift.status != Status.STABLE for drift in window) for window in windows) <= 0.02 * 200


def test_more_alarms_than_in_the_training_file_are_drift_where_it_tells_and_fewer_than_by_design_always() -> None:
    known, unknown = reference(training_scores()), reference()
    more, fewer = scores_of(200, 0.8, np.random.default_rng(2)), np.full(400, 0.5)
    assert [drift.status for drift in score_drifts(more, known)] == [Status.LARGE, Status.LARGE]
    assert [drift.status for drift in score_drifts(more, unknown)] == [Status.STABLE, Status.STABLE]
    for reference_of_scores in (known, unknown):
        assert [d.status for d in score_drifts(fewer, reference_of_scores)] == [Status.MODERATE, Status.LARGE]
    expected = {"disease_free": pytest.approx(0.05), "all_patients": pytest.approx(0.33, abs=0.02)}
    assert score_drifts(more, known)[0].references == expected


def test_after_a_recalibration_the_site_s_own_patients_are_the_reference(
    recalibrated: Detector, sicker_site: Dataset
) -> None:
    known = recalibrated.reference
    labels = sicker_site.has_disease
    assert (known.disease_free.patients, known.with_disease.patients) == ((~labels).sum(), labels.sum())
    random = np.random.default_rng(4)
    windows = [drawn(sicker_site.values, 200, random) for _ in range(50)]
    assert sum(bool(told(window, known)) for window in windows) <= 1
    assert all("st_depression" in told(window, reference()) for window in windows)
    scores = recalibrated.model.anomaly_scores(sicker_site.values)
    high, _ = score_drifts(scores, known)
    assert high.references["all_patients"] == pytest.approx((scores >= THRESHOLDS.high).mean(), abs=0.03)


@pytest.mark.parametrize("with_disease", [0, 3, 60])
@pytest.mark.parametrize(("not_measured", "status"), [(1.0, Status.STABLE), (0.52, Status.LARGE), (0.02, Status.LARGE)])
def test_a_field_that_the_file_lacks_is_expected_to_be_missing(
    with_disease: int, not_measured: float, status: Status
) -> None:
    values = np.vstack([DISEASE_FREE[:40], WITH_DISEASE[:with_disease]])
    values[:40, THALLIUM] = values[43:, THALLIUM] = np.nan
    known = reference_of(values, np.arange(len(values)) >= 40, THRESHOLDS)
    window = clinic(100, 0.46, np.random.default_rng(6))
    window[:, THALLIUM] = 3
    window[: round(not_measured * 100), THALLIUM] = np.nan
    assert field_drifts(window, known)["thallium_scan"].missing.status == status


@pytest.mark.parametrize("with_disease", [0, LEAST_WITH_DISEASE - 1])
def test_where_too_few_with_disease_are_known_more_of_them_are_no_drift(with_disease: int) -> None:
    random = np.random.default_rng(8)
    values = np.vstack([DISEASE_FREE, WITH_DISEASE[:with_disease]])
    known = reference_of(values, np.arange(len(values)) >= len(DISEASE_FREE), THRESHOLDS)
    assert set(known.populations) == {"disease_free", "all_patients"}
    for share in (0.0, 0.5, 1.0):
        assert sum(bool(told(clinic(200, share, random), known)) for _ in range(100)) <= 2
    lower = drawn(DISEASE_FREE, 200, random)
    lower[:, CHOLESTEROL] /= 2
    assert "cholesterol" in told(lower, known)


@pytest.mark.parametrize(("disease_free", "with_disease"), [(25, 0), (25, 10), (25, 25), (40, 60), (164, 139)])
def test_no_bin_ends_at_a_patient_s_value_or_holds_a_few(disease_free: int, with_disease: int) -> None:
    random = np.random.default_rng(disease_free + with_disease)
    for _ in range(20):
        values = np.vstack([drawn(DISEASE_FREE, disease_free, random), drawn(WITH_DISEASE, with_disease, random)])
        known = reference_of(values, np.arange(len(values)) >= disease_free, THRESHOLDS)
        for column, name in enumerate(COLUMNS):
            assert FIELDS[name].codes or not set(known.edges[name]) & set(values[:, column])
            for population in known.populations.values():
                counts = population.fields[name].counts
                assert len(counts) == 1 or all(count == 0 or count >= 5 for count in counts)


WINDOWS = 500
"""In which the figures that the documentation gives are counted."""


@pytest.mark.full
def test_windows_of_the_reference_s_own_population_err_in_fewer_than_half_a_percent() -> None:
    random = np.random.default_rng(1)
    kinds = [(patients, disease_free) for patients in (100, 200, 1000) for disease_free in (25, 40, 150)]
    said = 0
    for patients, disease_free in kinds * WINDOWS:
        values = np.vstack([drawn(DISEASE_FREE, disease_free, random), drawn(WITH_DISEASE, disease_free, random)])
        known = reference_of(values, np.repeat([False, True], disease_free), THRESHOLDS)
        said += bool(told(clinic(patients, 0.5, random), known))
    assert said / (len(kinds) * WINDOWS) < 0.005


@pytest.mark.full
@pytest.mark.parametrize(("more", "patients", "share"), [(20, 100, 1), (10, 100, 0.33), (10, 200, 0.62)])
def test_higher_pressures_are_found_in_that_share_of_the_windows_and_a_fifth_not_measured_in_all(
    more: float, patients: int, share: float
) -> None:
    random, known, found = np.random.default_rng(patients), reference(), 0
    for _ in range(WINDOWS):
        window = clinic(patients, 0.46, random)
        window[:, COLUMNS.index("resting_bp")] += more
        window[: patients // 5, CHOLESTEROL] = np.nan
        said = told(window, known)
        assert "cholesterol missing" in said
        found += "resting_bp" in said
    assert found / WINDOWS == pytest.approx(share, abs=0.07 if share < 1 else 0)
