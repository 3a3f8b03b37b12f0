"""From a request to a stored answer: in batches, once for each request, and never silently."""

import dataclasses
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from common.errors import OverloadedError, ShuttingDownError
from common.messages import Changes, Prediction, PredictRequest
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.explanation.facts import Facts
from server.explanation.llama import NarrativeError, Release
from server.explanation.narrator import ExplanationSource
from server.explanations import ExplanationWorkers
from server.predictions import PredictionService
from server.recorder import Recorder
from server.registry.artifact import load_detector
from server.registry.current_model import CurrentModel
from server.store import PredictionStore
from server.store.database import open_database
from tests.support.made_requests import record, request
from tests.support.model_versions import activate
from tests.support.published import WAIT_SECONDS, BreaksOnChanges, Kept, Mute
from tests.support.writing import CLOSED

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)

NO_MODEL = ExplanationSource(None, "None is set.")

MakeService = Callable[..., PredictionService]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")


@pytest.fixture
def published() -> Kept:
    return Kept()


@pytest.fixture
def make_service(detector: Detector, detector_dir: Path, engine: Engine, published: Kept) -> Iterator[MakeService]:
    services: list[PredictionService] = []

    def make(
        *,
        scoring: Detector = detector,
        model: CurrentModel | None = None,
        batch_size: int = 16,
        max_waiting: int = 100,
        published: Kept = published,
        source: ExplanationSource = NO_MODEL,
    ) -> PredictionService:
        store = PredictionStore(engine)
        recorder = Recorder(store, published)
        workers = ExplanationWorkers(
            source,
            recorder,
            published,
            clock=lambda: NOW,
            seconds=20,
            concurrency=1,
            max_waiting=10,
        )
        services.append(
            PredictionService(
                model or CurrentModel(detector_dir, load=lambda _: scoring, clock=lambda: NOW, seconds=3600),
                store,
                recorder,
                published,
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


def answers_of(changes: Changes) -> list[Prediction]:
    return [entry.prediction for entry in changes.entries if entry.prediction is not None]


def test_an_answer_says_what_the_detector_says(make_service: MakeService, published: Kept, detector: Detector) -> None:
    service = make_service()
    service.start()
    asked = request(3).model_copy(update={"patient_reference": "A"})
    service.submit(asked, "Client-2")
    (answer,) = answers_of(published.next_changes())
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
    assert (answer.client_id, answer.patient_reference, answer.made_at) == ("Client-2", "A", NOW)
    assert answer.explanation.source == "template"
    assert answer.explanation.reason is None
    assert set(answer.timings_ms) == {"waiting", "scoring", "explaining"}
    assert not answer.awaits_explanation


def test_what_is_not_measured_or_outside_the_models_range_is_listed(make_service: MakeService, published: Kept) -> None:
    changed = record(0).model_dump() | {"cholesterol": 900.0, "st_slope": None, "thallium_scan": None}
    service = make_service()
    service.start()
    service.submit(request(1).model_copy(update={"record": PatientRecord.check(changed)}), "Client-1")
    (answer,) = answers_of(published.next_changes())
    assert answer.imputed == ["st_slope", "thallium_scan"]
    assert answer.extrapolated == ["cholesterol"]
    assert [part.field for part in answer.contributions if part.imputed] == answer.imputed
    assert [part.field for part in answer.contributions if part.extrapolated] == answer.extrapolated


def test_what_waits_together_is_answered_in_one_run_of_the_log(make_service: MakeService, published: Kept) -> None:
    service = make_service(batch_size=16)
    for number in range(1, 41):
        service.submit(request(number), "Client-1")
    service.start()
    runs = [published.next_changes() for _ in range(3)]
    assert [len(run.entries) for run in runs] == [16, 16, 8]
    assert [answer.request_id for run in runs for answer in answers_of(run)] == [
        f"request-{number}" for number in range(1, 41)
    ]


def test_a_request_that_comes_twice_in_one_batch_is_answered_once(make_service: MakeService, published: Kept) -> None:
    service = make_service()
    for number in (1, 1, 2):
        service.submit(request(number), "Client-1")
    service.start()
    assert [answer.request_id for answer in answers_of(published.next_changes())] == ["request-1", "request-2"]
    service.stop()
    assert published.is_empty()


def test_a_request_that_comes_again_gets_the_stored_answer(make_service: MakeService, published: Kept) -> None:
    service = make_service()
    service.start()
    service.submit(request(1), "Client-1")
    (answer,) = answers_of(published.next_changes())
    later = request(1).model_copy(update={"waiting": 7, "entered_at": NOW})
    service.submit(later, "Client-1")
    again = published.next()
    assert isinstance(again, Prediction)
    assert again.model_dump_json() == answer.model_dump_json()
    assert again.to_wire() == answer.to_wire()


@pytest.mark.parametrize("changes", [{"record": record(5)}, {"patient_reference": "another"}])
@pytest.mark.parametrize("together", [True, False])
def test_a_request_id_used_for_something_else_is_refused(
    make_service: MakeService, published: Kept, changes: dict[str, object], together: bool
) -> None:
    service = make_service()
    service.submit(request(1), "Client-1")
    if together:
        service.submit(request(1).model_copy(update=changes), "Client-1")
        service.start()
        refusal = published.next_refusal()
        published.next_changes()
    else:
        service.start()
        published.next_changes()
        service.submit(request(1).model_copy(update=changes), "Client-1")
        refusal = published.next_refusal()
    assert refusal.request_id == "request-1"
    assert refusal.error.code == "request_id_reused"
    assert not refusal.error.retryable


def test_the_same_request_id_of_two_clients_is_two_requests(make_service: MakeService, published: Kept) -> None:
    service = make_service()
    service.submit(request(1), "Client-1")
    service.submit(request(1).model_copy(update={"record": record(9)}), "Client-2")
    service.start()
    first, second = answers_of(published.next_changes())
    assert (first.client_id, second.client_id) == ("Client-1", "Client-2")
    assert first.prediction_id != second.prediction_id


def test_a_full_queue_refuses_what_comes_and_keeps_what_it_has(make_service: MakeService, published: Kept) -> None:
    service = make_service(max_waiting=2)
    service.submit(request(1), "Client-1")
    service.submit(request(2), "Client-1")
    with pytest.raises(OverloadedError):
        service.submit(request(3), "Client-1")
    service.start()
    assert len(answers_of(published.next_changes())) == 2


def follower(number: int) -> PredictRequest:
    """The request of that number of an outbox in which the ones before it wait as well."""
    return request(number).model_copy(update={"follows": number - 1})


def test_what_was_sent_behind_an_overload_waits_for_the_one_that_was_refused(
    make_service: MakeService, published: Kept
) -> None:
    service = make_service(max_waiting=3)
    service.submit(follower(1), "Client-1")
    for number in (1, 2):
        service.submit(request(number), "Client-2")
    with pytest.raises(OverloadedError):
        service.submit(follower(2), "Client-1")
    service.start()
    assert len(answers_of(published.next_changes())) == 3
    service.submit(follower(3), "Client-1")
    refusal = published.next_refusal()
    assert (refusal.request_id, refusal.error.code, refusal.error.retryable) == ("request-3", "out_of_turn", True)
    for number in (2, 3):
        service.submit(follower(number), "Client-1")
    service.stop()
    assert [item.prediction.outbox_number for item in service.store.recent(10, client_id="Client-1")] == [3, 2, 1]


def test_what_waits_behind_a_batch_that_could_not_be_stored_is_refused_with_it(
    make_service: MakeService, published: Kept, engine: Engine
) -> None:
    fails = iter([True])

    @event.listens_for(engine, "commit")
    def _fail_once(_: object) -> None:
        if next(fails, False):
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    service = make_service(batch_size=2)
    for number in range(1, 5):
        service.submit(follower(number), "Client-1")
    service.submit(request(1), "Client-2")
    service.start()
    refusals = [published.next_refusal() for _ in range(4)]
    assert [refusal.request_id for refusal in refusals] == [f"request-{number}" for number in range(1, 5)]
    assert [refusal.error.code for refusal in refusals] == ["store_unavailable"] * 2 + ["out_of_turn"] * 2
    assert [answer.client_id for answer in answers_of(published.next_changes())] == ["Client-2"]
    for number in range(1, 5):
        service.submit(follower(number), "Client-1")
    service.stop()
    assert [item.prediction.outbox_number for item in service.store.recent(10, client_id="Client-1")] == [4, 3, 2, 1]


def test_stopping_answers_what_was_accepted_and_refuses_the_rest(make_service: MakeService, published: Kept) -> None:
    service = make_service(batch_size=4)
    for number in range(1, 11):
        service.submit(request(number), "Client-1")
    service.start()
    service.stop()
    answered = [answer for _ in range(3) for answer in answers_of(published.next_changes())]
    assert len(answered) == 10
    with pytest.raises(ShuttingDownError):
        service.submit(request(11), "Client-1")
    assert not service.is_running


def test_whatever_is_accepted_while_it_stops_is_answered(make_service: MakeService, published: Kept) -> None:
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
    answered: list[str] = []
    while not published.is_empty():
        answered += [answer.request_id for answer in answers_of(published.next_changes())]
    assert answered == accepted


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
    make_service: MakeService, published: Kept, detector: Detector, caplog: pytest.LogCaptureFixture
) -> None:
    broken = dataclasses.replace(detector, model=FailsOnOneAge(detector.model, bad_age=111))
    bad = PatientRecord.check(record(0).model_dump() | {"age": 111})
    service = make_service(scoring=broken)
    service.submit(request(1), "Client-1")
    service.submit(request(2).model_copy(update={"record": bad}), "Client-1")
    service.submit(request(3), "Client-1")
    service.start()
    (first,) = answers_of(published.next_changes())
    refusal = published.next_refusal()
    (third,) = answers_of(published.next_changes())
    assert (first.request_id, refusal.request_id, third.request_id) == ("request-1", "request-2", "request-3")
    assert refusal.error.code == "internal_error"
    assert "something nobody thought of" not in refusal.error.message
    assert "something nobody thought of" in caplog.text


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
    make_service: MakeService, published: Kept, detector: Detector, other_detector_dir: Path, model_folder: Path
) -> None:
    changing = ChangesTheModel(detector.model)
    other = load_detector(other_detector_dir)
    versions = [dataclasses.replace(detector, model=changing), other]
    model = CurrentModel(model_folder, load=lambda _: versions.pop(0), clock=lambda: NOW, seconds=3600)
    activate(other_detector_dir, model_folder)
    changing.take_over = model.look
    service = make_service(model=model)
    for number in range(1, 9):
        service.submit(request(number), "Client-1")
    service.start()
    old = answers_of(published.next_changes())
    service.submit(request(9), "Client-1")
    (new,) = answers_of(published.next_changes())
    for answer, version in [*((answer, detector) for answer in old), (new, other)]:
        (said,) = version.assess([answer.record])
        assert (answer.model_version, answer.thresholds) == (version.model_version, version.thresholds)
        assert (answer.raw_score, answer.anomaly_score) == (said.raw_score, said.anomaly_score)
        assert {part.field: part.contribution for part in answer.contributions} == said.contributions
        assert {part.field: part.typical for part in answer.contributions} == version.typical
    assert len(old) == 8


