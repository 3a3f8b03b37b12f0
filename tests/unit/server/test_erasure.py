"""Erasing: nothing of a patient is left, whoever reads hears of it, and what is erased never comes back."""

import random
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine

from server.store import PredictionStore
from server.store.verification import problems_of
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.recording import awaiting, changes_of, erased, made, stored, unfinished


def test_an_erased_request_is_not_answered_again_nor_explained_nor_erased_again(
    store: PredictionStore, engine: Engine
) -> None:
    stored(store, made(1))
    assert [entry.kind for entry in changes_of(erased(store, 1))] == ["prediction_erased"]
    assert list(problems_of(engine)) == []
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
