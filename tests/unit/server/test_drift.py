"""What operators are told of drift, from a real record of predictions and the reference of the real patients."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from common.errors import StoreUnavailableError
from common.messages import Prediction, RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.reference import Reference, reference_of
from server.drift.comparison import Status, drifted, score_drifts
from server.drift.report import DriftReport, GroupDrift, drift_report
from server.drift.sentences import data_in_words, levels_in_words, sentence
from server.drift.windows import RollingWindows
from server.store import PredictionStore
from tests.support.made_requests import NOON, prediction, request
from tests.support.patients import real_patients
from tests.support.recording import stored

VERSION = "a version"
THRESHOLDS = Thresholds(medium=0.8, high=0.95)
REFERENCE = reference_of(real_patients().values, real_patients().has_disease, THRESHOLDS)

MakeWindows = Callable[..., RollingWindows]


@pytest.fixture
def make_windows(store: PredictionStore) -> MakeWindows:
    def make(*, patients: int = 200, days: int = 90, now: datetime = NOON) -> RollingWindows:
        return RollingWindows(store, ("Client-1", "Client-2"), patients=patients, days=days, clock=lambda: now)

    return make


def made(number: int, client_id: str, *, at: datetime, version: str = VERSION, **changes: object) -> Prediction:
    answer = prediction(request(number + 1), client_id=client_id)
    return answer.model_copy(
        update={
            "prediction_id": f"{client_id}-{number}",
            "made_at": at,
            "model_version": version,
            "anomaly_score": (number % 100) / 100,
            "record": answer.record.model_copy(update=changes),
        }
    )


def see(
    store: PredictionStore,
    client_id: str,
    numbers: range,
    *,
    at: datetime = NOON,
    version: str = VERSION,
    **changes: object,
) -> None:
    """Store the real patients of some numbers, with changed values if need be."""
    answers = [made(number, client_id, at=at, version=version, **changes) for number in numbers]
    stored(store, *answers)


def report(windows: RollingWindows, reference: Reference = REFERENCE, version: str = VERSION) -> DriftReport:
    return drift_report(windows, reference, version, "training")


def group(windows: RollingWindows, client_id: str | None = None) -> GroupDrift:
    (found,) = (group for group in report(windows).groups if group.client_id == client_id)
    return found


def sentences(found: GroupDrift) -> list[str]:
    return [finding.sentence.replace("\u202f", " ") for finding in found.findings]


def test_fewer_than_100_patients_are_counted_and_nothing_else_is_told(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    see(store, "Client-1", range(42), cholesterol=None)
    see(store, "Client-2", range(57), cholesterol=None)
    for found, number in zip(report(make_windows()).groups, (99, 42, 57), strict=True):
        assert found == GroupDrift(
            client_id=found.client_id, patients=number, summary=f"{number} of 100 patients needed"
        )


def test_patients_of_the_training_file_are_as_in_training(store: PredictionStore, make_windows: MakeWindows) -> None:
    see(store, "Client-1", range(303))
    found = group(make_windows(patients=303), "Client-1")
    assert (found.status, found.summary, found.findings) == (Status.STABLE, "as in training", ())
    assert [field.name for field in found.fields] == list(FIELDS)


def test_it_is_said_who_does_not_measure_what_and_how_it_was_in_training(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    see(store, "Client-1", range(200))
    see(store, "Client-2", range(81), cholesterol=None)
    see(store, "Client-2", range(81, 100))
    windows = make_windows()
    assert sentences(group(windows, "Client-2")) == [
        "Serum cholesterol is not measured for 81 % of Client-2's patients; in training 0 %."
    ]
    assert sentences(group(windows)) == [
        "Serum cholesterol is not measured for 27 % of all clients' patients; in training 0 %."
    ]
    assert (group(windows, "Client-1").status, group(windows, "Client-2").status) == (Status.STABLE, Status.LARGE)
    assert group(windows, "Client-2").summary == "1 field differs from training"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"age": 80}, "Age differs: 100 % of the values of Client-1's patients are over 62.5 years; in training 20 %."),
        (
            {"thallium_scan": 6},
            "Thallium scan differs: 100 % of the values of Client-1's patients are “fixed defect”; in training 6 %.",
        ),
        (
            {"major_vessels": 3},
            "Major vessels differ: 100 % of the values of Client-1's patients are “2” or “3”; in training 19 %.",
        ),
        (
            {"major_vessels": None},
            "Major vessels are not measured for 100 % of Client-1's patients; in training 1 %.",
        ),
    ],
)
def test_it_is_said_where_the_values_went(
    store: PredictionStore, make_windows: MakeWindows, changes: dict[str, Any], sentence: str
) -> None:
    see(store, "Client-1", range(120), **changes)
    assert sentences(group(make_windows(), "Client-1")) == [sentence]


def test_no_number_of_fewer_than_five_measured_patients_is_told(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    see(store, "Client-1", range(100), thallium_scan=None)
    see(store, "Client-1", range(100, 104), thallium_scan=6)
    (finding,) = sentences(group(make_windows(), "Client-1"))
    assert finding == "Thallium scan is not measured for 96 % of Client-1's patients; in training 1 %."
    (compared,) = (field for field in group(make_windows(), "Client-1").fields if field.name == "thallium_scan")
    assert (compared.psi_disease_free, compared.psi_all_patients) == (None, None)


def test_no_value_of_a_single_patient_is_told(store: PredictionStore, make_windows: MakeWindows) -> None:
    see(store, "Client-1", range(199))
    see(store, "Client-1", range(199, 200), cholesterol=987.0, age=117)
    told = report(make_windows()).model_dump_json()
    assert not re.search(r"\b(987|117)\b", told)


def test_a_window_holds_the_newest_patients_alone_and_none_from_too_long_ago(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    windows = make_windows(patients=120, days=90)
    see(store, "Client-1", range(100), cholesterol=None, at=NOON - timedelta(days=91))
    assert group(windows, "Client-1").patients == 0
    assert group(make_windows(days=92), "Client-1").status == Status.LARGE
    see(store, "Client-1", range(100, 220))
    assert (group(windows, "Client-1").patients, group(windows, "Client-1").status) == (120, Status.STABLE)


def test_windows_that_followed_read_each_patient_once_and_hold_what_new_ones_do(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    following = make_windows(patients=150)
    before = following.read()["Client-1"]
    for first in range(0, 300, 60):
        see(store, "Client-1", range(first, first + 60))
        see(store, "Client-2", range(first, first + 25))
        after = following.read()["Client-1"]
        assert following.read() == make_windows(patients=150).read()
        overlap = {patient.sequence: patient for patient in before}
        assert all(overlap.get(patient.sequence, patient) is patient for patient in after)
        before = after
    assert [len(window) for window in following.read().values()] == [150, 125]


def test_windows_forget_what_another_log_lacks_and_read_numbers_that_come_again(
    store: PredictionStore, make_windows: MakeWindows, engine: Engine
) -> None:
    following = make_windows()
    see(store, "Client-1", range(20))
    following.read()
    with engine.begin() as connection:  # as a failover to a standby that was behind
        connection.execute(text("DELETE FROM predictions WHERE sequence > 10"))
        connection.execute(text("DELETE FROM changes WHERE sequence > 10"))
        connection.execute(text("UPDATE change_counter SET value = 10"))
    store.rename_log()
    see(store, "Client-1", range(30, 45))
    assert following.read() == make_windows().read()
    assert len(following.read()["Client-1"]) == 25


def test_after_a_change_of_the_model_fields_are_compared_at_once_and_scores_when_enough_are_its_own(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    windows = make_windows()
    see(store, "Client-1", range(110))
    reference = reference_of(real_patients().values[:60], np.arange(60) >= 30, THRESHOLDS)
    found = report(windows, reference, "the next version").groups[1]
    assert (found.patients, found.high) == (110, None)
    assert found.levels == "0 of 100 patients needed whom this version of the model gave a level."
    assert report(windows, reference).disease_free == 30
    see(store, "Client-1", range(110, 210), version="the next version")
    assert report(windows, reference, "the next version").groups[1].high == pytest.approx(0.05)


def test_a_clinic_without_alarms_is_told(store: PredictionStore, make_windows: MakeWindows) -> None:
    answers = [made(number, "Client-1", at=NOON).model_copy(update={"anomaly_score": 0.5}) for number in range(200)]
    stored(store, *answers)
    found = group(make_windows(), "Client-1")
    assert (
        "0 % of Client-1's patients are Medium or higher: fewer than the 20 % of disease-free patients by design."
        in sentences(found)
    )
    assert found.summary == "anomaly scores differ from training"


def test_patients_without_a_level_count_in_no_comparison_of_levels(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    answers = [made(number, "Client-1", at=NOON) for number in range(200)]
    without = {"risk_level": RiskLevel.INDETERMINATE, "anomaly_score": 0.99}
    stored(store, *answers[:100], *(answer.model_copy(update=without) for answer in answers[100:]))
    found = group(make_windows(), "Client-1")
    assert found.patients == 200
    assert found.high == pytest.approx(0.05)


def test_after_a_recalibration_every_sentence_names_the_calibration_data(
    store: PredictionStore, make_windows: MakeWindows
) -> None:
    see(store, "Client-1", range(100), cholesterol=None, age=80)
    found = drift_report(make_windows(), REFERENCE, VERSION, data_in_words("an earlier version"))
    told = found.model_dump_json().replace("\u202f", " ")
    assert found.compared_with == "the calibration data"
    assert "for 100 % of Client-1's patients; in the calibration data 0 %." in told
    assert "over 62.5 years; in the calibration data 20 %." in told
    assert "differ from the calibration data" in told
    assert "training" not in told
    assert data_in_words(None) == "training"


@pytest.mark.parametrize(("share_high", "words"), [(0.9, "of all patients in"), (0.0, "of disease-free patients by")])
def test_levels_name_the_calibration_data_too(share_high: float, words: str) -> None:
    values, labels = real_patients().values, real_patients().has_disease
    scores = np.where(np.arange(303) % 3 == 0, 0.99, 0.5)
    known, data = reference_of(values, labels, THRESHOLDS, anomaly_scores=scores), "the calibration data"
    scored = score_drifts(np.where(np.arange(200) < share_high * 200, 0.99, 0.5), known)
    said = [sentence(name, one, known, whose="Client-1's patients", data=data) for name, one in drifted({}, scored)]
    assert any(words in told for told in said)
    assert "in the calibration data it was" in levels_in_words(scored, data)
    assert "training" not in " ".join([*said, levels_in_words(scored, data)])


def test_a_record_that_cannot_be_read_is_an_error_and_no_report(engine: Engine, make_windows: MakeWindows) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE predictions"))
    with pytest.raises(StoreUnavailableError):
        report(make_windows())