def test_what_cannot_be_stored_is_refused_as_retryable_and_not_published(
    make_service: MakeService, published: Kept, engine: Engine
) -> None:
    limit = {"pages": 1}  # SQLite takes it for the size the file has now

    @event.listens_for(engine, "checkout")
    def _limit_size(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit['pages']}").close()  # type: ignore[attr-defined]

    service = make_service()
    for number in range(1, 11):
        service.submit(request(number), "Client-1")
    service.start()
    refusals = [published.next_refusal() for _ in range(10)]
    assert {refusal.error.code for refusal in refusals} == {"store_unavailable"}
    assert all(refusal.error.retryable for refusal in refusals)
    assert service.store.cursor() == 0
    limit["pages"] = 2**30
    service.submit(request(1), "Client-1")
    assert published.next_changes().after == 0


class Silent:
    """A language model that says when it is asked, and then fails."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def __init__(self) -> None:
        self.asked: Queue[Facts] = Queue()

    def write(self, facts: Facts, *, deadline: float, release: Release) -> str:
        self.asked.put(facts)
        raise NarrativeError("of a reason")


@pytest.mark.parametrize("requests", [1, 3])
def test_what_was_stored_but_not_published_is_answered_as_a_repeat_and_explained(
    make_service: MakeService, requests: int
) -> None:
    published, writer = BreaksOnChanges(failures=1), Silent()
    service = make_service(published=published, source=ExplanationSource(writer, "It is set."))
    for number in range(1, requests + 1):
        service.submit(request(number), "Client-1")
    service.start()
    told = [published.next() for _ in range(2 * requests)]
    answered = [answer.request_id for answer in told if isinstance(answer, Prediction)]
    assert answered == [f"request-{number}" for number in range(1, requests + 1)]
    explained = [change for change in told if isinstance(change, Changes)]
    assert len(explained) == writer.asked.qsize() == requests
    assert service.store.unfinished() == []


def test_an_answer_that_cannot_be_published_at_all_is_not_refused_and_ends_nothing(make_service: MakeService) -> None:
    published = Mute()
    service = make_service(published=published)
    service.submit(request(1), "Client-1")
    service.start()
    service.submit(request(2), "Client-1")
    service.stop()
    assert published.is_empty()


def test_the_batcher_outlives_a_publisher_that_fails(make_service: MakeService) -> None:
    service = make_service(published=Mute(), batch_size=1)
    for number in (1, 2):
        service.submit(request(number), "Client-1")
    service.start()
    service.stop()
    assert [item.prediction.request_id for item in service.store.recent(10)] == ["request-2", "request-1"]
