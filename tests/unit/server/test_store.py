"""The record of predictions: its log ascends without gaps, and what fails is named and leaves nothing behind."""

from collections import Counter

import pytest
from sqlalchemy import Engine, event

from common.errors import InternalError, StoreUnavailableError
from common.followers import MAX_BYTES
from common.messages import ChangeKind, Explanation, Prediction, WireError
from server.store import Page, PredictionStore
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.recording import changes_of, made, new, stored, unfinished


def explain(store: PredictionStore, answer: Prediction, explanation: Explanation = LLAMA_TEXT) -> Page | None:
    return store.finish_explanation(unfinished(answer), explanation, NOON)


@pytest.mark.parametrize("together", [True, False])
def test_a_request_is_stored_once_and_asking_for_something_else_is_refused_once(
    store: PredictionStore, together: bool
) -> None:
    batches = [new(made(1)), new(made(1)), new(made(1), digest="1" * 64), new(made(1), digest="2" * 64)]
    if together:
        batches = [[one for batch in batches for one in batch]]
    known = [store.append(batch, {}, NOON).known for batch in batches][-1]
    assert known == {("Client-1", "request-1"): {"0" * 64, ChangeKind.REQUEST_REFUSED}}
    kept, refused = changes_of(store.changes(0))
    assert kept.prediction == made(1)
    assert (refused.kind, refused.client_id, refused.request_id) == ("request_refused", "Client-1", "request-1")
    assert (refused.prediction_id, refused.prediction) == (None, None)
    assert refused.error is not None
    assert refused.error.code == "request_id_reused"


def test_what_is_refused_for_good_is_one_entry_and_never_answered(store: PredictionStore) -> None:
    refused = {("Client-1", "request-1"): WireError.of(InternalError())}
    (entry,) = changes_of(store.append([], refused, NOON).page)
    assert entry.error == WireError.of(InternalError())
    assert store.append(new(made(1)), refused, NOON).page.entries == []
    assert store.append(new(made(2)), refused, NOON).new == new(made(2))


def test_the_log_ascends_and_each_run_continues_the_last(store: PredictionStore) -> None:
    first, explained = stored(store, made(1), made(2)), explain(store, made(1))
    assert explained is not None
    runs = [first, explained, stored(store, made(3))]
    assert [(run.after, run.next_after, run.has_more) for run in runs] == [(0, 2, False), (2, 3, False), (3, 4, False)]
    assert [entry.sequence for run in runs for entry in run.entries] == [1, 2, 3, 4]
    whole = store.changes(0)
    assert whole.entries == [entry for run in runs for entry in run.entries]
    assert (whole.log, whole.next_after, whole.totals) == (first.log, 4, runs[-1].totals)


def test_a_run_holds_256_kilobytes_at_most(store: PredictionStore) -> None:
    stored(store, *(made(number) for number in range(1, 201)))
    run = store.changes(0)
    size = sum(len(entry.wire) for entry in run.entries)
    assert run.has_more
    assert size <= MAX_BYTES < size + len(store.changes(run.next_after, limit=1).entries[0].wire)


def test_a_prediction_gets_one_final_explanation_and_keeps_its_first(store: PredictionStore) -> None:
    stored(store, made(1))
    assert explain(store, made(1)) is not None
    assert explain(store, made(1), Explanation(text="Too late.", source="template", reason="A reason.")) is None
    found = store.get("Client-1-1")
    assert Explanation.model_validate(found["explanation"]) == LLAMA_TEXT
    assert Prediction.model_validate(found["prediction"]) == made(1)
    assert stored(store, made(2)).after == 2


def test_a_batch_that_fails_leaves_nothing_behind_and_tells_no_value(
    store: PredictionStore, caplog: pytest.LogCaptureFixture
) -> None:
    answer = made(1).model_copy(update={"patient_reference": "REFERENCE-MARKER"})
    stored(store, answer)
    with pytest.raises(StoreUnavailableError) as raised:
        stored(store, made(2), answer.model_copy(update={"request_id": "another"}))
    assert "REFERENCE-MARKER" not in f"{raised.value.__cause__!r} {raised.value.__cause__} {raised.value} {caplog.text}"
    assert (store.end().after, store.end().totals.predictions) == (1, 1)
    assert stored(store, made(2)).after == 1


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
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
    assert store.end().after == 1
    (said,) = caplog.messages
    assert said.startswith("the record of predictions cannot be used: database or disk is full: free some space")
    limit["pages"] = 2**30
    store.check()
    assert (store.end().after, store.end().totals.predictions, len(store.recent(10)[1])) == (1, 1, 1)
    assert stored(store, made(2)).after == 1
