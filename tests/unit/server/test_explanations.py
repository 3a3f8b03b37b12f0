"""The background work of a language model: one final explanation for every prediction, whatever happens."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from sqlalchemy import Engine, event

from common.messages import Explanation, ExplanationStatus
from server import explanations
from server.explanation.facts import Facts
from server.explanation.llama import ExplanationSource, LlamaWriter
from server.explanation.prompt import PROMPT_VERSION
from server.explanations import ExplanationWorkers
from server.log import ChangeLog
from server.store import PredictionStore
from tests.support.llm_server import LanguageModel, Reply, answers
from tests.support.made_requests import prediction, request
from tests.support.recording import Reader, awaiting, made, stored
from tests.support.truthful import explains
from tests.support.waiting import WAIT_SECONDS, wait_until
from tests.support.writing import settings_for, writer_at

LEASE = timedelta(seconds=explanations.LEASE_SECONDS)
MADE = prediction(request(1)).made_at


class System:
    """A record with predictions, a language model, and as many processes as a test starts; ``now`` is their time."""

    def __init__(self, store: PredictionStore, model: LanguageModel) -> None:
        self.store = store
        self.model = model
        self.now = MADE
        self.log = ChangeLog(store)
        self.reader = Reader(self.log)
        self.started: list[ExplanationWorkers] = []

    def make(self, *numbers: int) -> None:
        """Store predictions, each made a second later than the one before."""
        each = [made(number, made_at=MADE + timedelta(seconds=number)) for number in numbers]
        self.log.appended(stored(self.store, *each))
        assert len(self.reader.entries(len(numbers))) == len(numbers)

    def start(self, *, writer: LlamaWriter | None = None, at_once: int = 1, asks: bool = True) -> ExplanationWorkers:
        writing = (writer or writer_at(self.model.url)) if asks else None
        workers = ExplanationWorkers(
            ExplanationSource(writing, "LLM_MODEL is off."),
            self.store,
            self.log,
            clock=lambda: self.now,
            seconds=20,
            concurrency=at_once,
        )
        workers.start()
        self.started.append(workers)
        return workers

    def finished(self) -> Explanation:
        """The next final explanation."""
        (entry,) = self.reader.entries(1)
        assert entry.explanation is not None
        return entry.explanation


@pytest.fixture
def system(store: PredictionStore) -> Iterator[System]:
    with LanguageModel(explains) as model:
        system = System(store, model)
        yield system
        for workers in system.started:
            workers.stop()
    wait_until(lambda: "explanation" not in {thread.name for thread in threading.enumerate()})  # each has a connection


class Paused:
    """A model that says which requests have come, and writes when it is told to."""

    def __init__(self) -> None:
        self.asked: Queue[None] = Queue()
        self.go_on = threading.Event()

    def __call__(self, reply: Reply) -> None:
        self.asked.put(None)
        assert self.go_on.wait(20)
        explains(reply)


def test_a_text_of_the_model_comes_once_and_a_failure_keeps_the_first_text_and_says_why(system: System) -> None:
    system.make(1)
    system.now += timedelta(seconds=3)
    workers = system.start()
    written = system.finished()
    assert (written.source, written.model, written.reason) == ("llm", "a/model", None)
    assert (written.prompt_version, written.total_ms) == (PROMPT_VERSION, 2000)
    assert written.text.startswith("The risk level is Medium")
    system.model.script = answers(401)
    system.make(2)
    workers.look()
    kept = system.finished()
    assert (kept.text, kept.source) == (prediction(request(2)).explanation.text, "template")
    assert kept.reason == "The language model was asked, but the key was refused; check LLM_API_KEY in .env."
    status = workers.status
    assert status.last_failure == kept.reason
    assert status.finished.model_dump() == {"by_source": {"llm": 1, "template": 1}, "by_reason": {kept.reason: 1}}
    assert status.circuit is not None
    assert status.circuit.state == "open"
    assert awaiting(system.store) == set()


def test_as_many_as_may_be_are_under_way_the_newest_first_and_the_others_are_counted(system: System) -> None:
    paused = system.model.script = Paused()
    statuses: Queue[ExplanationStatus] = Queue()
    system.make(1, 2, 3)
    workers = system.start(at_once=2)
    system.log.tell(lambda: statuses.put(workers.status))

    def until(under_way: int, waiting: int) -> None:
        while (status := statuses.get(timeout=20)).under_way != under_way or status.waiting != waiting:
            continue

    for _ in range(2):
        paused.asked.get(timeout=20)
    workers.look()
    assert (workers.status.under_way, workers.status.waiting) == (2, 1)
    system.make(4)
    workers.look()
    until(under_way=2, waiting=2)
    paused.go_on.set()
    until(under_way=0, waiting=0)
    names = [entry.request_id for entry in system.reader.entries(4)]
    assert {*names} == {f"request-{number}" for number in range(1, 5)}
    assert "request-1" not in names[:2]  # the oldest, which waits for the others


def test_two_processes_ask_for_each_explanation_once(system: System) -> None:
    system.make(*range(1, 31))
    for _ in range(2):
        system.start(at_once=4)
    explained = Counter(entry.request_id for entry in system.reader.entries(30))
    assert set(explained.values()) == {1}
    assert system.model.received.qsize() == 30


def test_another_process_takes_over_when_a_lease_ends_and_what_comes_late_is_dropped(system: System) -> None:
    paused = system.model.script = Paused()
    system.make(1)
    slow = system.start()
    paused.asked.get(timeout=20)
    system.model.script = explains
    system.now += LEASE - timedelta(seconds=1)
    other = system.start()
    assert other.status.waiting == 0
    system.now += timedelta(seconds=2)
    other.look()
    assert system.finished().source == "llm"
    other.stop()
    paused.go_on.set()
    system.make(2)
    slow.look()  # it may begin nothing before its late text has been dropped
    assert system.finished().source == "llm"
    assert sum(sum(one.status.finished.by_source.values()) for one in (slow, other)) == 2


def test_a_lease_lasts_as_long_as_its_process_renews_it(system: System) -> None:
    paused = system.model.script = Paused()
    system.make(1)
    slow = system.start()
    paused.asked.get(timeout=20)

    def is_renewed() -> bool:
        later = system.now + LEASE - timedelta(seconds=1)
        return system.store.lease_explanations(0, now=later, until=later, old=later) == ([], 0)

    for _ in range(3):
        system.now += timedelta(seconds=explanations.LOOK_SECONDS + 1)
        slow.look()
        wait_until(is_renewed, WAIT_SECONDS)
    assert system.start().status.waiting == 0
    paused.go_on.set()
    assert system.finished().source == "llm"


def test_what_is_under_way_at_a_stop_is_explained_after_the_restart(system: System) -> None:
    system.model.script = paused = Paused()
    system.make(1, 2)
    stopped = system.start()
    paused.asked.get(timeout=20)
    stopped.stop()
    system.model.script = explains
    system.start()
    assert [system.finished().source for _ in range(2)] == ["llm", "llm"]
    paused.go_on.set()
    assert system.reader.read().entries == []


@pytest.mark.parametrize("is_old", [False, True])
def test_what_keeps_being_interrupted_or_is_too_old_is_not_asked_for(system: System, is_old: bool) -> None:
    system.make(1)
    for _ in range(0 if is_old else explanations.MAX_TRIES):
        until = system.now + LEASE
        assert len(system.store.lease_explanations(1, now=system.now, until=until, old=system.now)[0]) == 1
        system.now = until
    system.now += explanations.MAX_AGE if is_old else timedelta(0)
    system.now += timedelta(seconds=2)
    system.start()
    kept = system.finished()
    assert (kept.source, kept.reason) == ("template", explanations.EXPIRED if is_old else explanations.GIVEN_UP)
    assert system.model.received.empty()


def test_what_awaits_a_model_that_is_there_no_longer_ends_with_the_reason(system: System) -> None:
    system.make(1)
    assert not system.start(asks=False).enabled
    assert system.finished().reason == "LLM_MODEL is off."


class Broken(LlamaWriter):
    """A writer that fails in a way nobody thought of, or writes a text that needs much room."""

    def __init__(self, text: str = "") -> None:
        super().__init__(settings_for("http://127.0.0.1:9/v1"))
        self.asked, self._text = threading.Event(), text

    def write(self, facts: Facts, deadline: float) -> str:
        self.asked.set()
        if not self._text:
            raise RuntimeError("something nobody thought of")
        return self._text


def test_an_unexpected_failure_and_a_prediction_that_cannot_be_read_end_with_an_answer(
    system: System, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    system.make(1, 2)
    with engine.begin() as connection:
        unreadable = """UPDATE predictions SET body = '{"explanation": {}}' WHERE request_id = 'request-1'"""
        connection.exec_driver_sql(unreadable)
    system.start(writer=Broken())
    first_text = prediction(request(2)).explanation.text
    for text in (first_text, explanations.UNREADABLE):
        ended = system.finished()
        assert (ended.text, ended.reason) == (text, explanations.FAILED)
    assert "something nobody thought of" in caplog.text


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_is_lost_while_the_store_is_full(system: System, engine: Engine, path: Path) -> None:
    most, writer = 2**30, Broken("long " * 100_000)

    def limit_size(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {most}").close()

    event.listen(engine, "checkout", limit_size)
    system.make(1)
    most = path.stat().st_size // 4096 + 8  # room for leases, and for nothing long
    system.start(writer=writer)
    assert writer.asked.wait(20)
    later = system.now + LEASE
    assert system.store.lease_explanations(0, now=later, until=later, old=later) == ([], 1)
    most = 2**30
    assert system.finished().source == "llm"
