"""Corrections and withdrawals in the record: what they take out of the counts, and that nothing brings it back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from common.messages import ChangeKind, RiskLevel
from server.drift.windows import RollingWindows
from server.store import PredictionStore
from server.store.verification import problems_of
from tests.support.made_requests import NOON, id_of
from tests.support.recording import changes_of, erased, made, new, of, stored

FIRST, SECOND = id_of(1), id_of(2)


@pytest.fixture(autouse=True)
def verified(engine: Engine) -> Iterator[None]:
    yield
    assert list(problems_of(engine)) == []


def counted(store: PredictionStore) -> int:
    return store.end().totals.predictions


def marks(store: PredictionStore) -> dict[str, str]:
    """Return what is superseded, by what."""
    found = [(item["prediction"]["request_id"], item["superseded_by"]) for item in store.recent(99)[1]]
    return {request_id: by for request_id, by in found if by}


@pytest.mark.parametrize("together", [True, False])
def test_a_correction_supersedes_in_its_own_transaction_and_the_old_one_stays_readable(
    store: PredictionStore, together: bool
) -> None:
    first, second = made(1, risk_level=RiskLevel.HIGH), made(2, corrects=FIRST)
    runs = [stored(store, first, second)] if together else [stored(store, first), stored(store, second)]
    run = runs[-1]
    entry = changes_of(run)[-1]
    assert (entry.kind, entry.superseded_by) == (ChangeKind.PREDICTION_SUPERSEDED, SECOND)
    assert (entry.sequence, entry.request_id, entry.prediction_id) == (run.next_after, FIRST, "Client-1-1")
    assert [entry for one in runs for entry in one.entries] == store.changes(0).entries
    assert (run.totals.predictions, run.totals.by_level["High"], run.totals) == (1, 0, store.end().totals)
    old = store.get("Client-1-1")
    assert (old["superseded_by"], old["prediction"]["risk_level"]) == (SECOND, "High")
    assert stored(store, second).entries == []  # it comes again


def test_a_correction_may_be_corrected_and_what_was_corrected_before_is_left_as_it_is(store: PredictionStore) -> None:
    stored(store, made(1))
    stored(store, made(2, corrects=FIRST))
    stored(store, made(3, corrects=SECOND), made(4, corrects=FIRST))
    assert marks(store) == {FIRST: SECOND, SECOND: id_of(3)}
    assert counted(store) == 2


@pytest.mark.parametrize("of", ["never-there", id_of(5), id_of(9)])
def test_what_is_not_there_or_another_client_apps_or_the_correction_itself_is_not_superseded(
    store: PredictionStore, of: str
) -> None:
    stored(store, made(5, "Client-2"))
    stored(store, made(9, corrects=of))
    assert (marks(store), counted(store), store.end().after) == ({}, 2, 2)


def test_erasing_either_brings_nothing_back_into_the_counts(store: PredictionStore) -> None:
    stored(store, made(1), made(3))
    stored(store, made(2, corrects=FIRST), made(4, corrects=id_of(3)))
    assert counted(store) == 2
    erased(store, 2)  # a correction
    assert (counted(store), store.get("Client-1-1")["superseded_by"]) == (1, SECOND)
    erased(store, 3)  # what was corrected
    assert (counted(store), list(marks(store))) == (1, [FIRST])


def test_a_patient_is_erased_with_what_was_corrected_under_another_reference(store: PredictionStore) -> None:
    stored(store, made(1, patient_reference="bed 1"), made(5, patient_reference="bed 1"))
    stored(store, made(2, corrects=FIRST))
    stored(store, made(3, corrects=SECOND, patient_reference="bed 7"))
    assert store.of_patient("bed 7") == of(1, 2, 3)
    assert store.of_patient("bed 1") == of(1, 5)


def test_the_windows_of_drift_lose_what_is_corrected_or_erased_and_take_older_patients_instead(
    store: PredictionStore,
) -> None:
    stored(store, made(1), made(2), made(3))
    windows = RollingWindows(store, ("Client-1",), patients=2, days=90, clock=lambda: NOON)

    def seen() -> list[int]:
        return [one.sequence for one in windows.read()["Client-1"]]

    assert seen() == [2, 3]
    stored(store, made(4, corrects=id_of(3)))
    assert seen() == [2, 4]
    erased(store, 4)
    assert seen() == [1, 2]


def test_a_withdrawn_request_is_never_answered_and_an_answered_one_stays(store: PredictionStore) -> None:
    (entry,) = changes_of(store.withdraw(("Client-1", FIRST), NOON))
    assert (entry.kind, entry.request_id, entry.prediction_id) == (ChangeKind.PREDICTION_ERASED, FIRST, None)
    appended = store.append(new(made(1), made(2)), {}, NOON)
    assert [one.key for one in appended.new] == [("Client-1", SECOND)]
    assert store.withdraw(("Client-1", SECOND), NOON).entries == []
    assert counted(store) == 1
