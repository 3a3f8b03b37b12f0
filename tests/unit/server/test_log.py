"""The tail of the log: every run is whole and in order, whoever wrote, and nothing erased is kept ready."""

import pytest
from sqlalchemy import Engine, delete, event, update

from common.followers import ALL
from server.log import KEPT_BYTES, ChangeLog
from server.store import Page, PredictionStore
from server.store.backup import told_by
from server.store.schema import awaiting_explanations, change_counter, changes, predictions
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.recording import Reader, changes_of, erased, made, stored, unfinished


@pytest.fixture
def log(store: PredictionStore) -> ChangeLog:
    return ChangeLog(store)


def test_what_was_appended_is_read_from_memory_and_as_the_store_has_it(
    store: PredictionStore, log: ChangeLog, engine: Engine
) -> None:
    reader, of_client = Reader(log), Reader(log, scope="Client-2")
    log.appended(stored(store, made(1), made(1, "Client-2"), made(2)))
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    run, own = reader.read(), of_client.read()
    assert statements == []
    assert run.entries == changes_of(store.changes(0))
    assert (run.log, run.next_after, run.has_more, run.totals) == (log.name, 3, False, store.end().totals)
    assert [entry.sequence for entry in own.entries] == [2]
    assert (own.next_after, own.totals) == (3, None)


def test_memory_is_bounded_and_what_is_read_from_the_store_fits_what_is_kept(
    store: PredictionStore, log: ChangeLog
) -> None:
    text = "x" * (KEPT_BYTES // 20)
    long = [made(number).model_copy(update={"patient_reference": text}) for number in range(1, 41)]
    for answer in long:
        log.appended(stored(store, answer))
    assert sum(len(entry.wire) for entry in log.kept) <= KEPT_BYTES
    reader = Reader(log, after=0, scope="Client-1")
    assert [entry.sequence for entry in reader.entries(40)] == list(range(1, 41))
    assert reader.after == log.newest == 40


def test_who_has_read_more_at_another_server_is_not_ahead(
    store: PredictionStore, elsewhere: PredictionStore, log: ChangeLog
) -> None:
    stored(elsewhere, made(1))
    elsewhere.take_place(None, NOON)
    log.heard_of(elsewhere.end().log, 1)
    assert (log.name, log.newest) == (elsewhere.end().log, 1)
    stored(elsewhere, made(2))
    log.heard_of(log.name, 2)
    assert log.newest == 2
    stored(elsewhere, made(3))
    assert (log.read(3, "Client-1").next_after, log.newest) == (3, 3)  # where the look before it has failed


def test_nothing_that_was_erased_is_kept_ready(store: PredictionStore, log: ChangeLog) -> None:
    """What another process erases, integration tests of the command show."""
    reader = Reader(log, after=0)
    log.appended(stored(store, made(1), made(2)))
    explained = store.finish_explanation(unfinished(made(1)), LLAMA_TEXT, NOON)
    assert isinstance(explained, Page)
    log.appended(explained)
    generation = log.generation
    log.appended(erased(store, 1))
    assert log.generation != generation
    entries = reader.entries(4)
    assert [entry.prediction_id for entry in entries if entry.prediction or entry.explanation] == ["Client-1-2"]
    assert entries[-1].kind == "prediction_erased"


def test_threads_that_append_in_another_order_than_they_committed_leave_no_gap(
    store: PredictionStore, log: ChangeLog
) -> None:
    pages = [stored(store, made(number)) for number in range(1, 5)]
    reader = Reader(log)
    for page in (pages[2], pages[0], pages[3], pages[1]):
        log.appended(page)
    assert [entry.sequence for entry in reader.next()] == [1, 2, 3, 4]
    assert log.read(3, ALL).next_after == 4


def fail_over(store: PredictionStore, place: int) -> None:
    """Take the record back to a place, as a failover to a standby that was behind does."""
    with store.engine.begin() as connection:
        connection.execute(delete(awaiting_explanations))
        connection.execute(delete(predictions).where(predictions.c.sequence > place))
        connection.execute(delete(changes).where(changes.c.sequence > place))
        connection.execute(update(change_counter).values(value=place))
    store.take_place(told_by(store.engine), NOON)


def test_what_failovers_took_adds_up_and_what_they_brought_back_is_erased_again(store: PredictionStore) -> None:
    log = ChangeLog(store, lambda: NOON)

    def lost() -> tuple[int, int, int]:
        while log.look():
            pass
        assert log.lost
        assert (log.name, log.newest, log.lost.noticed_at) == (store.end().log, store.end().after, NOON)
        return log.lost.entries, log.lost.predictions, log.lost.stored_again

    log.appended(stored(store, made(1), made(2)))
    log.appended(erased(store, 1))
    log.appended(stored(store, made(3)))
    fail_over(store, 2)
    assert lost() == (2, 1, 0)
    assert [entry.kind for entry in changes_of(store.changes(2))] == ["prediction_erased"]
    log.appended(stored(store, made(3), made(4)))
    fail_over(store, 4)
    assert lost() == (3, 2, 1)
    fail_over(store, 2)
    assert lost() == (5, 2, 1)
    log.appended(stored(store, made(4)))
    assert lost() == (5, 2, 2)
    assert [entry.kind for entry in changes_of(store.changes(2))] == ["prediction_erased", "prediction_made"]
