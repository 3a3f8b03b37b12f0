"""What the relay does when something it relies on fails: the disk, a delivery, or itself."""

import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from client.outbox import Outbox
from client.relay import STOPPED_WORKING, Relay
from common.errors import ReplacedConnectionError, StoreUnavailableError
from common.messages import Event, ExplanationFinished, PredictionRefused, PredictRequest, Receipt, WireError
from config.secrets import PROJECT_ROOT
from tests.integration.client.conftest import MakeRelay
from tests.support.made_requests import CLIENT_ID, LLAMA_TEXT, NOON, explained, made, prediction, request, submission
from tests.support.pages import Pages
from tests.support.programmable_server import TOKEN, WAIT_SECONDS, ProgrammableServer
from tests.support.serving import ASYNC_MODE
from tests.support.system_parts import free_ports

Enter = Callable[..., None]


def wait_for_explanation(pages: Pages) -> None:
    pages.wait_for(Event.UPDATE, lambda entry: getattr(entry, "explanation", None) == LLAMA_TEXT)


def refuse_explanations(path: Path) -> None:
    """Let the disk take everything but a new explanation, and say no to that as a full one does."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF explanation ON requests WHEN OLD.state = 'answered' "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )


def accept_explanations(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER full")


def spoil(path: Path) -> None:
    """Make what waits unreadable, as no program of ours writes it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE requests SET record = 'not a record'")


def replace(server: ProgrammableServer) -> None:
    """Do as the server does when another client app connects with the same identity."""
    server.send(Event.CONNECTION_REPLACED, WireError.of(ReplacedConnectionError()))
    server.disconnect_everyone()


def test_a_replaced_client_app_comes_back_only_for_a_new_patient(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.start()
    relay = make_relay(refused_pause=0.0)
    relay.start()
    enter(1)
    relay.wake()
    pages.wait_for_update("request-1")
    replace(server)
    assert pages.wait_for_link("refused").waiting == 0
    with pytest.raises(queue.Empty):
        [server.handshakes.get(timeout=0.5) for _ in range(2)]
    enter(2)
    relay.wake()
    pages.wait_for_update("request-2")
    assert server.handshakes.qsize() == 1


def test_a_replaced_client_app_tries_again_by_itself_after_its_long_pause(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages
) -> None:
    server.start()
    make_relay(replaced_pause=0.5).start()
    pages.wait_for_link("up")
    replace(server)
    pages.wait_for_link("refused")
    pages.wait_for_link("up")


def test_pauses_grow_while_the_server_accepts_and_then_cannot_store(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    asked_at: list[float] = []

    def accept_and_refuse_later(sid: str, asked: PredictRequest) -> Receipt:
        asked_at.append(time.monotonic())
        if len(asked_at) == 4:
            return server.predict(sid, asked)
        refusal = PredictionRefused(request_id="request-1", error=WireError.of(StoreUnavailableError()))
        threading.Timer(0.05, server.send, (Event.PREDICTION_REFUSED, refusal)).start()  # after the receipt
        return Receipt(status="accepted")

    server.answer = accept_and_refuse_later
    server.start()
    enter(1)
    make_relay(reconnect_max_seconds=10).start()
    pages.wait_for_update("request-1")
    assert asked_at[3] - asked_at[2] >= 1.0  # the third pause is 2 s less at most a half; the first, at most 0.5 s


def test_an_explanation_that_could_not_be_kept_is_asked_for_again_on_the_standing_link(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, tmp_path: Path
) -> None:
    answer = prediction(request(1))
    outbox.answer(answer)
    refuse_explanations(tmp_path / "client.sqlite")
    server.start()
    relay.start()
    server.wait_for_questions(1)
    server.change_log = [made(1, answer), explained(2, answer)]
    finished = ExplanationFinished(prediction_id=answer.prediction_id, explanation=LLAMA_TEXT)
    server.send(Event.EXPLANATION_FINISHED, finished)
    server.wait_for_questions(1)
    accept_explanations(tmp_path / "client.sqlite")
    wait_for_explanation(pages)
    assert outbox.history(before=None, limit=1)[0].explanation == LLAMA_TEXT
    assert server.handshakes.qsize() == 1


def test_an_explanation_that_got_lost_on_the_way_is_fetched_on_the_standing_link(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox
) -> None:
    answer = prediction(request(1))
    outbox.answer(answer)
    server.start()
    make_relay(catch_up_every=0.1).start()
    server.wait_for_questions(2)
    server.change_log = [made(1, answer), explained(2, answer)]
    wait_for_explanation(pages)
    assert server.handshakes.qsize() == 1


def test_what_ends_the_relay_unexpectedly_is_told_on_the_pages_and_to_who_started_it(
    server: ProgrammableServer,
    relay: Relay,
    pages: Pages,
    enter: Enter,
    tmp_path: Path,
) -> None:
    failed = threading.Event()
    enter(1)
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
