"""The background work of a language model: one final explanation for every prediction, whatever happens."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from sqlalchemy import Engine, event

from common.messages import Explanation, ExplanationStatus, Prediction
from server.explanation.facts import Facts
from server.explanation.llama import asked_but
from server.explanation.narrator import ExplanationSource, Writer
from server.explanation.prompt import PROMPT_VERSION
from server.explanations import FAILED, QUEUE_FULL, ExplanationWorkers
from server.log import ChangeLog
from server.store import PredictionStore
from server.store.database import open_database
from tests.support.llm_faults import REFUSALS, stalls
from tests.support.llm_server import LanguageModel, Reply, answers, says
from tests.support.made_requests import prediction, request
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.recording import Reader, stored, unfinished
from tests.support.writing import CLOSED, writer_at

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)

MakeWorkers = Callable[..., ExplanationWorkers]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")


@pytest.fixture
def store(engine: Engine) -> Iterator[PredictionStore]:
    store = PredictionStore(engine)
    stored(store, *(answer(number) for number in range(1, 8)))
    yield store
    store.close()


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


@pytest.fixture
def log(store: PredictionStore) -> ChangeLog:
    return ChangeLog(store)


@pytest.fixture
def reader(log: ChangeLog) -> Reader:
    return Reader(log)


@pytest.fixture
def make_workers(store: PredictionStore, log: ChangeLog, model: LanguageModel) -> MakeWorkers:
    def make(
        *, writer: Writer | None = None, concurrency: int = 1, max_waiting: int = 10, seconds: float = 20
    ) -> ExplanationWorkers:
        workers = ExplanationWorkers(
            ExplanationSource(writer or writer_at(model.url), "LLM_BASE_URL is set."),
            store,
            log,
            clock=lambda: NOW,
            seconds=seconds,
            concurrency=concurrency,
            max_waiting=max_waiting,
        )
        workers.start()
        return workers

    return make


def answer(number: int) -> Prediction:
    return prediction(request(number))


def finished(reader: Reader, number: int = 1) -> list[Explanation]:
    """The next final explanations."""
    return [entry.explanation for entry in reader.entries(number) if entry.explanation is not None]


def test_a_text_of_the_language_model_comes_once_and_whole(make_workers: MakeWorkers, reader: Reader) -> None:
    make_workers().request(unfinished(answer(1)), facts())
    (entry,) = reader.entries(1)
    assert (entry.request_id, entry.prediction_id, entry.at) == ("request-1", answer(1).prediction_id, NOW)
    explanation = entry.explanation
    assert explanation is not None
    assert (explanation.text, explanation.source, explanation.model) == (GOOD_TEXT_FILLED, "llm", "a/model")
    assert explanation.prompt_version == PROMPT_VERSION
    assert explanation.total_ms is not None
    assert explanation.total_ms > 0


def test_a_failure_keeps_the_first_text_and_says_why(
    make_workers: MakeWorkers, reader: Reader, model: LanguageModel, store: PredictionStore
) -> None:
    model.script = answers(429)
    workers = make_workers()
    workers.request(unfinished(answer(1)), facts())
    explanation = finished(reader)[0]
    assert explanation.text == answer(1).explanation.text
    assert explanation.source == "template"
    assert explanation.reason == "The language model was asked, but it is asked too often at the moment."
    assert Explanation.model_validate(store.get(answer(1).prediction_id).explanation) == explanation


def test_what_became_of_the_explanations_is_counted(
    make_workers: MakeWorkers, reader: Reader, model: LanguageModel
) -> None:
    workers = make_workers()
    workers.request(unfinished(answer(1)), facts())
    written = finished(reader)[0]
    model.script = answers(401)
    workers.request(unfinished(answer(2)), facts(score=0.96))
    refused = finished(reader)[0]
    told = workers.status
    assert told.last_failure == refused.reason
    assert told.finished.model_dump() == {
        "by_source": {"llm": 1, "template": 1},
        "by_reason": {refused.reason: 1},
        "means": {one.source: {"total_ms": one.total_ms} for one in (written, refused)},
    }
    assert told.circuit is not None
    assert told.circuit.state == "open"


def test_more_than_may_wait_end_at_once_with_the_reason(
    make_workers: MakeWorkers, reader: Reader, model: LanguageModel
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def script(reply: Reply) -> None:
        begun.set()
        go_on.wait(20)
        says(GOOD_TEXT)(reply)

    model.script = script
    workers = make_workers(max_waiting=0)
    workers.request(unfinished(answer(1)), facts(score=0.991))
    assert begun.wait(20)
    for number in (2, 3):  # one may wait for each that is under way
        workers.request(unfinished(answer(number)), facts(score=0.99 + number / 1000))
    assert finished(reader)[0].reason == QUEUE_FULL
    go_on.set()
    assert [finished(reader)[0].source for _ in range(2)] == ["llm", "llm"]


def test_nobody_waits_for_a_turn_for_longer_than_half_of_the_time(
    make_workers: MakeWorkers, reader: Reader, model: LanguageModel
) -> None:
    model.script = stalls
    workers = make_workers(seconds=2)
    for number in (1, 2):
        workers.request(unfinished(answer(number)), facts(score=0.99 + number / 1000))
    turned_away, stalled = finished(reader)[0], finished(reader)[0]
    assert turned_away.reason == QUEUE_FULL
    assert stalled.reason == "The language model was asked, but it did not answer in time."
    assert turned_away.total_ms is not None
    assert 1000 <= turned_away.total_ms < 1500


def test_150_at_once_all_end_in_time_with_a_reason(
    make_workers: MakeWorkers, log: ChangeLog, model: LanguageModel, store: PredictionStore
) -> None:
    stored(store, *(answer(number) for number in range(8, 151)))
    while log.look():
        continue
    reader = Reader(log)
    model.script = stalls
    workers = make_workers(seconds=5, concurrency=4, max_waiting=100)
    begun = time.monotonic()
    for number in range(1, 151):
        workers.request(unfinished(answer(number)), facts(score=0.99 + number / 100_000))
    assert time.monotonic() - begun < 0.5  # who hands over waits for nothing
    ended = finished(reader, 150)
    assert time.monotonic() - begun < 5.5
    assert all(explanation.reason for explanation in ended)
    assert store.unfinished() == []


class Broken:
    """A writer that fails in a way nobody thought of."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def write(self, facts: Facts, deadline: float) -> str:
        raise RuntimeError("something nobody thought of")


