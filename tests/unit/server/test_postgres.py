"""PostgreSQL as the record: several servers write it, and it fails, fails over and is restored."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from common.access.audit import AuditTrail
from common.errors import InternalError, StoreUnavailableError
from common.messages import WireError
from common.periodic import PeriodicTask
from server.log import ChangeLog
from server.store import PredictionStore
from server.store.__main__ import main
from server.store.access import AccessDatabase
from server.store.database import open_database
from server.store.postgres import engine_of
from server.store.verification import problems_of
from tests.faults.proxy import FaultyLink
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.postgres import Postgres, postgres
from tests.support.processes import free_ports
from tests.support.recording import awaiting, changes_of, erased, made, new, of, stored, unfinished
from tests.support.waiting import wait_until

Work = Callable[[PredictionStore], object]

WAITING = "count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
VACUUMED = "sum(vacuum_count) FROM pg_stat_user_tables WHERE relname IN ('predictions', 'changes')"
END_LISTENING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
NOT_REACHED = "the server cannot be reached or has stopped; it resumes automatically when it is back"


def append(store: PredictionStore) -> object:
    return store.append(new(made(1)), {}, NOON)


def withdraw(store: PredictionStore) -> object:
    return store.withdraw(("Client-1", "request-1"), NOON)


def refuse(store: PredictionStore) -> object:
    return store.append([], {("Client-1", "request-1"): WireError.of(InternalError())}, NOON)


@pytest.fixture
def url(postgres_server: Postgres) -> str:
    """The address of an empty record."""
    return postgres_server.new_database("template")


def number_of(engine: Engine, asked: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT {asked}")).scalar_one())


def test_a_batch_is_one_statement(store: PredictionStore, engine: Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    page = stored(store, made(1), made(2))
    assert len(statements) == 1
    assert changes_of(page) == changes_of(store.changes(0))
    assert (page.after, page.next_after, page.totals) == (0, 2, store.end().totals)


@pytest.mark.parametrize(
    ("first", "kind"), [(append, "prediction_made"), (withdraw, "prediction_erased"), (refuse, "request_refused")]
)
def test_the_same_request_at_two_servers_at_once_has_one_end(
    store: PredictionStore, elsewhere: PredictionStore, engine: Engine, first: Work, kind: str
) -> None:
    stored(store, made(2))
    with ThreadPoolExecutor(2) as pool, engine.begin() as held:
        held.execute(text("SELECT * FROM change_counter FOR UPDATE"))
        begun = [pool.submit(first, elsewhere)]
        wait_until(lambda: number_of(engine, WAITING) == 1)
        begun.append(pool.submit(append, store))
        wait_until(lambda: number_of(engine, WAITING) == 2)
        held.rollback()
        second = begun[1].result(30)
    _, entry = changes_of(store.changes(0))
    assert entry.kind == kind
    assert second.new == []  # type: ignore[attr-defined]
    assert len(second.known["Client-1", "request-1"]) == 1  # type: ignore[attr-defined]
    assert list(problems_of(engine)) == []


def test_numbers_of_others_that_wrote_while_a_statement_waited_are_counted(
    store: PredictionStore, elsewhere: PredictionStore
) -> None:
    def write(of: PredictionStore, client_id: str) -> None:
        for number in range(20):
            page = stored(of, made(number + 1, client_id))
            assert page.totals.predictions >= page.next_after

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (store, elsewhere), ("Client-1", "Client-2")))
    assert store.end().totals.by_client == {"Client-1": 20, "Client-2": 20}


def test_a_record_that_is_written_meanwhile_is_verified_as_of_one_moment(
    store: PredictionStore, engine: Engine
) -> None:
    stored(store, made(1))

    @event.listens_for(engine, "before_cursor_execute")
    def _write(_: object, __: object, statement: str, *___: object) -> None:
        if "erased_up_to <>" in statement:
            with closing(PredictionStore(open_database(engine.url))) as other:
                stored(other, made(2))
                erased(other, 1)

    assert list(problems_of(engine)) == []
    assert store.end().after == 3


def test_every_commit_is_told_after_a_foreign_notice_and_after_the_connection_has_ended(
    store: PredictionStore, elsewhere: PredictionStore, engine: Engine, postgres_server: Postgres
) -> None:
    told, numbers = list[int](), count(1)
    notices = PeriodicTask("notices", lambda: store.listen(told.append, notices.stopping), seconds=0.1)
    notices.start()

    def is_told() -> bool:
        stored(elsewhere, made(next(numbers)))
        return bool(told)

    wait_until(is_told)
    for happens in ("NOTIFY changes, 'something else'", END_LISTENING):
        postgres_server.execute(happens, str(engine.url.database))
        told.clear()
        wait_until(is_told)
    elsewhere.finish_explanation(unfinished(made(1)), LLAMA_TEXT, NOON)
    wait_until(lambda: told[-1] == elsewhere.end().after)
    notices.stop()


def test_who_comes_while_erasures_are_done_again_is_erased_as_well(
    store: PredictionStore, elsewhere: PredictionStore, engine: Engine
) -> None:
    stored(store, made(1))
    comes = iter([made(2)])

    @event.listens_for(engine, "before_cursor_execute")
    def _come(_: object, __: object, statement: str, *___: object) -> None:
        if "FOR UPDATE" in statement:
            stored(elsewhere, *comes)

    assert [store.erase_all(of(2, 3), NOON) for _ in range(2)] == [1, 0]
    assert [entry.kind for entry in changes_of(store.changes(0))[2:]] == ["prediction_erased"] * 2
    assert [item["prediction"]["request_id"] for item in store.recent(9)[1]] == ["request-1"]
    assert list(problems_of(engine)) == []


def test_what_keeps_it_from_being_used_is_a_sentence(engine: Engine) -> None:
    with pytest.raises(StoreUnavailableError, match=r"database .nosuch. does not exist"):
        open_database(engine.url.set(database="nosuch"))


def test_an_outage_is_over_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    with postgres() as server:
        store = PredictionStore(open_database(server.new_database()))
        stored(store, made(1))
        server.stop()
        with pytest.raises(StoreUnavailableError, match=NOT_REACHED):
            append(store)
        server.start()
        assert changes_of(stored(store, made(2)))[0].sequence == 2
        store.close()
    (said,) = {message.partition(" (")[0] for message in caplog.messages}
    assert said == f"the record of predictions cannot be used: {NOT_REACHED}"


@pytest.mark.full  # it waits for four seconds
def test_what_a_server_has_locked_that_is_cut_off_is_soon_free(
    url: str, engine: Engine, postgres_server: Postgres
) -> None:
    link = FaultyLink(postgres_server.port)
    cut = engine_of(engine.url.set(port=urlsplit(link.url).port))
    same = text("UPDATE change_counter SET value = value WHERE id = :id")

    def write() -> None:
        with suppress(DBAPIError), cut.begin() as connection:
            connection.execute(same, [{"id": 1}, {"id": 1}])

    with ThreadPoolExecutor() as pool:
        with engine.begin() as holder:
            holder.execute(same, {"id": 1})
            pool.submit(write)
            wait_until(lambda: number_of(engine, WAITING))
            link.begin("stall")
        with engine.begin() as other:  # whose limit is ten seconds
            other.execute(same, {"id": 1})
        link.close()
    cut.dispose()


@pytest.mark.full
@pytest.mark.parametrize("first_is", ["a reader", "a writer"])
def test_a_failover_that_lost_entries_is_another_log_and_what_was_erased_stays_erased(
    caplog: pytest.LogCaptureFixture, first_is: str
) -> None:
    with postgres() as primary:
        host, next_host = f"127.0.0.1:{primary.port}", f"127.0.0.1:{free_ports(1)[0]}"
        url = f"{primary.new_database().replace(host, '')}?host={host}&host={next_host}"
        store = PredictionStore(open_database(url))
        stored(store, made(1), made(2))
        log = ChangeLog(store)
        standby = primary.standby()  # not started, so that it lacks what comes now
        standby.port = int(next_host.partition(":")[2])
        log.appended(erased(store, 1))
        log.appended(stored(store, made(3)))
        before = (log.name, log.newest)
        primary.kill()
        standby.start()
        standby.control("promote", "-w")
        if first_is == "a writer":
            with closing(PredictionStore(open_database(url))) as writer:
                stored(writer, made(4), made(5), made(6))
        while log.look():
            pass
        assert log.name != before[0]
        assert log.name.partition(".")[0] == before[0].partition(".")[0]
        page = store.changes(0)
        assert (page.log, page.next_after) == (log.name, log.newest)
        entries = changes_of(page)
        assert [entry.sequence for entry in entries] == list(range(1, log.newest + 1))
        assert entries[-1].kind == "prediction_erased"
        assert next(entry.prediction_id for entry in entries if entry.prediction) == "Client-1-2"
        assert "it lacks at least 2 entries that this server had" in caplog.text
        assert log.lost is not None
        assert (log.lost.entries, log.lost.predictions, log.lost.stored_again) == (2, 1, 0)
        epoch = log.name
        log.appended(stored(store, made(3)))
        assert log.name == store.end().log == epoch
        assert log.lost.stored_again == 1
        store.close()


@pytest.fixture
def filled(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a SQLite record with a bit of everything; the commands' record is on PostgreSQL."""
    address = f"sqlite:///{tmp_path / 'old' / 'predictions.sqlite'}"
    with closing(PredictionStore(open_database(address))) as store:
        fill(store)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", url)
    return address


