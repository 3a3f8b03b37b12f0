"""The server's disk fills up, turns read-only, or its database is damaged: it says so, saves nothing, and goes on."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from server.factory import BUSY_SECONDS_IN_LOOP
from tests.integration.server.conftest import StartProcess, run_module
from tests.support.disks import failing_disk, small_disk
from tests.support.made_requests import request
from tests.support.processes import Process, run
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp
from tests.support.waiting import wait_until


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "server" / "predictions.sqlite"


def saved(client: ClientApp, number: int) -> bool:
    """Send a patient until it is stored."""
    return bool(wait_until(lambda: client.predict(request(number).to_wire())["status"] == "stored"))


def stored(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])


def refusal(process: Process, client: ClientApp, number: int) -> str:
    """Send a patient who is refused for now; return why the server says that it is not ready."""
    error = wait_until(lambda: client.predict(request(number).to_wire())["error"])
    assert (error["code"], error["retryable"]) == ("store_unavailable", True)
    answer = Browser(process.url).get("/readyz")
    assert answer.status == 503
    assert Browser(process.url).get("/api/status").json == {"status": "not_ready", "ready": False}
    return str(answer.error["message"])


def end(process: Process, client: ClientApp) -> None:
    client.close()
    assert process.end() == 0
    assert "Traceback" not in process.text


def test_a_full_disk_is_named_nothing_is_said_to_be_saved_and_it_goes_on_by_itself(
    start_process: StartProcess, database: Path
) -> None:
    with small_disk(database.parent, kilobytes=2048) as disk:
        process, client = start_process()
        assert saved(client, 1)
        disk.fill()
        assert "database or disk is full: free some space, and it resumes" in refusal(process, client, 2)
        assert stored(database) == 1
        disk.make_room()
        assert saved(client, 2)
        wait_until(lambda: Browser(process.url).get("/readyz").status == 200)
        assert stored(database) == 2
        end(process, client)


def test_a_locked_database_is_named_and_on_eventlet_holds_nobody_up_for_long(
    start_process: StartProcess, database: Path
) -> None:
    process, client = start_process()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        said = refusal(process, client, 1)
        seconds = time.monotonic() - locked_at
        other.execute("ROLLBACK")
    assert "database is locked: another program holds it; it resumes automatically" in said
    if ASYNC_MODE == "eventlet":
        assert seconds < 5 * 2 * BUSY_SECONDS_IN_LOOP
    assert saved(client, 1)
    end(process, client)
    assert stored(database) == 1


def test_a_disk_that_turns_read_only_is_named_loses_nothing_and_stops_a_start(
    start_process: StartProcess, processes: list[Process], environment: dict[str, str], database: Path
) -> None:
    with failing_disk(database.parent) as disk:
        process, client = start_process()
        assert saved(client, 1)
        disk.turn_read_only()
        assert "the disk fails, is full or turned read-only" in refusal(process, client, 2)
        end(process, client)
        failing = run(processes, environment)
        assert failing.wait() == 1
        assert "cannot be used: " in failing.text
        assert "Traceback" not in failing.text
        disk.mend()
        process, client = start_process()
        assert stored(database) == 1
        assert saved(client, 2)
        end(process, client)


def test_a_damaged_database_is_named_stops_a_start_and_a_restore_brings_it_back(
    start_process: StartProcess, processes: list[Process], environment: dict[str, str], database: Path, tmp_path: Path
) -> None:
    process, client = start_process()
    assert all(saved(client, number) for number in range(1, 31))
    copy = str(tmp_path / "copy.sqlite")
    run_module("server.store", "backup", copy, environment=environment)
    database.write_bytes(b"\xa5" * database.stat().st_size)
    assert "the file is damaged" in (said := refusal(process, client, 31))
    assert "python -m server.store restore FILE" in said
    client.close()
    process.end()
    failing = run(processes, environment)
    assert failing.wait() == 1
    assert f"The database {database} cannot be used: the file is damaged" in failing.text
    assert "restore a backup with: python -m server.store restore FILE" in failing.text
    assert "Traceback" not in failing.text
    assert "is now the record, and in order" in run_module("server.store", "restore", copy, environment=environment)
    process, client = start_process()
    assert saved(client, 30)
    assert saved(client, 31)
    end(process, client)
    assert stored(database) == 31
