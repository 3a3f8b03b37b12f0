"""The record of predictions: its log ascends without gaps, and what fails is named and leaves nothing behind."""

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from common.errors import NotFoundError, StoreUnavailableError
from common.messages import Changes, Explanation, Prediction, RiskLevel
from server.store import NewPrediction, PredictionStore
from server.store.database import open_database
from tests.support.made_requests import LLAMA_TEXT, NOON, prediction, request


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")


@pytest.fixture
def store(engine: Engine) -> Iterator[PredictionStore]:
    store = PredictionStore(engine)
    yield store
    store.close()


def made(number: int, *, client_id: str = "Client-1", level: RiskLevel = RiskLevel.MEDIUM) -> Prediction:
    answer = prediction(request(number), client_id=client_id)
    return answer.model_copy(update={"prediction_id": f"{client_id}-{number}", "risk_level": level})


def stored(store: PredictionStore, *answers: Prediction) -> Changes:
    return store.append([NewPrediction(answer, f"digest of {answer.request_id}") for answer in answers])


def test_what_was_stored_is_returned_as_it_was(store: PredictionStore) -> None:
    answer = made(1)
    assert stored(store, answer).entries[0].prediction == answer
    assert store.get(answer.prediction_id).prediction.model_dump_json() == answer.model_dump_json()
    key = ("Client-1", answer.request_id)
    assert store.find([key]) == {key: NewPrediction(answer, "digest of request-1")}


def test_a_request_id_belongs_to_its_client(store: PredictionStore) -> None:
    stored(store, made(1), made(1, client_id="Client-2"))
    assert set(store.find([("Client-1", "request-1"), ("Client-3", "request-1")])) == {("Client-1", "request-1")}


def test_the_log_ascends_and_each_run_continues_the_last(store: PredictionStore) -> None:
    first, explained = stored(store, made(1), made(2)), store.finish_explanation(made(1), LLAMA_TEXT, NOON)
    assert explained is not None
    runs = [first, explained, stored(store, made(3))]
    assert [(run.after, run.next_after, run.has_more) for run in runs] == [(0, 2, False), (2, 3, False), (3, 4, False)]
    assert [entry.sequence for run in runs for entry in run.entries] == [1, 2, 3, 4]
    assert [change.sequence for change in store.changes(0, 10).entries] == [1, 2, 3, 4]
    assert store.changes(0, 10).entries == [entry for run in runs for entry in run.entries]
    assert store.cursor() == 4


def test_concurrent_writers_get_ascending_sequences_without_gaps(store: PredictionStore) -> None:
    runs: list[Changes] = []
    all_ready = threading.Barrier(4)

    def write(writer: int) -> None:
        all_ready.wait(10)
        for number in range(10):
            runs.append(stored(store, made(100 * writer + 2 * number), made(100 * writer + 2 * number + 1)))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ordered = sorted(runs, key=lambda run: run.after)
    assert len(ordered) == 40
    assert ordered[0].after == 0
    assert all(earlier.next_after == later.after for earlier, later in pairwise(ordered))
    assert [entry.sequence for entry in store.changes(0, 100).entries] == list(range(1, 81))
    assert store.totals().predictions == 80


def test_pages_of_the_log_fit_together(store: PredictionStore) -> None:
    stored(store, *(made(number) for number in range(1, 6)))
    stored(store, made(1, client_id="Client-2"), made(6))
    pages, after = [], 0
    while True:
        page = store.changes(after, 2)
        assert page.after == after
        pages.append([entry.sequence for entry in page.entries])
        after = page.next_after
        if not page.has_more:
            break
    assert pages == [[1, 2], [3, 4], [5, 6], [7]]
    assert store.changes(7, 2) == Changes(after=7, next_after=7, has_more=False, entries=[], totals=store.totals())


def test_a_client_reads_its_own_entries_only(store: PredictionStore) -> None:
    stored(store, made(1), made(1, client_id="Client-2"), made(2))
    store.finish_explanation(made(1, client_id="Client-2"), LLAMA_TEXT, NOON)
    page = store.changes(0, 10, client_id="Client-2")
    assert [entry.sequence for entry in page.entries] == [2, 4]
    assert {entry.client_id for entry in page.entries} == {"Client-2"}
    assert page.totals is None


