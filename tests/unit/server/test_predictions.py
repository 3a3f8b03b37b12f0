"""From a request to a stored answer: in batches, once for each request, and never silently."""

import dataclasses
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from queue import Queue

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from common.errors import ErasedError, OverloadedError, ShuttingDownError, StoreUnavailableError
from common.messages import Change, Prediction
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.explanation.facts import Facts
from server.explanation.llama import NarrativeError
from server.explanation.narrator import ExplanationSource
from server.explanations import ExplanationWorkers
from server.log import ChangeLog
from server.predictions import ACCEPTED, STORED, PredictionService
from server.registry.artifact import load_detector
from server.registry.current_model import CurrentModel
from server.store import PredictionStore
from server.store.database import open_database
from tests.support.made_requests import record, request
from tests.support.model_versions import activate
from tests.support.recording import WAIT_SECONDS, Reader
from tests.support.writing import CLOSED

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)

NO_MODEL = ExplanationSource(None, "None is set.")

MakeService = Callable[..., PredictionService]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")


@pytest.fixture
def make_service(detector: Detector, detector_dir: Path, engine: Engine) -> Iterator[MakeService]:
    services: list[PredictionService] = []

    def make(
        *,
        scoring: Detector = detector,
        model: CurrentModel | None = None,
        batch_size: int = 16,
        max_waiting: int = 100,
        source: ExplanationSource = NO_MODEL,
    ) -> PredictionService:
        store = PredictionStore(engine)
        changes = ChangeLog(store)
        workers = ExplanationWorkers(
            source,
            store,
            changes,
            clock=lambda: NOW,
            seconds=20,
            concurrency=1,
            max_waiting=10,
        )
        services.append(
            PredictionService(
                model or CurrentModel(detector_dir, load=lambda _: scoring, clock=lambda: NOW, seconds=3600),
                store,
                changes,
                workers,
                clock=lambda: NOW,
                batch_size=batch_size,
                max_waiting=max_waiting,
            )
        )
        return services[-1]

    yield make
    for service in services:
        if service.is_running:
            service.stop()
    engine.dispose()


def answers_of(entries: Sequence[Change]) -> list[Prediction]:
    return [entry.prediction for entry in entries if entry.prediction is not None]


def answered(service: PredictionService, number: int) -> list[Prediction]:
    """The predictions among so many entries of the log, once they are there."""
    return answers_of(Reader(service.changes, after=0).entries(number))


def submit_all(service: PredictionService, *numbers: int) -> None:
    for number in numbers:
        assert service.submit(request(number), "Client-1") == ACCEPTED


def test_an_answer_says_what_the_detector_says(make_service: MakeService, detector: Detector) -> None:
    service = make_service()
    service.start()
    asked = request(3).model_copy(update={"patient_reference": "A"})
    service.submit(asked, "Client-2")
    (answer,) = answered(service, 1)
    (assessment,) = detector.assess([asked.record])
    assert (answer.raw_score, answer.anomaly_score) == (assessment.raw_score, assessment.anomaly_score)
    assert answer.risk_level == assessment.risk_level
    assert {part.field: part.contribution for part in answer.contributions} == assessment.contributions
    assert math.isclose(
        answer.base_value + sum(part.contribution for part in answer.contributions),
        math.log2(answer.raw_score),
        abs_tol=1e-9,
    )
    assert [part.field for part in answer.contributions] == list(FIELDS)
    assert (answer.request_id, answer.record, answer.entered_at) == ("request-3", asked.record, asked.entered_at)
    assert (answer.client_id, answer.patient_reference, answer.made_at) == ("Client-2", "A", NOW)
    assert answer.explanation.source == "template"
    assert answer.explanation.reason is None
    assert set(answer.timings_ms) == {"waiting", "scoring", "explaining"}
    assert not answer.awaits_explanation


def test_what_is_not_measured_or_outside_the_models_range_is_listed(make_service: MakeService) -> None:
    changed = record(0).model_dump() | {"cholesterol": 900.0, "st_slope": None, "thallium_scan": None}
    service = make_service()
    service.start()
    service.submit(request(1).model_copy(update={"record": PatientRecord.check(changed)}), "Client-1")
    (answer,) = answered(service, 1)
    assert answer.imputed == ["st_slope", "thallium_scan"]
    assert answer.extrapolated == ["cholesterol"]
    assert [part.field for part in answer.contributions if part.imputed] == answer.imputed
    assert [part.field for part in answer.contributions if part.extrapolated] == answer.extrapolated


