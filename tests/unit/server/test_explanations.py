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

from common.messages import Changes, Explanation, ExplanationSentence, ExplanationStatus, Prediction
from server.explanation.facts import Facts
from server.explanation.llama import LlamaWriter, Release, asked_but
from server.explanation.narrator import ExplanationSource, Writer
from server.explanation.prompt import PROMPT_VERSION
from server.explanations import FAILED, ExplanationWorkers
from server.recorder import Recorder
from server.store import NewPrediction, PredictionStore
from server.store.database import open_database
from tests.support.llm_faults import REFUSALS, stalls
from tests.support.llm_server import LanguageModel, Reply, answers, says
from tests.support.made_requests import prediction, request
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.published import BreaksOnChanges, Kept
from tests.support.writing import CLOSED, endpoint_at

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)

MakeWorkers = Callable[..., ExplanationWorkers]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")


@pytest.fixture
def store(engine: Engine) -> Iterator[PredictionStore]:
    store = PredictionStore(engine)
    store.append([NewPrediction(prediction(request(number)), "digest") for number in range(1, 8)])
    yield store
    store.close()


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(says(GOOD_TEXT)) as model:
        yield model


@pytest.fixture
def published() -> Kept:
    return Kept()


@pytest.fixture
def make_workers(store: PredictionStore, published: Kept, model: LanguageModel) -> MakeWorkers:
    def make(
        *,
        writer: Writer | None = None,
        concurrency: int = 1,
        max_waiting: int = 10,
        seconds: float = 20,
        published: Kept = published,
        pause: Callable[[float], object] = time.sleep,
    ) -> ExplanationWorkers:
        return ExplanationWorkers(
            ExplanationSource(writer or LlamaWriter(endpoint_at(model.url)), "LLM_BASE_URL is set."),
            Recorder(store, published),
            published,
            clock=lambda: NOW,
            seconds=seconds,
            concurrency=concurrency,
            max_waiting=max_waiting,
            pause=pause,
        )

    return make


def answer(number: int) -> Prediction:
    return prediction(request(number))


def finished(published: Kept) -> Explanation:
    """The next final explanation, skipping the sentences before it."""
    while isinstance(told := published.next(), ExplanationSentence):
        continue
    assert isinstance(told, Changes)
    (entry,) = told.entries
    assert entry.explanation is not None
    return entry.explanation


def test_sentences_come_one_by_one_and_then_the_whole(make_workers: MakeWorkers, published: Kept) -> None:
    workers = make_workers()
    workers.start()
    workers.request(answer(1), facts())
    sentences = []
    while isinstance(told := published.next(), ExplanationSentence):
        sentences.append(told)
    assert isinstance(told, Changes)
    explanation = told.entries[0].explanation
    assert explanation is not None
    assert (explanation.text, explanation.source, explanation.model) == (GOOD_TEXT_FILLED, "llm", "a/model")
    assert explanation.prompt_version == PROMPT_VERSION
    assert explanation.first_sentence_ms is not None
    assert explanation.total_ms is not None
    assert 0 < explanation.first_sentence_ms <= explanation.total_ms
    assert " ".join(sentence.text for sentence in sentences) == GOOD_TEXT_FILLED
    assert {sentence.attempt for sentence in sentences} == {1}


def test_a_failure_keeps_the_first_text_and_says_why(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel, store: PredictionStore
) -> None:
    model.script = answers(429)
    workers = make_workers()
    workers.start()
    workers.request(answer(1), facts())
    explanation = finished(published)
    assert explanation.text == answer(1).explanation.text
    assert explanation.source == "template"
    assert explanation.reason == "The language model was asked, but it is asked too often at the moment."
    assert explanation.first_sentence_ms is None
    assert store.get(answer(1).prediction_id).explanation == explanation


def test_what_became_of_the_explanations_is_counted(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel
) -> None:
    workers = make_workers()
    workers.start()
    workers.request(answer(1), facts())
    written = finished(published)
    model.script = answers(401)
    workers.request(answer(2), facts(score=0.96))
    refused = finished(published)
    told = workers.status
    assert told.last_failure == refused.reason
    assert told.finished.model_dump() == {
        "by_source": {"llm": 1, "template": 1},
        "by_reason": {refused.reason: 1},
        "means": {source.source: means_of(source) for source in (written, refused)},
    }
    assert told.circuit is not None
    assert told.circuit.state == "open"