def test_totals_are_counted_over_everything_stored(store: PredictionStore, engine: Engine) -> None:
    stored(store, made(1, level=RiskLevel.HIGH), made(2), made(3, level=RiskLevel.HIGH))
    run = stored(store, made(1, client_id="Client-2", level=RiskLevel.HIGH))
    assert run.totals == store.totals() == PredictionStore(engine).totals()
    assert run.totals.model_dump() == {
        "predictions": 4,
        "by_level": {"Low": 0, "Medium": 1, "High": 3},
        "by_client": {"Client-1": 3, "Client-2": 1},
    }


def test_recent_predictions_come_newest_first_and_filtered(store: PredictionStore) -> None:
    stored(store, made(1), made(2, level=RiskLevel.HIGH), made(1, client_id="Client-2"))
    store.finish_explanation(made(1), LLAMA_TEXT, NOON)
    assert [item.sequence for item in store.recent(10)] == [3, 2, 1]
    assert [item.sequence for item in store.recent(10, before=3)] == [2, 1]
    assert [item.sequence for item in store.recent(1)] == [3]
    assert [item.sequence for item in store.recent(10, client_id="Client-1", level=RiskLevel.HIGH)] == [2]
    assert [item.explanation for item in store.recent(10, before=2)] == [LLAMA_TEXT]


def test_the_first_explanation_stays_in_the_prediction(store: PredictionStore) -> None:
    answer = made(1)
    stored(store, answer)
    store.finish_explanation(answer, LLAMA_TEXT, NOON)
    item = store.get(answer.prediction_id)
    assert item.prediction == answer
    assert item.explanation == LLAMA_TEXT


def test_a_prediction_gets_one_final_explanation_and_no_other(store: PredictionStore) -> None:
    stored(store, made(1))
    assert store.finish_explanation(made(1), LLAMA_TEXT, NOON) is not None
    late = Explanation(text="Too late.", source="template", reason="A reason.")
    assert store.finish_explanation(made(1), late, NOON) is None
    assert store.get("Client-1-1").explanation == LLAMA_TEXT
    assert store.cursor() == 2
    assert stored(store, made(2)).after == 2


def test_only_predictions_without_a_final_explanation_are_unfinished(store: PredictionStore) -> None:
    awaiting, ended = made(1), made(2)
    alone = made(3).model_copy(update={"awaits_explanation": False})
    stored(store, awaiting, ended, alone)
    store.finish_explanation(ended, Explanation(text="As it was.", source="template", reason="A reason."), NOON)
    assert store.unfinished() == [awaiting]


def test_a_prediction_that_is_not_there_is_not_found(store: PredictionStore) -> None:
    with pytest.raises(NotFoundError):
        store.get("no-such-id")


def test_a_batch_that_fails_leaves_nothing_behind(store: PredictionStore) -> None:
    stored(store, made(1))
    with pytest.raises(StoreUnavailableError):
        stored(store, made(2), made(1))
    assert store.cursor() == 1
    assert store.totals().predictions == 1
    assert stored(store, made(2)).after == 1


def test_the_check_leaves_nothing_that_a_reader_sees(store: PredictionStore) -> None:
    stored(store, made(1))
    store.check()
    assert store.cursor() == 1
    assert len(store.recent(10)) == 1
    assert store.totals().predictions == 1


def test_a_database_that_cannot_grow_is_noticed_told_once_and_recovers(
    store: PredictionStore, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    limit = Counter(pages=2**30)

    @event.listens_for(engine, "checkout")
    def _limit_size(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit['pages']}").close()  # type: ignore[attr-defined]

    stored(store, made(1))
    limit["pages"] = 1  # SQLite takes it for the size the file has now
    with pytest.raises(StoreUnavailableError, match="database or disk is full"):
        store.check()
    with pytest.raises(StoreUnavailableError, match="database or disk is full"):
        stored(store, *(made(number) for number in range(2, 12)))
    assert store.cursor() == 1
    (said,) = caplog.messages
    assert said.startswith("the record of predictions cannot be used: database or disk is full: free some space")
    limit["pages"] = 2**30
    store.check()
    assert stored(store, made(2)).after == 1


def test_no_value_of_a_patient_is_in_a_store_failure(store: PredictionStore, caplog: pytest.LogCaptureFixture) -> None:
    answer = made(1).model_copy(update={"patient_reference": "REFERENCE-MARKER"})
    stored(store, answer)
    with pytest.raises(StoreUnavailableError) as raised:
        stored(store, answer)
    assert "REFERENCE-MARKER" not in repr(raised.value.__cause__) + str(raised.value.__cause__) + str(raised.value)
    assert "REFERENCE-MARKER" not in caplog.text