def test_what_waits_together_is_stored_in_one_transaction(make_service: MakeService, engine: Engine) -> None:
    service = make_service(batch_size=16)
    submit_all(service, *range(1, 41))
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    service.start()
    assert [answer.request_id for answer in answered(service, 40)] == [f"request-{number}" for number in range(1, 41)]
    assert len(commits) == 3


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_request_that_comes_again_changes_nothing_and_is_known(make_service: MakeService, is_restarted: bool) -> None:
    service = make_service()
    submit_all(service, 1, 1, 2)
    service.start()
    assert [answer.request_id for answer in answered(service, 2)] == ["request-1", "request-2"]
    if is_restarted:
        service.stop()
        service = make_service()
        service.start()
        submit_all(service, 1)
        submit_all(service, 3)
        answered(service, 3)
    again = request(1).model_copy(update={"entered_at": NOW})
    assert service.submit(again, "Client-1") == STORED
    assert service.store.end().after == 2 + is_restarted


@pytest.mark.parametrize("changes", [{"record": record(5)}, {"patient_reference": "another"}])
@pytest.mark.parametrize("together", [True, False])
def test_a_request_id_used_for_something_else_is_refused_once(
    make_service: MakeService, changes: dict[str, object], together: bool
) -> None:
    service = make_service()
    submit_all(service, 1)
    if not together:
        service.start()
        answered(service, 1)
    other = request(1).model_copy(update=changes)
    assert service.submit(other, "Client-1") == ACCEPTED
    if together:
        service.start()
    made, refused = Reader(service.changes, after=0).entries(2)
    assert made.prediction is not None
    assert (refused.request_id, refused.prediction_id) == ("request-1", None)
    assert refused.error is not None
    assert (refused.error.code, refused.error.retryable) == ("request_id_reused", False)
    assert [service.submit(one, "Client-1") for one in (other, request(1))] == [STORED, STORED]


