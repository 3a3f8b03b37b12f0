"""From a request to a stored answer: in batches, once for each request, and never silently."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from common.errors import StoreUnavailableError
from common.messages import Change, Prediction
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.explanation.facts import facts_of_stored
from server.explanation.llama import ExplanationSource
from server.explanations import ExplanationWorkers
from server.log import ChangeLog
from server.predictions import ACCEPTED, ERASED_AT_ONCE, STORED, PredictionService
from server.registry.artifact import load_detector
from server.registry.current_model import CurrentModel
from server.store import PredictionStore
from tests.support.made_requests import record, request
from tests.support.model_versions import activate
from tests.support.recording import Reader, made, stored
from tests.support.writing import writer_at

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)

NO_MODEL = ExplanationSource(None, "None is set.")

MakeService = Callable[..., PredictionService]


@pytest.fixture
def make_service(detector: Detector, detector_dir: Path, engine: Engine) -> Iterator[MakeService]:
    services: list[PredictionService] = []

    def make(scoring: Detector = detector, model: CurrentModel | None = None, **options: Any) -> PredictionService:
        store = PredictionStore(engine)
        changes = ChangeLog(store)
        workers = ExplanationWorkers(NO_MODEL, store, changes, clock=lambda: NOW, seconds=20, concurrency=1)
        services.append(
            PredictionService(
                model or CurrentModel(detector_dir, load=lambda _: scoring, clock=lambda: NOW, seconds=3600),
                store,
                changes,
                workers,
                clock=lambda: NOW,
                **{"batch_size": 16, "max_waiting": 100, "retention_days": None} | options,
            )
        )
        return services[-1]

    yield make
    for service in services:
        if service.is_running:
            service.stop()


def answers_of(entries: Sequence[Change]) -> list[Prediction]:
    return [entry.prediction for entry in entries if entry.prediction is not None]


def answered(service: PredictionService, number: int) -> list[Prediction]:
    """The predictions among so many entries of the log, once they are there."""
    return answers_of(Reader(service.changes, after=0).entries(number))


def submit_all(service: PredictionService, *numbers: int) -> None:
    for number in numbers:
        assert service.submit(request(number), "Client-1") == ACCEPTED


def assert_said_by(version: Detector, answer: Prediction) -> None:
    """Score the patient again with a version of the model: all that the answer says is of that one."""
    (said,) = version.assess([answer.record])
    assert (answer.model_version, answer.thresholds) == (version.model_version, version.thresholds)
    for name in ("raw_score", "anomaly_score", "score_interval", "risk_level", "base_value"):
        assert getattr(answer, name) == getattr(said, name)
    assert {part.field: part.contribution for part in answer.contributions} == said.contributions
    assert {part.field: part.typical for part in answer.contributions} == version.typical


def test_an_answer_says_what_the_detector_says_and_what_was_not_measured_or_extrapolated(
    make_service: MakeService, detector: Detector
) -> None:
    service = make_service()
    service.start()
    changed = record(3).model_dump() | {"cholesterol": 900.0, "st_slope": None, "thallium_scan": None}
    asked = request(3).model_copy(update={"patient_reference": "A", "record": PatientRecord.check(changed)})
    service.submit(asked, "Client-2")
    (answer,) = answered(service, 1)
    assert_said_by(detector, answer)
    assert answer.is_anomaly == (answer.risk_level == "High") == (answer.anomaly_score >= detector.thresholds.high)
    assert (answer.missing_tests, answer.not_enough) == (detector.outlook(asked.record, answer.risk_level), None)
    assert answer.predictive_value == detector.predictive_value
    assert "once measured; " in answer.explanation.text
    assert answer.top_factors == [factor.name for factor in facts_of_stored(answer).factors]
    assert [part.field for part in answer.contributions] == list(FIELDS)
    assert (answer.request_id, answer.record, answer.entered_at) == ("request-3", asked.record, asked.entered_at)
    assert (answer.client_id, answer.patient_reference, answer.made_at) == ("Client-2", "A", NOW)
    assert (answer.explanation.source, answer.awaits_explanation) == ("template", False)
    assert set(answer.timings_ms) == {"waiting", "scoring", "explaining"}
    assert answer.imputed == [part.field for part in answer.contributions if part.imputed]
    assert answer.imputed == ["st_slope", "thallium_scan"]
    assert answer.extrapolated == [part.field for part in answer.contributions if part.extrapolated] == ["cholesterol"]


def test_too_little_measured_is_no_alarm_and_awaits_nothing(make_service: MakeService, detector: Detector) -> None:
    service = make_service()
    service.explanations.source = ExplanationSource(writer_at("http://127.0.0.1:1/v1"), "")  # nobody is there
    service.start()
    sparse = PatientRecord.check(dict.fromkeys(FIELDS) | {"age": 67, "sex": 1})
    service.submit(request(1).model_copy(update={"record": sparse}), "Client-1")
    (answer,) = answered(service, 1)
    assert answer.anomaly_score >= detector.thresholds.high
    assert (answer.risk_level, answer.is_anomaly, answer.awaits_explanation) == ("Indeterminate", False, False)
    assert (answer.not_enough, answer.missing_tests) == (detector.outlook(sparse, answer.risk_level), None)
    assert answer.contributions
    assert answer.explanation.text.startswith("Not enough measured for a risk level: ")
    counted = service.store.recent(1)[0].totals.by_level
    assert counted == {"Low": 0, "Medium": 0, "High": 0, "Indeterminate": 1}
    assert len(service.store.recent(10, level="Indeterminate")[1]) == 1


def test_what_waits_together_is_stored_in_one_transaction(make_service: MakeService, engine: Engine) -> None:
    service = make_service(batch_size=16)
    submit_all(service, *range(1, 41))
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    service.start()
    assert [answer.request_id for answer in answered(service, 40)] == [f"request-{number}" for number in range(1, 41)]
    service.stop()  # on PostgreSQL an answer can be read before its commit is told here
    assert len(commits) == 3


class Interrupted(AnomalyModel):
    """A model in whose midst something happens that it is told of."""

    def __init__(self, model: AnomalyModel, meanwhile: Callable[[Sequence[PatientRecord]], object]) -> None:
        super().__init__(model.preprocessor, model.forest, model.calibration, model.thresholds, model.sufficiency)
        self._meanwhile = meanwhile

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        said = super().assess(records)
        self._meanwhile(records)
        return said


def test_one_patient_that_breaks_the_detector_does_not_take_the_batch_along(
    make_service: MakeService, detector: Detector, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_on_one(records: Sequence[PatientRecord]) -> None:
        if any(record.age == 111 for record in records):
            raise RuntimeError("something nobody thought of")

    broken = dataclasses.replace(detector, model=Interrupted(detector.model, fail_on_one))
    bad = request(2).model_copy(update={"record": PatientRecord.check(record(0).model_dump() | {"age": 111})})
    service = make_service(scoring=broken)
    submit_all(service, 1)
    service.submit(bad, "Client-1")
    submit_all(service, 3)
    service.start()
    entries = Reader(service.changes, after=0).entries(3)
    assert [answer.request_id for answer in answers_of(entries)] == ["request-1", "request-3"]
    (refused,) = (entry for entry in entries if entry.error is not None)
    assert refused.error is not None
    assert (refused.request_id, refused.error.code) == ("request-2", "internal_error")
    assert "something nobody thought of" not in refused.error.message
    assert "something nobody thought of" in caplog.text
    assert service.submit(bad, "Client-1") == STORED


def test_a_batch_is_of_one_version_though_another_takes_over_while_it_is_scored(
    make_service: MakeService, detector: Detector, other_detector_dir: Path, model_folder: Path
) -> None:
    changing = dataclasses.replace(detector, model=Interrupted(detector.model, lambda _: model.look()))
    other = load_detector(other_detector_dir)
    versions = [changing, other]
    model = CurrentModel(model_folder, load=lambda _: versions.pop(0), clock=lambda: NOW, seconds=3600)
    model.start = lambda announce: None  # type: ignore[method-assign]  # it looks while a batch is scored, and not before
    activate(other_detector_dir, model_folder)
    service = make_service(model=model)
    submit_all(service, *range(1, 9))
    service.start()
    answered(service, 8)
    submit_all(service, 9)
    *old, new = answered(service, 9)
    assert len(old) == 8
    for answer, version in [*((answer, detector) for answer in old), (new, other)]:
        assert_said_by(version, answer)


def test_the_batcher_outlives_a_listener_that_fails(make_service: MakeService) -> None:
    service = make_service(batch_size=1)

    def fail() -> None:
        raise RuntimeError("something nobody thought of")

    service.changes.tell(fail)
    submit_all(service, 1, 2)
    service.start()
    service.stop()
    assert len(answered(service, 2)) == 2


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_what_is_too_old_is_erased_a_few_at_a_time_and_then_freed_or_later_if_that_failed(
    make_service: MakeService, engine: Engine
) -> None:
    vacuumed: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _fail_at_first(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("VACUUM"):
            vacuumed.append(statement)
            if len(vacuumed) == 1:
                raise StoreUnavailableError

    service = make_service(retention_days=30)
    old = [made(number, made_at=NOW - timedelta(days=number)) for number in range(1, 31 + ERASED_AT_ONCE)]
    service.changes.appended(stored(service.store, *old))
    reader = Reader(service.changes)
    assert service.erase_old()
    tombstones = {entry.prediction_id for entry in reader.entries(ERASED_AT_ONCE)}
    assert tombstones == {f"Client-1-{number}" for number in range(31, 31 + ERASED_AT_ONCE)}
    assert service.store.end().totals.predictions == 30
    assert vacuumed == []
    with pytest.raises(StoreUnavailableError):
        service.erase_old()
    assert [service.erase_old(), service.erase_old(), len(vacuumed)] == [False, False, 2]
