"""What operators are told of drift, from a real record of predictions and the reference of the real patients."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from common.errors import StoreUnavailableError
from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.reference import Reference, reference_of
from server.drift.comparison import Status
from server.drift.report import DriftReport, GroupDrift, drift_report
from server.drift.sentences import data_in_words
from server.drift.windows import RollingWindows
from server.store import PredictionStore
from tests.support.made_requests import NOON, prediction, request
from tests.support.patients import real_patients
from tests.support.recording import stored

VERSION = "a version"
THRESHOLDS = Thresholds(medium=0.8, high=0.95)
REFERENCE = reference_of(real_patients().values, real_patients().has_disease, THRESHOLDS)


@dataclass
class Clinics:
    """The record of two client apps' patients, and what is told of them."""

    store: PredictionStore

    def windows(self, *, patients: int = 200, days: int = 90) -> RollingWindows:
        return RollingWindows(self.store, ("Client-1", "Client-2"), patients=patients, days=days, clock=lambda: NOON)

    def see(
        self,
        numbers: range,
        client_id: str = "Client-1",
        *,
        at: datetime = NOON,
        answer: Mapping[str, Any] = MappingProxyType({}),
        **changes: object,
    ) -> None:
        """Store the real patients of some numbers, with changed values and another answer if need be."""
        made = []
        for number in numbers:
            usual = prediction(request(number + 1), client_id=client_id)
            stated = {
                "prediction_id": f"{client_id}-{number}",
                "made_at": at,
                "model_version": VERSION,
                "anomaly_score": (number % 100) / 100,
                "record": usual.record.model_copy(update=changes),
            }
            made.append(usual.model_copy(update=stated | dict(answer)))
        stored(self.store, *made)

    def report(
        self, windows: RollingWindows | None = None, reference: Reference = REFERENCE, version: str = VERSION
    ) -> DriftReport:
        return drift_report(windows or self.windows(), reference, version, "training")

    def group(self, client_id: str | None = "Client-1", windows: RollingWindows | None = None) -> GroupDrift:
        (found,) = (group for group in self.report(windows).groups if group.client_id == client_id)
        return found


@pytest.fixture
def clinics(store: PredictionStore) -> Clinics:
    return Clinics(store)


def sentences(found: GroupDrift) -> list[str]:
    return [finding.sentence.replace("\u202f", " ") for finding in found.findings]


def test_fewer_than_100_patients_are_counted_and_nothing_else_is_told(clinics: Clinics) -> None:
    clinics.see(range(42), cholesterol=None)
    clinics.see(range(57), "Client-2", cholesterol=None)
    for found, number in zip(clinics.report().groups, (99, 42, 57), strict=True):
        assert found == GroupDrift(
            client_id=found.client_id, patients=number, summary=f"{number} of 100 patients needed"
        )


def test_patients_of_the_training_file_are_as_in_training(clinics: Clinics) -> None:
    clinics.see(range(303))
    found = clinics.group(windows=clinics.windows(patients=303))
    assert (found.status, found.summary, found.findings) == (Status.STABLE, "as in training", ())
    assert [field.name for field in found.fields] == list(FIELDS)


def test_it_is_said_who_does_not_measure_what_and_how_it_was_in_training(clinics: Clinics) -> None:
    clinics.see(range(200))
    clinics.see(range(81), "Client-2", cholesterol=None)
    clinics.see(range(81, 100), "Client-2")
    everybody, first, second = clinics.report().groups
    said = "Serum cholesterol is not measured for {} of {} patients; in training 0 %."
    assert sentences(second) == [said.format("81 %", "Client-2's")]
    assert sentences(everybody) == [said.format("27 %", "all clients'")]
    assert (first.status, second.status) == (Status.STABLE, Status.LARGE)
    assert second.summary == "1 field differs from training"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"age": 80}, "Age differs: 100 % of the values of Client-1's patients are over 62.5 years; in training 20 %."),
        (
            {"major_vessels": 3},
            "Major vessels differ: 100 % of the values of Client-1's patients are “2” or “3”; in training 19 %.",
        ),
    ],
)
def test_it_is_said_where_the_values_went(clinics: Clinics, changes: dict[str, Any], sentence: str) -> None:
    clinics.see(range(120), **changes)
    assert sentences(clinics.group()) == [sentence]


def test_no_number_of_fewer_than_five_measured_patients_is_told(clinics: Clinics) -> None:
    clinics.see(range(100), thallium_scan=None)
    clinics.see(range(100, 104), thallium_scan=6)
    found = clinics.group()
    assert sentences(found) == ["Thallium scan is not measured for 96 % of Client-1's patients; in training 1 %."]
    (compared,) = (field for field in found.fields if field.name == "thallium_scan")
    assert (compared.psi_disease_free, compared.psi_all_patients) == (None, None)


