"""Erasing: nothing of a patient is left, whoever reads hears of it, and what is erased never comes back."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from common.messages import Change, ChangeKind, Prediction
from server.drift.windows import RollingWindows
from server.housekeeping import Housekeeping
from server.recorder import Recorder
from server.store import NewPrediction, PredictionStore
from server.store.database import open_database
from tests.support.made_requests import LLAMA_TEXT, NOON, prediction, request
from tests.support.published import Kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> PredictionStore:
    return PredictionStore(engine)


@pytest.fixture
def elsewhere(engine: Engine, path: Path) -> Iterator[PredictionStore]:
    """The same record as another process has it."""
    other = PredictionStore(open_database(f"sqlite:///{path}"))
    yield other
    other.close()


def made(number: int, *, client_id: str = "Client-1", at: datetime = NOON, reference: str = "A") -> Prediction:
    changes = {"prediction_id": f"{client_id}-{number}", "made_at": at, "patient_reference": reference}
    return prediction(request(number), client_id=client_id).model_copy(update=changes)


def new(*answers: Prediction) -> list[NewPrediction]:
    return [NewPrediction(answer, "0" * 64) for answer in answers]


def test_of_what_is_erased_only_ids_and_times_are_left(store: PredictionStore, path: Path) -> None:
    store.append(new(made(1), made(2)))
    store.finish_explanation(made(1), LLAMA_TEXT, NOON)
    run = store.erase(["Client-1-1", "never there"], NOON)
    tombstone = Change(
        sequence=4,
        kind=ChangeKind.PREDICTION_ERASED,
        prediction_id="Client-1-1",
        client_id="Client-1",
        at=NOON,
    )
    assert (run.after, run.next_after, run.entries) == (3, 4, [tombstone])
    assert run.totals is not None
    assert (run.totals.predictions, run.totals.by_client) == (1, {"Client-1": 1})
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM erasures").fetchall() == [(4, "Client-1-1", "Client-1", "request-1")]
        assert connection.execute("SELECT prediction_id FROM predictions").fetchall() == [("Client-1-2",)]
        assert connection.execute("SELECT explanation FROM changes WHERE explanation IS NOT NULL").fetchall() == []


def test_whoever_reads_the_log_from_its_beginning_finds_nothing_of_it(store: PredictionStore) -> None:
    store.append(new(made(1), made(2)))
    store.finish_explanation(made(1), LLAMA_TEXT, NOON)
    store.erase(["Client-1-1"], NOON)
    page = store.changes(0, 10, client_id="Client-1")
    assert [entry.sequence for entry in page.entries] == [1, 2, 3, 4]
    assert [entry.prediction_id for entry in page.entries if entry.prediction or entry.explanation] == ["Client-1-2"]
    assert [item.prediction for item in store.recent(10)] == [made(2)]


def test_erasing_again_is_no_entry(store: PredictionStore) -> None:
    store.append(new(made(1)))
    store.erase(["Client-1-1"], NOON)
    assert store.erase(["Client-1-1"], NOON).entries == []
    assert store.cursor() == 2


def test_an_explanation_that_comes_after_the_erasure_is_not_kept(store: PredictionStore) -> None:
    store.append(new(made(1)))
    store.erase(["Client-1-1"], NOON)
    assert store.finish_explanation(made(1), LLAMA_TEXT, NOON) is None
    assert store.unfinished() == []
    assert store.cursor() == 2


def test_an_erased_request_is_known_by_its_client_and_id(store: PredictionStore) -> None:
    erased, kept = new(made(1), made(2))
    store.append([erased, kept])
    store.erase(["Client-1-1"], NOON)
    keys = [("Client-1", "request-1"), ("Client-1", "request-2"), ("Client-2", "request-1")]
    assert store.find(keys) == {("Client-1", "request-1"): None, ("Client-1", "request-2"): kept}


@pytest.mark.parametrize("seed", range(4))
def test_no_byte_of_an_erased_patient_is_left_whatever_happened_before(
    store: PredictionStore, path: Path, seed: int
) -> None:
    """Rows of many lengths come and go in random order, so that pages are split, merged, freed and used again."""
    chance = random.Random(seed)
    kept: dict[str, str] = {}
    gone: list[str] = []
    for number in range(1, 121):
        marker = f"MARKER-{number:04}-" + "x" * chance.randrange(40)
        answer = made(number, reference=marker)
        text = f"EXPLAINED-{number:04}-" + "y" * chance.randrange(6_000)
        store.append(new(answer))
        store.finish_explanation(answer, LLAMA_TEXT.model_copy(update={"text": text}), NOON)
        kept[answer.prediction_id] = f"{number:04}-"
        if chance.random() < 0.5:
            ids = chance.sample(sorted(kept), min(len(kept), chance.randrange(1, 4)))
            store.erase(ids, NOON)
            gone += [kept.pop(one) for one in ids]
            store.check()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert gone
    assert [marker for marker in gone if f"MARKER-{marker}".encode() in content] == []
    assert [marker for marker in gone if f"EXPLAINED-{marker}".encode() in content] == []
    assert all(f"MARKER-{marker}".encode() in content for marker in kept.values())


def test_what_another_process_wrote_is_published_once_and_in_order(
    store: PredictionStore, elsewhere: PredictionStore
) -> None:
    published = Kept()
    recorder = Recorder(store, published)
    recorder.record(new(made(1), made(2)), then=lambda: None)
    assert [entry.sequence for entry in published.next_changes().entries] == [1, 2]
    assert not recorder.publish_others()
    elsewhere.erase(["Client-1-1"], NOON)
    recorder.record(new(made(3)), then=lambda: None)
    assert [entry.sequence for entry in published.next_changes().entries] == [4]
    assert recorder.publish_others()
    others = published.next_changes()
    assert (others.after, others.next_after) == (2, 4)
    assert [entry.kind for entry in others.entries] == [ChangeKind.PREDICTION_ERASED, ChangeKind.PREDICTION_MADE]
    assert not recorder.publish_others()
    assert published.is_empty()


def test_a_server_that_starts_publishes_nothing_of_what_was_before(
    store: PredictionStore, elsewhere: PredictionStore
) -> None:
    elsewhere.append(new(made(1)))
    published = Kept()
    recorder = Recorder(store, published)
    assert not recorder.publish_others()
    elsewhere.erase(["Client-1-1"], NOON)
    assert recorder.publish_others()
    assert published.next_changes().entries[0].prediction_id == "Client-1-1"


def test_what_another_process_wrote_before_the_first_publication_is_published(
    store: PredictionStore, elsewhere: PredictionStore
) -> None:
    elsewhere.append(new(made(1)))
    published = Kept()
    recorder = Recorder(store, published)
    elsewhere.erase(["Client-1-1"], NOON)
    recorder.record(new(made(2)), then=lambda: None)
    assert [entry.sequence for entry in published.next_changes().entries] == [3]
    assert recorder.publish_others()
    assert [entry.sequence for entry in published.next_changes().entries] == [2, 3]


def test_housekeeping_outlives_what_nobody_thought_of(store: PredictionStore, caplog: pytest.LogCaptureFixture) -> None:
    published = Kept()
    times: Iterator[datetime | Exception] = iter([NOON, RuntimeError("broken"), *[NOON] * 100])
    store.append(new(made(1, at=NOON - timedelta(days=31))))

    def clock() -> datetime:
        moment = next(times)
        if isinstance(moment, Exception):
            raise moment
        return moment

    house = Housekeeping(store, Recorder(store, published), retention_days=30, clock=clock, seconds=0.01)
    house.start()
    try:
        assert published.next_changes().entries[0].prediction_id == "Client-1-1"
    finally:
        house.stop()
    assert "housekeeping failed" in caplog.text


def test_what_is_older_than_it_is_kept_for_is_erased_at_the_start_and_every_day(store: PredictionStore) -> None:
    published, day = Kept(), NOON
    store.append(new(*(made(number, at=NOON - timedelta(days=number)) for number in range(1, 100))))
    house = Housekeeping(store, Recorder(store, published), retention_days=30, clock=lambda: day, seconds=0.01)
    house.start()
    try:
        erased = [entry.prediction_id for _ in range(2) for entry in published.next_changes().entries]
        assert sorted(erased) == sorted(f"Client-1-{number}" for number in range(31, 100))
        day = NOON + timedelta(days=1)
        assert [entry.prediction_id for entry in published.next_changes().entries] == ["Client-1-30"]
    finally:
        house.stop()
    assert store.totals().predictions == 29


def test_without_a_retention_nothing_is_erased(store: PredictionStore) -> None:
    store.append(new(made(1, at=NOON - timedelta(days=5_000))))
    looked = threading.Event()

    class Looked(Recorder):
        """Says when it was asked for the third time."""

        times = 0

        def publish_others(self) -> bool:
            self.times += 1
            if self.times == 3:
                looked.set()
            return super().publish_others()

    house = Housekeeping(store, Looked(store, Kept()), retention_days=None, clock=lambda: NOON, seconds=0.01)
    house.start()
    assert looked.wait(20)
    house.stop()
    assert store.totals().predictions == 1


def test_the_windows_of_drift_lose_what_is_erased_and_take_older_patients_instead(store: PredictionStore) -> None:
    answers = [made(number) for number in range(1, 151)]
    store.append(new(*answers))
    windows = RollingWindows(store, ("Client-1",), patients=100, days=90, clock=lambda: NOON)
    assert len(windows.read()["Client-1"]) == 100
    store.erase([f"Client-1-{number}" for number in range(141, 151)], NOON)
    ages = [patient.values[0] for patient in windows.read()["Client-1"]]
    assert ages == [answer.record.age for answer in answers[40:140]]
