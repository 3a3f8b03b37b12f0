"""What is done for each patient costs no more the more is stored, counted in steps of SQLite's own program."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from client.outbox import Outbox
from common.followers import ALL
from common.messages import Changes, RiskLevel
from server.store import PredictionStore
from server.store.database import open_database
from tests.support.made_requests import LLAMA_TEXT, NOON, made, prediction, request, submission
from tests.support.recording import stored, unfinished

FEW: Final = 50
MANY: Final = 1_000
AT_MOST: Final = 1.5
"""How many times the steps with few stored there may be with many: reading through all that is stored takes 20."""

Works = Mapping[str, Callable[[], object]]


def steps_of(engine: Engine, works: Works) -> dict[str, int]:
    """Count the steps that SQLite takes for each work on the engine's connections."""
    steps: Counter[str] = Counter()
    under_way = ""

    def step() -> int:
        steps[under_way] += 1
        return 0

    def watch(connection: Any, *_: object) -> None:
        connection.set_progress_handler(step, 1)

    event.listen(engine, "checkout", watch)
    for what, work in works.items():
        under_way = "what is done only once"
        work()
        under_way = what
        work()
    event.remove(engine, "checkout", watch)
    return {what: steps[what] for what in works}


def too_much(few: Mapping[str, int], many: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    assert all(few.values()), "nothing was counted"
    return {what: (few[what], many[what]) for what in few if many[what] > AT_MOST * few[what]}


def put(store: PredictionStore, *numbers: int) -> object:
    return stored(store, *(prediction(request(number)) for number in numbers))


def server_works(store: PredictionStore, fresh: Iterator[int]) -> Works:
    return {
        "append what is known": lambda: put(store, *range(1, 9)),
        "append": lambda: put(store, next(fresh)),
        "explain": lambda: store.finish_explanation(unfinished(prediction(request(next(fresh) - 1))), LLAMA_TEXT, NOON),
        "erase": lambda: store.erase({("Client-1", request(next(fresh) - 1).request_id): "of that request"}, NOON),
        "latest changes": lambda: store.changes(store.end().after - 5),
        "latest changes of a client": lambda: store.changes(store.end().after - 5, client_id="Client-1"),
        "newest page": lambda: store.recent(20),
        "newest page of a client": lambda: store.recent(20, client_id="Client-1"),
        "newest page of a level": lambda: store.recent(20, level=RiskLevel.MEDIUM),
        "page before": lambda: store.recent(20, before=60),
    }


def test_the_server_does_as_much_for_a_patient_however_many_are_stored(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'predictions.sqlite'}")
    with closing(PredictionStore(engine)) as store:
        put(store, *range(1, FEW + 1))
        fresh = iter(range(FEW + 1, MANY))
        few = steps_of(engine, server_works(store, fresh))
        put(store, *range(MANY + 1, 2 * MANY))
        many = steps_of(engine, server_works(store, fresh))
    assert too_much(few, many) == {}


def test_a_client_app_does_as_much_for_a_patient_however_many_are_stored(tmp_path: Path) -> None:
    fresh = iter(range(1, 10 * MANY))

    def apply(number: int) -> None:
        entries = [made(place, prediction(request(place))) for place in itertools.islice(fresh, number)]
        outbox.apply(
            Changes(log="log.0", after=outbox.place.server_after, next_after=1, has_more=False, entries=entries)
        )

    with closing(Outbox(tmp_path / "client.sqlite")) as outbox:
        works: Works = {
            "ask": lambda: outbox.put(submission(next(fresh)), NOON),
            "answer": lambda: apply(1),
            "waiting": lambda: outbox.waiting(1),
            "history": lambda: outbox.history(before=None, limit=20),
            "newest of the own log": lambda: outbox.read(outbox.newest - 1, ALL),
        }
        apply(FEW)
        few = steps_of(outbox._engine, works)
        apply(MANY)
        assert too_much(few, steps_of(outbox._engine, works)) == {}