def test_no_value_of_a_single_patient_is_told(clinics: Clinics) -> None:
    clinics.see(range(199))
    clinics.see(range(199, 200), cholesterol=987.0, age=117)
    assert not re.search(r"\b(987|117)\b", clinics.report().model_dump_json())


def test_a_window_holds_the_newest_patients_alone_and_none_from_too_long_ago(clinics: Clinics) -> None:
    windows = clinics.windows(patients=120, days=90)
    clinics.see(range(100), cholesterol=None, at=NOON - timedelta(days=91))
    assert clinics.group(windows=windows).patients == 0
    assert clinics.group(windows=clinics.windows(days=92)).status == Status.LARGE
    clinics.see(range(100, 220))
    found = clinics.group(windows=windows)
    assert (found.patients, found.status) == (120, Status.STABLE)


def test_windows_that_followed_read_each_patient_once_and_hold_what_new_ones_do(clinics: Clinics) -> None:
    following = clinics.windows(patients=150)
    before = following.read()["Client-1"]
    for first in range(0, 300, 60):
        clinics.see(range(first, first + 60))
        clinics.see(range(first, first + 25), "Client-2")
        after = following.read()["Client-1"]
        assert following.read() == clinics.windows(patients=150).read()
        overlap = {patient.sequence: patient for patient in before}
        assert all(overlap.get(patient.sequence, patient) is patient for patient in after)
        before = after
    assert [len(window) for window in following.read().values()] == [150, 125]


def test_windows_forget_what_another_log_lacks_and_read_numbers_that_come_again(
    clinics: Clinics, engine: Engine
) -> None:
    following = clinics.windows()
    clinics.see(range(20))
    following.read()
    with engine.begin() as connection:  # as a failover to a standby that was behind
        connection.execute(text("DELETE FROM predictions WHERE sequence > 10"))
        connection.execute(text("DELETE FROM changes WHERE sequence > 10"))
        connection.execute(text("UPDATE change_counter SET value = 10"))
    clinics.store.take_place(None, NOON)
    clinics.see(range(30, 45))
    assert following.read() == clinics.windows().read()
    assert len(following.read()["Client-1"]) == 25


def test_after_a_change_of_the_model_fields_are_compared_at_once_and_scores_when_enough_are_its_own(
    clinics: Clinics,
) -> None:
    clinics.see(range(110))
    reference = reference_of(real_patients().values[:60], np.arange(60) >= 30, THRESHOLDS)
    found = clinics.report(None, reference, "the next version").groups[1]
    assert (found.patients, found.high) == (110, None)
    assert found.levels == "This version of the model has given a level to 0 of these patients; 100 are needed."
    assert clinics.report(None, reference).disease_free == 30
    clinics.see(range(110, 210), answer={"model_version": "the next version"})
    assert clinics.report(None, reference, "the next version").groups[1].high == pytest.approx(0.05)


def test_a_clinic_without_alarms_is_told(clinics: Clinics) -> None:
    clinics.see(range(200), answer={"anomaly_score": 0.5})
    found = clinics.group()
    said = "0 % of Client-1's patients are Medium or higher: fewer than the 20 % of disease-free patients by design."
    assert said in sentences(found)
    assert found.summary == "anomaly scores differ from training"


def test_patients_without_a_level_count_in_no_comparison_of_levels(clinics: Clinics) -> None:
    clinics.see(range(100))
    clinics.see(range(100, 200), answer={"risk_level": RiskLevel.INDETERMINATE, "anomaly_score": 0.99})
    found = clinics.group()
    assert found.patients == 200
    assert found.high == pytest.approx(0.05)


def test_after_a_recalibration_every_sentence_names_the_calibration_data(clinics: Clinics) -> None:
    values, labels = real_patients().values, real_patients().has_disease
    known = reference_of(values, labels, THRESHOLDS, anomaly_scores=np.where(np.arange(303) % 3 == 0, 0.99, 0.5))
    clinics.see(range(100), cholesterol=None, age=80, answer={"anomaly_score": 0.99})
    clinics.see(range(100), "Client-2", answer={"anomaly_score": 0.5})
    found = drift_report(clinics.windows(), known, VERSION, data_in_words("an earlier version"))
    told = found.model_dump_json().replace("\u202f", " ")
    assert found.compared_with == "the calibration data"
    for part in ("calibration data 0 %.", "years; in the calibration data 20 %.", "in the calibration data it was"):
        assert part in told
    assert "training" not in told
    assert data_in_words(None) == "training"


def test_a_record_that_cannot_be_read_is_an_error_and_no_report(engine: Engine, clinics: Clinics) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE predictions"))
    with pytest.raises(StoreUnavailableError):
        clinics.report()