class Lengthy:
    """A writer whose text needs more room than a database has left that may not grow."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def __init__(self) -> None:
        self.asked: Queue[Facts] = Queue()

    def write(self, facts: Facts, deadline: float) -> str:
        self.asked.put(facts)
        return "long " * 10_000


def test_an_unexpected_failure_ends_with_an_answer_and_the_next_one_is_tried(
    make_workers: MakeWorkers, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    workers = make_workers(writer=Broken())
    for number in (1, 2):
        workers.request(unfinished(answer(number)), facts())
        assert finished(reader)[0].reason == FAILED
    assert "something nobody thought of" in caplog.text


def test_several_are_written_at_once(make_workers: MakeWorkers, reader: Reader, model: LanguageModel) -> None:
    both_there = threading.Barrier(2)

    def script(reply: Reply) -> None:
        both_there.wait(10)
        says(GOOD_TEXT)(reply)

    model.script = script
    workers = make_workers(concurrency=2)
    workers.request(unfinished(answer(1)), facts())
    workers.request(unfinished(answer(2)), facts())
    assert [finished(reader)[0].source for _ in range(2)] == ["llm", "llm"]


def test_an_explanation_of_a_prediction_that_is_not_there_holds_up_nothing(
    make_workers: MakeWorkers, reader: Reader, store: PredictionStore
) -> None:
    workers = make_workers()
    unknown = unfinished(answer(1).model_copy(update={"prediction_id": "never-stored"}))
    workers.fall_back(unknown, "Of a reason.")
    workers.request(unknown, facts())
    workers.request(unfinished(answer(2)), facts())
    assert [entry.prediction_id for entry in reader.entries(1)] == [answer(2).prediction_id]
    assert len(store.unfinished()) == 6


class Outage:
    """A database that cannot grow until ``end``."""

    def __init__(self, engine: Engine) -> None:
        self._is_over = False
        event.listen(engine, "checkout", self._limit_size)

    def end(self) -> None:
        self._is_over = True

    def _limit_size(self, connection: Any, *_: object) -> None:
        pages = 2**30 if self._is_over else 1  # SQLite takes 1 for the size the file has now
        connection.execute(f"PRAGMA max_page_count = {pages}").close()


def test_nobody_waits_for_the_store_and_all_is_stored_when_it_is_back(
    make_workers: MakeWorkers, reader: Reader, store: PredictionStore, engine: Engine
) -> None:
    outage, writer = Outage(engine), Lengthy()
    workers = make_workers(writer=writer)
    for number in (1, 2, 3):
        workers.request(unfinished(answer(number)), facts())
    for _ in range(3):
        writer.asked.get(timeout=20)
    assert len(store.unfinished()) == 7  # the next start would end them
    outage.end()
    assert [explanation.source for explanation in finished(reader, 3)] == ["llm"] * 3
    assert len(store.unfinished()) == 4


def test_what_an_earlier_process_left_is_ended_with_the_first_text(
    make_workers: MakeWorkers, reader: Reader, store: PredictionStore
) -> None:
    make_workers().fall_back(store.unfinished()[0], "The server was restarted.")
    (explanation,) = finished(reader)
    assert (explanation.text, explanation.reason) == (answer(1).explanation.text, "The server was restarted.")
    assert len(store.unfinished()) == 6


def test_operators_are_told_how_it_goes_when_one_begins_and_when_it_ends(
    make_workers: MakeWorkers, model: LanguageModel, log: ChangeLog
) -> None:
    statuses: Queue[ExplanationStatus] = Queue()
    workers = make_workers()
    log.tell(lambda: statuses.put(workers.status))

    def until(wanted: Callable[[ExplanationStatus], bool]) -> ExplanationStatus:
        while not wanted(status := statuses.get(timeout=20)):
            continue
        return status

    workers.request(unfinished(answer(1)), facts())
    assert until(lambda status: status.under_way == 1).finished.by_source == {}
    assert until(lambda status: status.under_way == 0 and not status.waiting).finished.by_source == {"llm": 1}
    model.script = answers(401)
    workers.request(unfinished(answer(2)), facts(score=0.96))
    told = until(lambda status: status.last_failure is not None)
    assert told.last_failure == asked_but(REFUSALS[401])
    assert told.circuit is not None
    assert told.circuit.state == "open"
    assert told.finished.by_source == {"llm": 1, "template": 1}
