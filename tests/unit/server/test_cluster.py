"""What servers on one PostgreSQL know of each other: connections of client apps, who runs, and who leads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event, text

from common.errors import StoreUnavailableError
from common.messages import PROTOCOL_VERSION, Handshake
from server.clients import ConnectedClients
from server.cluster import LEASE_SECONDS, SILENT_SECONDS, Cluster
from server.log import ChangeLog
from server.store import PredictionStore
from server.store.database import open_database
from server.store.verification import problems_of
from tests.support.postgres import Postgres
from tests.support.recording import made, stored
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)

NAME = "Client-1"


@dataclass
class Place:
    """One server's part in the cluster, which beats when a test says so; ``closed`` are connections and why."""

    engine: Engine
    times: list[float]
    closed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clients = ConnectedClients([NAME, "Client-2"], clock=lambda: datetime.now(UTC))
        self.clients.on_replaced(lambda sid, reason: self.closed.append((sid, reason.code)))
        store = PredictionStore(self.engine)
        self.cluster = Cluster(
            store,
            self.clients,
            ChangeLog(store),
            model=lambda: "one",
            connections=lambda: 1,
            clock=lambda: datetime.now(UTC),
            monotonic=lambda: self.times[-1],
        )

    def connect(self, sid: str, instance: str = "one", attempt: int = 1) -> None:
        handshake = Handshake(protocol=PROTOCOL_VERSION, instance=instance, attempt=attempt)
        self.cluster.claim(NAME, handshake)
        self.clients.connected(NAME, sid, handshake)


@pytest.fixture
def times() -> list[float]:
    """The seconds that pass at all servers, the present one last."""
    return [0]


@pytest.fixture
def start(url: str, times: list[float]) -> Iterator[Callable[..., Place]]:
    def one(address: str = url) -> Place:
        place = Place(open_database(address), times)
        ending.callback(place.engine.dispose)
        ending.callback(place.cluster.stop)
        return place

    with ExitStack() as ending:
        yield one


@pytest.fixture
def both(start: Callable[[], Place]) -> list[Place]:
    return [start(), start()]


def beat(*places: Place) -> None:
    for place in places:
        with suppress(StoreUnavailableError):  # as the thread that beats
            place.cluster.beat()


def execute(place: Place, statement: str, **values: str) -> None:
    with place.engine.begin() as connection:
        connection.execute(text(statement), values)


def leaders(places: list[Place]) -> list[bool]:
    return [place.cluster.leads for place in places]


def test_what_a_crash_of_the_database_takes_is_said_again(both: list[Place]) -> None:
    first, second = both
    second.connect("old", attempt=1)
    first.connect("new", attempt=2)
    beat(second)
    second.clients.left(NAME, "old")
    beat(first, second)
    execute(first, "TRUNCATE cluster.client_apps, cluster.servers")
    beat(second, first, second, first, second)
    assert second.clients.all()[0].connected
    assert len(second.cluster.servers) == 2
    assert first.closed == []


def test_a_server_that_has_died_has_no_client_apps(both: list[Place]) -> None:
    first, second = both
    first.connect("a")
    beat(first, second)
    silent = "UPDATE cluster.servers SET heartbeat = heartbeat - interval '9 s' WHERE id = :id"
    execute(first, silent, id=first.cluster.id)
    beat(second)
    assert not second.clients.all()[0].connected
    assert [one.answers for one in second.cluster.servers] == [False, True]


def test_one_leads_until_it_is_cut_off_and_the_next_waits_until_it_has_noticed(
    both: list[Place], times: list[float]
) -> None:
    first, second = both
    led: list[Place] = []
    first.cluster.start(on_lead=lambda: led.append(first))  # it beats by itself as well
    beat(first, second)
    assert leaders(both) == [False, False]
    times.append(LEASE_SECONDS + 0.1)
    beat(first, second)
    assert (leaders(both), led) == ([True, False], [first])
    first.cluster.stop()
    beat(second)
    times.append(times[-1] + LEASE_SECONDS - 0.1)
    assert leaders(both) == [False, False]
    times.append(times[-1] + 0.2)
    beat(second)
    assert leaders(both) == [False, True]
    times.append(times[-1] + LEASE_SECONDS + 0.1)  # no answer meanwhile
    assert leaders(both) == [False, False]
    beat(second)
    assert leaders(both) == [False, True]
    locked = "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    execute(first, locked + "WHERE locktype = 'advisory' AND datname = current_database()")
    beat(second)
    assert leaders(both) == [False, False]


def test_a_server_that_is_cut_off_asks_the_database_nothing(start: Callable[[], Place], times: list[float]) -> None:
    place, statements = start(), list[str]()
    beat(place)
    event.listen(place.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    times.append(LEASE_SECONDS + 0.1)
    store = place.cluster.store
    for ask in (store.end, store.check, store.vacuum, lambda: stored(store, made(1))):
        with pytest.raises(StoreUnavailableError):
            ask()
    assert statements == []


def test_a_beat_that_hangs_at_a_stop_gives_up_the_lead_when_it_ends(start: Callable[[], Place]) -> None:
    place = start()
    beat(place)

    def locks(*, granted: bool) -> int:
        asked = text(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE pg_stat_activity.datname = "
            "current_database() AND (locktype = 'advisory' AND granted AND :granted OR NOT granted AND NOT :granted)"
        )
        with place.engine.connect() as connection:
            return int(connection.scalar(asked, {"granted": granted}) or 0)

    assert locks(granted=True) == 1
    with ThreadPoolExecutor() as pool, place.engine.begin() as other:
        other.execute(text("LOCK TABLE cluster.servers"))
        pool.submit(beat, place)
        wait_until(lambda: locks(granted=False))
        place.cluster.stop()
    wait_until(lambda: not locks(granted=True), SILENT_SECONDS - 1)  # before the database would end it


def test_servers_that_start_at_once_make_all_tables_once_and_agree(
    start: Callable[..., Place], times: list[float], postgres_server: Postgres
) -> None:
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(start, [postgres_server.new_database()] * 4))
    assert list(problems_of(places[0].engine)) == []
    beat(*places)
    times.append(LEASE_SECONDS + 0.1)
    beat(*places, *places)
    assert sorted(leaders(places)) == [False, False, False, True]
    assert len(places[0].cluster.servers) == 4
