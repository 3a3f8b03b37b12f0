"""Erasing: nothing of a patient is left, whoever reads hears of it, and what is erased never comes back."""

import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.messages import Change, ChangeKind
from server.store import PredictionStore
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.recording import awaiting, changes_of, erased, made, stored, unfinished


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_of_what_is_erased_only_ids_and_times_are_left(store: PredictionStore, path: Path) -> None:
    stored(store, made(1), made(2))
    store.finish_explanation(unfinished(made(1)), LLAMA_TEXT, NOON)
    run = erased(store, 1)
    tombstone = Change(
        sequence=4,
        kind=ChangeKind.PREDICTION_ERASED,
        prediction_id="Client-1-1",
        client_id="Client-1",
        request_id="request-1",
        at=NOON,
    )
    assert (run.after, run.next_after, changes_of(run)) == (3, 4, [tombstone])
    entries = changes_of(store.changes(0, client_id="Client-1"))
    assert [entry.prediction_id for entry in entries if entry.prediction or entry.explanation] == ["Client-1-2"]
    assert (run.totals.predictions, run.totals.by_client, store.counter().erased_up_to) == (1, {"Client-1": 1}, 4)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT prediction_id FROM predictions").fetchall() == [("Client-1-2",)]
        assert connection.execute("SELECT explanation FROM changes WHERE explanation IS NOT NULL").fetchall() == []


def test_an_erased_request_is_not_answered_again_nor_explained_nor_erased_again(store: PredictionStore) -> None:
    stored(store, made(1))
    erased(store, 1)
    assert erased(store, 1).entries == []
    assert stored(store, made(1)).entries == []
    assert store.finish_explanation(unfinished(made(1)), LLAMA_TEXT, NOON) is None
    assert awaiting(store) == set()
    assert store.end().after == 2


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_no_byte_of_an_erased_patient_is_left_whatever_happened_before(store: PredictionStore, path: Path) -> None:
    """Rows of many lengths come and go in random order, so that pages are split, merged, freed and used again."""
    chance = random.Random(1)
    kept, gone = list[int](), list[int]()
    for number in range(1, 121):
        marker = f"MARKER-{number:04}-" + "x" * chance.randrange(40)
        answer = made(number, patient_reference=marker)
        text = f"EXPLAINED-{number:04}-" + "y" * chance.randrange(6_000)
        stored(store, answer)
        store.finish_explanation(unfinished(answer), LLAMA_TEXT.model_copy(update={"text": text}), NOON)
        kept.append(number)
        if chance.random() < 0.5:
            chosen = chance.sample(kept, min(len(kept), chance.randrange(1, 4)))
            erased(store, *chosen)
            gone += chosen
            kept = [one for one in kept if one not in chosen]
            store.check()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert gone
    assert [one for one in gone if re.search(rb"(MARKER|EXPLAINED)-%04d-" % one, content)] == []
    assert all(b"MARKER-%04d-" % one in content for one in kept)
