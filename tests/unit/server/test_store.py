"""The record of predictions: its log ascends without gaps, and what fails is named and leaves nothing behind."""

import pytest

from common.errors import InternalError, StoreUnavailableError
from common.followers import MAX_BYTES
from common.messages import ChangeKind, WireError
from server.store import PredictionStore
from tests.support.made_requests import NOON
from tests.support.recording import changes_of, made, new, stored


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
    assert (refused.client_id, refused.request_id, refused.prediction) == ("Client-1", "request-1", None)
    assert refused.error is not None
    assert refused.error.code == "request_id_reused"


def test_what_is_refused_for_good_is_one_entry_and_never_answered(store: PredictionStore) -> None:
    refused = {("Client-1", "request-1"): WireError.of(InternalError())}
    (entry,) = changes_of(store.append([], refused, NOON).page)
    assert entry.error == WireError.of(InternalError())
    assert store.append(new(made(1)), refused, NOON).page.entries == []
    assert store.append(new(made(2)), refused, NOON).new == new(made(2))


def test_a_run_holds_256_kilobytes_at_most(store: PredictionStore) -> None:
    stored(store, *(made(number) for number in range(1, 201)))
    run = store.changes(0)
    size = sum(len(entry.wire) for entry in run.entries)
    assert run.has_more
    assert size <= MAX_BYTES < size + len(store.changes(run.next_after, limit=1).entries[0].wire)


def test_no_more_is_read_at_once_than_fits_a_run_of_predictions(store: PredictionStore) -> None:
    store.append([], {("Client-1", f"request-{number}"): WireError.of(InternalError()) for number in range(150)}, NOON)
    first = store.changes(0)
    assert (len(first.entries), first.next_after, first.has_more) == (100, 100, True)
    rest = store.changes(first.next_after)
    assert (len(rest.entries), rest.next_after, rest.has_more) == (50, 150, False)


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
