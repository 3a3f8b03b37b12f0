"""The server's disk fills up, turns read-only, or its database is damaged: it says so, saves nothing, and goes on."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.secrets import PROJECT_ROOT
from server.factory import BUSY_SECONDS_IN_LOOP
from tests.support.disks import SmallDisk, failing_disk, small_disk
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.recording import paced
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import WAIT_SECONDS, Browser, ClientApp


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    end_all(started)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "server", kilobytes=2048) as disk:
        yield disk


@pytest.fixture
def environment(tmp_path: Path, detector_dir: Path) -> dict[str, str]:
    return environment_of(tmp_path, detector_dir, ASYNC_MODE)


def outcome(client: ClientApp, number: int) -> dict[str, Any] | None:
    """Send a patient, as often as that is accepted and not answered; return the error, ``None`` if it is stored."""
    for _ in paced():
        if (receipt := client.predict(request(number).to_wire()))["status"] != "accepted":
            break
    error: dict[str, Any] | None = receipt["error"]
    return error


def saved(client: ClientApp, number: int) -> bool:
    """Send a patient until it is stored."""
    return any(outcome(client, number) is None for _ in paced())


def stored(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])


def wait_until_ready(url: str) -> None:
    """Ask until the server is ready; what it found out stands for two seconds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while Browser(url).get("/readyz").status != 200:
        assert time.monotonic() < deadline


def test_a_full_disk_is_named_nothing_is_said_to_be_saved_and_it_goes_on_by_itself(
    processes: list[Process], environment: dict[str, str], disk: SmallDisk
) -> None:
    process = run(processes, environment)
    process.wait_until_started()
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    assert saved(client, 1)
    disk.fill()
    error = outcome(client, 2)
    assert error is not None
    assert (error["code"], error["retryable"]) == ("store_unavailable", True)
    unready = Browser(process.url).get("/readyz")
    assert unready.status == 503
    assert "database or disk is full: free some space, and it goes on by itself" in unready.error["message"]
    assert stored(disk.folder / "predictions.sqlite") == 1
    disk.make_room()
    assert saved(client, 2)
    wait_until_ready(process.url)
    assert stored(disk.folder / "predictions.sqlite") == 2
    client.close()
    assert process.end() == 0
    assert "Traceback" not in process.text


def test_a_locked_database_is_named_and_on_eventlet_holds_nobody_up_for_long(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    process = run(processes, environment)
    process.wait_until_started()
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    database = tmp_path / "server" / "predictions.sqlite"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        error = outcome(client, 1)
        unready = Browser(process.url).get("/readyz")
        seconds = time.monotonic() - locked_at
        other.execute("ROLLBACK")
    assert error is not None
    assert (error["code"], error["retryable"]) == ("store_unavailable", True)
    assert unready.status == 503
    assert "database is locked: another program holds it; it goes on by itself" in unready.error["message"]
    if ASYNC_MODE == "eventlet":
        assert seconds < 5 * 2 * BUSY_SECONDS_IN_LOOP
    assert saved(client, 1)
    wait_until_ready(process.url)
    client.close()
    assert process.end() == 0
    assert stored(database) == 1


def test_a_disk_that_cannot_be_written_stops_a_start_with_a_sentence(
    processes: list[Process], environment: dict[str, str], disk: SmallDisk
) -> None:
    disk.forbid_writing()
    process = run(processes, environment)
    assert process.wait() == 1
    assert "cannot be used: Read-only file system" in process.text
    assert "Traceback" not in process.text


def test_a_disk_that_turns_read_only_while_the_server_runs_is_named_and_loses_nothing(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    with failing_disk(tmp_path / "server") as disk:
        process = run(processes, environment)
        process.wait_until_started()
        client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
        assert saved(client, 1)
        disk.turn_read_only()
        error = outcome(client, 2)
        assert error is not None
        assert (error["code"], error["retryable"]) == ("store_unavailable", True)
        unready = Browser(process.url).get("/readyz")
        assert unready.status == 503
        assert "the disk fails, is full or turned read-only" in unready.error["message"]
        client.close()
        assert process.end() == 0
        assert "Traceback" not in process.text
        disk.mend()
        again = run(processes, environment)
        again.wait_until_started()
        client = ClientApp(again.url, TOKENS["CLIENT_1_TOKEN"])
        assert stored(tmp_path / "server" / "predictions.sqlite") == 1
        assert saved(client, 2)
        client.close()
        assert again.end() == 0


def store_command(environment: dict[str, str], *words: str) -> str:
    """Run ``python -m server.store`` where this server's settings hold; return what it says."""
    command = [sys.executable, "-m", "server.store", *words]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def damaged(path: Path) -> bytes:
    """Overwrite a page in the middle of a database, its beginning left whole; return what is there now."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    return bytes(content)


def test_a_damaged_database_stops_a_start_with_what_to_do_and_a_restore_brings_it_back(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    process = run(processes, environment)
    process.wait_until_started()
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    for number in range(1, 31):
        assert saved(client, number)
    client.close()
    copy, database = tmp_path / "copy.sqlite", tmp_path / "server" / "predictions.sqlite"
    store_command(environment, "backup", str(copy))
    assert process.end() == 0
    before = damaged(database)
    failing = run(processes, environment)
    assert failing.wait() == 1
    assert f"The database {database} cannot be used: the file is damaged" in failing.text
    assert "restore a backup with: python -m server.store restore FILE" in failing.text
    assert "Traceback" not in failing.text
    assert database.read_bytes() == before
    assert "is now the record, and in order" in store_command(environment, "restore", str(copy))
    restored = run(processes, environment)
    restored.wait_until_started()
    again = ClientApp(restored.url, TOKENS["CLIENT_1_TOKEN"])
    assert saved(again, 30)
    assert saved(again, 31)
    again.close()
    assert restored.end() == 0
    assert stored(database) == 31


def test_a_database_damaged_while_the_server_runs_is_named_by_its_health(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    process = run(processes, environment)
    process.wait_until_started()
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    assert saved(client, 1)
    (tmp_path / "server" / "predictions.sqlite").write_bytes(b"\xa5" * 200_000)
    error = outcome(client, 2)
    assert error is not None
    assert error["retryable"]
    unready = Browser(process.url).get("/readyz")
    assert unready.status == 503
    assert "the file is damaged" in unready.error["message"]
    assert "python -m server.store restore FILE" in unready.error["message"]
    client.close()