def means_of(explanation: Explanation) -> dict[str, float]:
    measures = explanation.measures.model_dump() if explanation.measures else {}
    times = {"first_sentence_ms": explanation.first_sentence_ms, "total_ms": explanation.total_ms}
    return {name: round(value, 4) for name, value in (times | measures).items() if value is not None}


def test_more_than_may_wait_end_at_once_with_the_reason(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def script(reply: Reply) -> None:
        begun.set()
        go_on.wait(20)
        says(GOOD_TEXT)(reply)

    model.script = script
    workers = make_workers(max_waiting=0)
    workers.start()
    workers.request(answer(1), facts(score=0.991))
    assert begun.wait(20)
    for number in (2, 3):  # one may wait for each that is under way
        workers.request(answer(number), facts(score=0.99 + number / 1000))
    assert finished(published).reason == "The language model was not asked: too many explanations were waiting for it."
    go_on.set()
    assert [finished(published).source for _ in range(2)] == ["llm", "llm"]


def test_nobody_waits_for_a_turn_for_longer_than_half_of_the_time(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel
) -> None:
    model.script = stalls
    workers = make_workers(seconds=2)
    workers.start()
    for number in (1, 2):
        workers.request(answer(number), facts(score=0.99 + number / 1000))
    turned_away, stalled = finished(published), finished(published)
    assert turned_away.reason == "The language model was not asked: too many explanations were waiting for it."
    assert stalled.reason == "The language model was asked, but it did not answer in time."
    assert turned_away.total_ms is not None
    assert 1000 <= turned_away.total_ms < 1500


def test_150_at_once_all_end_in_time_with_a_reason(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel, store: PredictionStore
) -> None:
    store.append([NewPrediction(prediction(request(number)), "digest") for number in range(8, 151)])
    model.script = stalls
    workers = make_workers(seconds=5, concurrency=4, max_waiting=100)
    workers.start()
    begun = time.monotonic()
    for number in range(1, 151):
        workers.request(answer(number), facts(score=0.99 + number / 100_000))
    assert time.monotonic() - begun < 0.5  # who hands over waits for nothing
    ended = [finished(published) for _ in range(150)]
    assert time.monotonic() - begun < 5.5
    assert all(explanation.reason for explanation in ended)
    assert store.unfinished() == []


class Broken:
    """A writer that fails in a way nobody thought of."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def write(self, facts: Facts, *, deadline: float, release: Release) -> str:
        raise RuntimeError("something nobody thought of")


class Lengthy:
    """A writer whose text needs more room than a database has left that may not grow."""

    model = "a/model"
    prompt_version = "0"
    circuit = CLOSED

    def __init__(self) -> None:
        self.asked: Queue[Facts] = Queue()

    def write(self, facts: Facts, *, deadline: float, release: Release) -> str:
        self.asked.put(facts)
        return "long " * 10_000


def test_an_unexpected_failure_ends_with_an_answer_and_the_next_one_is_tried(
    make_workers: MakeWorkers, published: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    workers = make_workers(writer=Broken())
    workers.start()
    for number in (1, 2):
        workers.request(answer(number), facts())
        assert finished(published).reason == FAILED
    assert "something nobody thought of" in caplog.text


def test_several_are_written_at_once(make_workers: MakeWorkers, published: Kept, model: LanguageModel) -> None:
    both_there = threading.Barrier(2)

    def script(reply: Reply) -> None:
        both_there.wait(10)
        says(GOOD_TEXT)(reply)

    model.script = script
    workers = make_workers(concurrency=2)
    workers.start()
    workers.request(answer(1), facts())
    workers.request(answer(2), facts())
    assert [finished(published).source for _ in range(2)] == ["llm", "llm"]


def test_an_explanation_of_a_prediction_that_is_not_there_holds_up_nothing(
    make_workers: MakeWorkers, published: Kept, store: PredictionStore
) -> None:
    workers = make_workers()
    workers.start()
    unknown = answer(1).model_copy(update={"prediction_id": "never-stored"})
    workers.fall_back(unknown, "Of a reason.")
    workers.request(unknown, facts())
    workers.request(answer(2), facts())
    while isinstance(told := published.next(), ExplanationSentence):
        continue
    assert isinstance(told, Changes)
    assert [entry.prediction_id for entry in told.entries] == [answer(2).prediction_id]
    assert len(store.unfinished()) == 6


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_worker_outlives_a_publisher_that_fails(
    make_workers: MakeWorkers, store: PredictionStore, failures: int
) -> None:
    published = BreaksOnChanges(failures)
    workers = make_workers(published=published)
    workers.start()
    for number in range(1, failures + 2):
        workers.request(answer(number), facts())
    assert finished(published).source == "llm"
    assert store.get(answer(1).prediction_id).explanation.source == "llm"  # stored once, though not published


class Outage:
    """A database that cannot grow, until it has been waited for often enough."""

    def __init__(self, engine: Engine, *, until: int) -> None:
        self.pauses = Queue[float]()
        self.go_on = threading.Event()
        self._left = until
        event.listen(engine, "checkout", self._limit_size)

    def pause(self, seconds: float) -> None:
        self.pauses.put(seconds)
        assert self.go_on.wait(20)
        self._left -= 1

    def _limit_size(self, connection: Any, *_: object) -> None:
        pages = 2**30 if self._left <= 0 else 1  # SQLite takes 1 for the size the file has now
        connection.execute(f"PRAGMA max_page_count = {pages}").close()


def test_an_explanation_is_stored_when_the_store_is_back(
    make_workers: MakeWorkers, published: Kept, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage(engine, until=5)
    outage.go_on.set()
    workers = make_workers(pause=outage.pause, writer=Lengthy())
    workers.start()
    workers.request(answer(1), facts())
    assert finished(published).source == "llm"
    assert [outage.pauses.get(timeout=20) for _ in range(5)] == [1.0, 4.0, 15.0, 15.0, 15.0]
    assert caplog.text.count("waits for the store") == 1


def test_nobody_waits_for_the_store_but_what_is_to_be_stored(
    make_workers: MakeWorkers, published: Kept, store: PredictionStore, engine: Engine
) -> None:
    outage, writer = Outage(engine, until=1), Lengthy()
    workers = make_workers(pause=outage.pause, writer=writer)
    workers.start()
    workers.request(answer(1), facts())
    assert outage.pauses.get(timeout=20) == 1.0
    for number in (2, 3):
        workers.request(answer(number), facts())
    for _ in range(3):
        writer.asked.get(timeout=20)
    assert len(store.unfinished()) == 7  # the next start would end them
    outage.go_on.set()
    assert [finished(published).source for _ in range(3)] == ["llm"] * 3
    assert len(store.unfinished()) == 4


def test_what_an_earlier_process_left_is_ended_when_the_store_is_back(
    make_workers: MakeWorkers, published: Kept, engine: Engine
) -> None:
    outage = Outage(engine, until=1)
    outage.go_on.set()
    workers = make_workers(pause=outage.pause)
    long = answer(1).explanation.model_copy(update={"text": "long " * 10_000})
    workers.fall_back(answer(1).model_copy(update={"explanation": long}), "The server was restarted.")
    assert published.is_empty()
    workers.start()
    assert finished(published).reason == "The server was restarted."


def test_operators_are_told_how_it_goes_when_one_begins_and_when_it_ends(
    make_workers: MakeWorkers, published: Kept, model: LanguageModel
) -> None:
    workers = make_workers()
    workers.start()
    workers.request(answer(1), facts())
    told = [next_status(published), next_status(published)]
    model.script = answers(401)
    workers.request(answer(2), facts(score=0.96))
    told += [next_status(published), next_status(published)]
    assert [status.circuit.state for status in told if status.circuit] == ["closed", "closed", "closed", "open"]
    assert [status.under_way for status in told] == [1, 0, 1, 0]
    counted = [dict(status.finished.by_source) for status in told]
    assert counted == [{}, {"llm": 1}, {"llm": 1}, {"llm": 1, "template": 1}]
    assert told[-1].last_failure == asked_but(REFUSALS[401])
    assert told[-1] == workers.status


def next_status(published: Kept) -> ExplanationStatus:
    return published.explanation_statuses.get(timeout=20)
