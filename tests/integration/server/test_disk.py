"""The server's disk fills up, turns read-only, or its database is damaged: it says so, saves nothing, and goes on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.server.conftest import Join, RunningServer
from tests.support.disks import SmallDisk, failing_disk, small_disk
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, run
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp
from tests.support.stalls import MOST_WAITS, LoopWatch, database_held
from tests.support.waiting import wait_until


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "data", kilobytes=2048) as disk:
        yield disk


def saved(client: ClientApp, number: int) -> bool:
    """Send a patient until it is stored."""
    return bool(wait_until(lambda: client.predict(request(number).to_wire())["status"] == "stored"))


def stored(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])


def refusal(url: str, client: ClientApp, number: int) -> str:
    """Send a patient who is refused for now; return why the server says that it is not ready."""
    error = wait_until(lambda: client.predict(request(number).to_wire())["error"])
    assert (error["code"], error["retryable"]) == ("store_unavailable", True)
    answer = Browser(url).get("/readyz")
    assert answer.status == 503
    assert Browser(url).get("/api/status").json == {"status": "not_ready", "ready": False}
    return str(answer.error["message"])


def test_a_full_disk_is_named_nothing_is_said_to_be_saved_and_it_goes_on_by_itself(
    small: SmallDisk, running: RunningServer, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    client = join()
    assert saved(client, 1)
    small.fill()
    assert "database or disk is full: free some space, and it resumes" in refusal(running.url, client, 2)
    assert stored(running.database) == 1
    small.make_room()
    assert saved(client, 2)
    wait_until(lambda: Browser(running.url).get("/readyz").status == 200)
    assert stored(running.database) == 2
    assert "Traceback" not in caplog.text


def test_a_locked_database_is_named_and_on_eventlet_holds_nobody_up_for_long(
    running: RunningServer, join: Join, signed_in: Browser
) -> None:
    client = join()
    client.ask_for_changes()
    with database_held(running.database) as held, LoopWatch() as watch:
        client.follow()
        said = refusal(running.url, client, 1)
        assert {signed_in.get(path).status for path in ("/api/status", "/api/predictions")} <= {200, 503}
    assert "database is locked: another program holds it; it resumes automatically" in said
    if ASYNC_MODE == "eventlet":
        assert watch.longest < MOST_WAITS * held.one_wait
    assert saved(client, 1)
    assert stored(running.database) == 1


def test_a_disk_that_turns_read_only_is_named_loses_nothing_and_stops_a_start(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    database = tmp_path / "server" / "predictions.sqlite"
    with failing_disk(database.parent) as disk:
        process = run(processes, environment)
        process.wait_until_started()
        with closing(ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])) as client:
            assert saved(client, 1)
            disk.turn_read_only()
            assert "the disk fails, is full or turned read-only" in refusal(process.url, client, 2)
        assert process.end() == 0
        again = run(processes, environment)
        assert again.wait() == 1
        assert "cannot be used: " in again.text
        assert "Traceback" not in process.text + again.text
        disk.mend()
        assert stored(database) == 1


def test_a_database_that_is_damaged_while_a_server_runs_is_named_and_not_counted(
    running: RunningServer, join: Join, signed_in: Browser
) -> None:
    client = join()
    assert all(saved(client, number) for number in range(1, 31))
    running.database.write_bytes(b"\xa5" * running.database.stat().st_size)
    assert "the file is damaged" in (said := refusal(running.url, client, 31))
    assert "python -m server.store restore FILE" in said
    status = signed_in.get("/api/status").json
    assert (status["totals"], status["cursor"], status["store"]["ok"]) == (None, None, False)
    assert "the file is damaged" in status["store"]["reason"]