def fill(store: PredictionStore) -> None:
    stored(store, *(made(number) for number in range(1, 6)))
    store.finish_explanation(unfinished(made(1)), LLAMA_TEXT, NOON)
    erased(store, 2)
    refuse(store)
    correction = made(7).model_copy(update={"corrects": "request-3"})
    stored(store, correction)


def test_a_sqlite_record_is_copied_whole_and_once(
    filled: str, url: str, store: PredictionStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", filled)
    assert main(["copy-to", url]) == 0
    assert "the copy is in order: 9 entries" in capsys.readouterr().out
    with closing(PredictionStore(open_database(filled))) as old:
        before, after = old.changes(0), store.changes(0)
        assert (after.next_after, after.entries, after.totals) == (before.next_after, before.entries, before.totals)
        assert before.log.partition(".")[0] == after.log.partition(".")[0]
        assert before.log != after.log
        assert awaiting(old) == awaiting(store) != set()
    assert stored(store, made(8)).after == before.next_after
    assert main(["copy-to", url]) == 1
    assert "There is a record in that database already" in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_after_a_restore_the_log_is_another_one_and_what_was_erased_is_erased_again(
    store: PredictionStore,
    engine: Engine,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(store)
    engine.dispose()
    url = engine.url.render_as_string(hide_password=False)
    restored = postgres_server.new_database(str(engine.url.database))
    erased(store, 3, 4)
    monkeypatch.setenv("DATABASE_URL", restored)
    assert main(["migrate"]) == main(["after-restore", "--replaced", url]) == main(["verify"]) == 0
    assert "Erased again, as it had been since the backup: 2 predictions." in capsys.readouterr().out
    with closing(PredictionStore(open_database(restored))) as put_back:
        names = [store.end().log, put_back.end().log]
        assert main(["after-restore"]) == 0
        assert "client apps send nothing again" in capsys.readouterr().out
        names.append(put_back.end().log)
        assert len(set(names)) == 3
        first, second, third = (name.partition(".")[0] for name in names)
        assert first == second != third
        left = [item["prediction"]["prediction_id"] for item in put_back.recent(9)[1]]
        assert left == ["Client-1-7", "Client-1-5", "Client-1-1"]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_erased_by_command_is_freed_and_though_that_fails_told_and_in_the_trail(
    store: PredictionStore,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: bool,
) -> None:
    def fail(_: object) -> None:
        raise StoreUnavailableError

    fill(store)
    if fails:
        monkeypatch.setattr(PredictionStore, "vacuum", fail)
    assert main(["erase", "--older-than", "1"]) == 0
    said = capsys.readouterr()
    assert "5 predictions were erased." in said.out
    assert ("PostgreSQL has not yet overwritten what was erased" in said.err) == fails
    assert fails or wait_until(lambda: number_of(engine, VACUUMED)) == 2
    (entry,) = AuditTrail(AccessDatabase(engine), lambda: 0).newest(9)
    assert entry.action == "predictions_erased"
