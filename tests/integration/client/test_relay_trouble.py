"""What the relay does when something unexpected ends it."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from client.outbox import Outbox
from client.relay import STOPPED_WORKING, Relay
from config.secrets import PROJECT_ROOT
from tests.support.made_requests import CLIENT_ID, NOON, submission
from tests.support.pages import Pages
from tests.support.programmable_server import ASYNC_MODE, TOKEN, WAIT_SECONDS, ProgrammableServer
from tests.support.system_parts import free_ports


def spoil(path: Path) -> None:
    """Make what waits unreadable, as no program of ours writes it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE requests SET record = 'not a record'")


def test_what_ends_the_relay_unexpectedly_is_told_on_the_pages_and_to_who_started_it(
    server: ProgrammableServer,
    relay: Relay,
    pages: Pages,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    failed = threading.Event()
    outbox.put(submission(1), NOON)
    spoil(tmp_path / "client.sqlite")
    server.start()
    relay.start(on_failure=failed.set)
    assert failed.wait(WAIT_SECONDS)
    assert pages.wait_for_link("down").reason == STOPPED_WORKING
    assert (relay.status().state, relay.status().reason) == ("down", STOPPED_WORKING)


def test_a_client_app_without_its_relay_ends_so_that_it_is_started_anew(
    server: ProgrammableServer, tmp_path: Path
) -> None:
    file = tmp_path / "data" / CLIENT_ID.lower() / "client.sqlite"
    with closing(Outbox(file)) as outbox:
        outbox.put(submission(1), NOON)
    spoil(file)
    server.start()
    environment = os.environ | {
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_1_TOKEN": TOKEN,
        "DATA_DIR": str(tmp_path / "data"),
        "SECRETS_DIR": str(tmp_path / "secrets"),
        "SERVER_URL": server.url,
        "SOCKETIO_ASYNC_MODE": ASYNC_MODE,
        "PORT": str(free_ports(1)[0]),
    }
    command = [sys.executable, str(PROJECT_ROOT / "client" / "app.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "the link to the server has stopped working\nTraceback" in ended.stderr
