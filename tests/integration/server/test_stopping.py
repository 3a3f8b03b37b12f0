"""A stop under load, with a peer that reads nothing: over in time, and nothing accepted is lost."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import socketio

from client.outbox import Outbox
from common.messages import CLIENTS_NAMESPACE, Event
from tests.support.made_requests import request, submission
from tests.support.processes import TOKENS, Process, end_all, environment_of, free_port, run
from tests.support.raw_socket import RawSocket
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import WAIT_SECONDS, Browser, ClientApp, Connection

TGKILL = getattr(ctypes.CDLL(None), "tgkill", None) if os.name == "posix" else None
MOST_SECONDS = 10.0
CLINICIAN_TOKEN = "the-clinicians-token-of-this-test-0123456789"


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    end_all(started)


def seconds_to_end(process: Process) -> float:
    began = time.monotonic()
    assert process.end(seconds=MOST_SECONDS) == 0
    return time.monotonic() - began


def stalled_dashboard(url: str) -> RawSocket:
    browser = Browser(url)
    assert browser.sign_in(TOKENS["OPERATOR_TOKEN"]).status == 204
    peer = RawSocket(url, cookie=browser.cookie, buffer=4096)
    peer.send("40/operators,")
    return peer


def test_a_server_stops_in_time_and_has_stored_what_it_accepted(
    processes: list[Process], tmp_path: Path, detector_dir: Path
) -> None:
    environment = environment_of(tmp_path, detector_dir, ASYNC_MODE)
    process = run(processes, environment)
    process.wait_until_started()
    accepted: set[str] = set()
    some, stopping = threading.Event(), threading.Event()
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])

    def note(request_id: str, receipt: dict[str, str]) -> None:
        if receipt["status"] == "accepted":
            accepted.add(request_id)
        if len(accepted) > 100:
            some.set()

    def send() -> None:
        for number in range(1, 5000):
            message = request(number).to_wire()
            with suppress(socketio.exceptions.SocketIOError):
                client.client.emit(
                    Event.PREDICT,
                    message,
                    namespace=CLIENTS_NAMESPACE,
                    callback=lambda receipt, sent=message["request_id"]: note(sent, receipt),
                )
            if stopping.wait(0.002):
                return

    with stalled_dashboard(process.url):
        sending = threading.Thread(target=send)
        sending.start()
        assert some.wait(WAIT_SECONDS)
        assert seconds_to_end(process) < MOST_SECONDS
        stopping.set()
        sending.join()
        client.close()
    restarted = run(processes, environment)
    restarted.wait_until_started()
    assert accepted <= _stored(restarted.url)
    assert "Traceback" not in process.text


def _stored(url: str) -> set[str]:
    stored: set[str] = set()
    after, more = 0, True
    while more:
        path = f"/api/changes?limit=500&after={after}"
        page = Browser(url).get(path, Authorization=f"Bearer {TOKENS['CLIENT_1_TOKEN']}").json
        stored |= {entry["prediction"]["request_id"] for entry in page["entries"]}
        after, more = page["next_after"], page["has_more"]
    return stored


def test_a_client_app_stops_in_time_and_has_on_disk_what_it_queued(
    processes: list[Process], tmp_path: Path, detector_dir: Path
) -> None:
    """Its server is away, and one of its pages reads nothing."""
    environment = environment_of(tmp_path, detector_dir, ASYNC_MODE) | {
        "CLIENT_ID": "Client-1",
        "CLIENT_1_CLINICIAN_TOKEN": CLINICIAN_TOKEN,
        "SERVER_URL": f"http://127.0.0.1:{free_port()}",
    }
    process = run(processes, environment, "client")
    link = process.wait_until_started()
    browser = Browser(process.url)
    token = link.rpartition("#token=")[2].strip() if "#token=" in link else CLINICIAN_TOKEN
    assert browser.sign_in(token).status == 204
    page = Connection(process.url, "/", headers={"Cookie": browser.cookie})
    queued: set[str] = set()
    with RawSocket(process.url, cookie=browser.cookie, buffer=4096) as stalled:
        stalled.send("40")
        for number in range(1, 101):
            sent = submission(number).to_wire()
            if page.ask(Event.SUBMIT, sent)["status"] == "queued":
                queued.add(sent["request_id"])
        assert seconds_to_end(process) < MOST_SECONDS
    page.close()
    assert len(queued) == 100
    (file,) = Path(environment["DATA_DIR"]).rglob("client.sqlite")
    outbox = Outbox(file)
    assert queued <= {one.request_id for one in outbox.waiting(after=0, limit=200)}
    outbox.close()
    assert "Traceback" not in process.text


@pytest.mark.skipif(TGKILL is None, reason="a signal cannot be given to one thread here")
def test_a_stop_is_heeded_whichever_thread_the_system_hands_the_signal_to(
    processes: list[Process], tmp_path: Path, detector_dir: Path
) -> None:
    process = run(processes, environment_of(tmp_path, detector_dir, ASYNC_MODE))
    process.wait_until_started()
    others = {int(task.name) for task in Path(f"/proc/{process.running.pid}/task").iterdir()} - {process.running.pid}
    assert TGKILL is not None
    assert TGKILL(process.running.pid, min(others), signal.SIGTERM) == 0
    assert process.wait(MOST_SECONDS) == 0