def test_an_erased_request_is_refused_however_often_it_comes(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    submit_all(service, 1)
    (answer,) = answered(service, 1)
    service.changes.appended(service.store.erase([answer.prediction_id], NOW))
    submit_all(service, 1, 2)
    entries = Reader(service.changes, after=0).entries(3)
    assert [entry.request_id for entry in entries] == ["request-1", "request-1", "request-2"]
    with pytest.raises(ErasedError):
        service.submit(request(1), "Client-1")


def test_the_same_request_id_of_two_clients_is_two_requests(make_service: MakeService) -> None:
    service = make_service()
    service.submit(request(1), "Client-1")
    service.submit(request(1).model_copy(update={"record": record(9)}), "Client-2")
    service.start()
    first, second = answered(service, 2)
    assert (first.client_id, second.client_id) == ("Client-1", "Client-2")
    assert first.prediction_id != second.prediction_id


def test_a_full_queue_refuses_what_comes_and_keeps_what_it_has(make_service: MakeService) -> None:
    service = make_service(max_waiting=2)
    submit_all(service, 1, 2)
    with pytest.raises(OverloadedError):
        service.submit(request(3), "Client-1")
    service.start()
    assert len(answered(service, 2)) == 2


def test_stopping_answers_what_was_accepted_and_refuses_the_rest(make_service: MakeService) -> None:
    service = make_service(batch_size=4)
    submit_all(service, *range(1, 11))
    service.start()
    service.stop()
    assert len(answered(service, 10)) == 10
    with pytest.raises(ShuttingDownError):
        service.submit(request(11), "Client-1")
    assert not service.is_running


def test_whatever_is_accepted_while_it_stops_is_answered(make_service: MakeService) -> None:
    service = make_service(max_waiting=1000)
    service.start()
    accepted: list[str] = []
    begun = threading.Event()

    def submit_until_refused() -> None:
        for number in range(1, 1000):
            try:
                service.submit(request(number), "Client-1")
            except ShuttingDownError:
                return
            accepted.append(f"request-{number}")
            begun.set()

    submitting = threading.Thread(target=submit_until_refused)
    submitting.start()
    begun.wait(WAIT_SECONDS)
    service.stop()
    submitting.join(WAIT_SECONDS)
    assert [answer.request_id for answer in answered(service, len(accepted))] == accepted
    assert service.changes.newest == len(accepted)


class FailsOnOneAge(AnomalyModel):
    """A model that breaks on records of one age, for whatever reason."""

    def __init__(self, model: AnomalyModel, bad_age: int) -> None:
        super().__init__(model.preprocessor, model.forest, model.calibration, model.thresholds)
        self._bad_age = bad_age

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        if any(record.age == self._bad_age for record in records):
            raise RuntimeError("something nobody thought of")
        return super().assess(records)


def test_one_patient_that_breaks_the_detector_does_not_take_the_batch_along(
    make_service: MakeService, detector: Detector, caplog: pytest.LogCaptureFixture
) -> None:
    broken = dataclasses.replace(detector, model=FailsOnOneAge(detector.model, bad_age=111))
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


class ChangesTheModel(AnomalyModel):
    """A model in whose midst another version takes over."""

    def __init__(self, model: AnomalyModel) -> None:
        super().__init__(model.preprocessor, model.forest, model.calibration, model.thresholds)
        self.take_over: Callable[[], object] = bool

    def assess(self, records: Sequence[PatientRecord]) -> list[Assessment]:
        said = super().assess(records)
        self.take_over()
        return said


def test_a_batch_is_of_one_version_though_another_takes_over_while_it_is_scored(
    make_service: MakeService, detector: Detector, other_detector_dir: Path, model_folder: Path
) -> None:
    changing = ChangesTheModel(detector.model)
    other = load_detector(other_detector_dir)
    versions = [dataclasses.replace(detector, model=changing), other]
    model = CurrentModel(model_folder, load=lambda _: versions.pop(0), clock=lambda: NOW, seconds=3600)
    activate(other_detector_dir, model_folder)
    changing.take_over = model.look
    service = make_service(model=model)
    submit_all(service, *range(1, 9))
    service.start()
    answered(service, 8)
    submit_all(service, 9)
    *old, new = answered(service, 9)
    for answer, version in [*((answer, detector) for answer in old), (new, other)]:
        (said,) = version.assess([answer.record])
        assert (answer.model_version, answer.thresholds) == (version.model_version, version.thresholds)
        assert (answer.raw_score, answer.anomaly_score) == (said.raw_score, said.anomaly_score)
        assert {part.field: part.contribution for part in answer.contributions} == said.contributions
        assert {part.field: part.typical for part in answer.contributions} == version.typical
    assert len(old) == 8


def test_while_the_store_is_unavailable_requests_are_dropped_and_refused_for_now(
    make_service: MakeService, engine: Engine
) -> None:
    failed = threading.Event()
    fails = iter([True])

    @event.listens_for(engine, "commit")
    def _fail_once(_: object) -> None:
        if next(fails, False):
            failed.set()
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    service = make_service()
    submit_all(service, *range(1, 11))
    service.start()
    assert failed.wait(WAIT_SECONDS)
    reader, refused = Reader(service.changes, after=0), 0
    for number in count(11):
        try:
            service.submit(request(number), "Client-1")
            if refused:
                break
        except StoreUnavailableError:
            refused += 1
        except OverloadedError:
            assert not refused
    answers: set[str] = set()
    while f"request-{number}" not in answers:
        answers |= {entry.request_id for entry in reader.next()}
    assert answers.isdisjoint({f"request-{number}" for number in range(1, 11)})


class Silent:
    """A language model that says when it is asked, and then fails."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def __init__(self) -> None:
        self.asked: Queue[Facts] = Queue()

    def write(self, facts: Facts, deadline: float) -> str:
        self.asked.put(facts)
        raise NarrativeError("of a reason")


def test_each_new_prediction_is_explained_once(make_service: MakeService) -> None:
    writer = Silent()
    service = make_service(source=ExplanationSource(writer, "It is set."))
    submit_all(service, 1, 1, 2)
    service.start()
    entries = Reader(service.changes, after=0).entries(4)
    assert [answer.awaits_explanation for answer in answers_of(entries)] == [True, True]
    assert [entry.request_id for entry in entries if entry.explanation] == ["request-1", "request-2"]
    assert service.submit(request(1), "Client-1") == STORED
    assert writer.asked.qsize() == 2
    assert service.store.unfinished() == []


def test_the_batcher_outlives_a_listener_that_fails(make_service: MakeService) -> None:
    service = make_service(batch_size=1)

    def fail() -> None:
        raise RuntimeError("something nobody thought of")

    service.changes.tell(fail)
    submit_all(service, 1, 2)
    service.start()
    service.stop()
    assert len(answered(service, 2)) == 2
