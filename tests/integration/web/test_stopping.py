"""A stop: nothing accepted is left unanswered, nobody can hold it up, and it is over in about a second."""

import ctypes
import json
import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from queue import Queue

import pytest

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION
from tests.support.processes import TOKENS, Process
from tests.support.raw_socket import RawSocket
from tests.support.speaking import Browser, ClientApp, Connection
from tests.support.waiting import WAIT_SECONDS, wait_until

TGKILL = getattr(ctypes.CDLL(None), "tgkill", None) if os.name == "posix" else None
PROMPT = 10
"""Seconds on a busy machine; who waits for a page that follows waits 20, and for one that is deaf for ever."""

FOLLOW = '["follow",{"log":null,"after":0,"ticket":null}]'


@pytest.fixture(autouse=True)
def _started(process: Process) -> None:
    process.wait_until_started()


def seconds_to_end(process: Process, number: int = signal.SIGTERM) -> float:
    began = time.monotonic()
    assert process.end(number) == 0
    return time.monotonic() - began


def test_many_pages_hold_no_stop_up_and_who_was_accepted_is_answered(
    process: Process, connections: list[Connection]
) -> None:
    browser = Browser(process.url)
    assert browser.sign_in(TOKENS["OPERATOR_TOKEN"]).status == 204
    connections.append(client := ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"]))
    with ExitStack() as opened:
        for number in range(20):  # every other one reads nothing
            buffer = 4096 if number % 2 else None
            page = opened.enter_context(RawSocket(process.url, cookie=browser.cookie, buffer=buffer))
            assert page.enter(OPERATORS_NAMESPACE, {"protocol": PROTOCOL_VERSION}).startswith("40")
            page.send(f"42{OPERATORS_NAMESPACE},{FOLLOW}")
        client.ask_for_changes()
        client.follow()
        accepted = client.predict({"a": 1})
        seconds = seconds_to_end(process)
        assert accepted["status"] == "accepted"
        assert client.next_changes()["entries"][0]["said"] == {"a": 1}
        assert client.next("closing")["reason"]["code"] == "shutting_down"
    assert seconds < PROMPT
    assert "Traceback" not in process.text


def test_a_request_that_came_before_the_stop_is_answered(process: Process) -> None:
    answers: Queue[int] = Queue()
    asking = threading.Thread(target=lambda: answers.put(Browser(process.url).get("/slow").status))
    asking.start()
    wait_until(lambda: "asked\n" in process.written)
    assert seconds_to_end(process, signal.SIGINT) < PROMPT
    assert answers.get(timeout=WAIT_SECONDS) == 200


@pytest.mark.skipif(TGKILL is None, reason="a signal cannot be given to one thread here")
def test_a_stop_is_heeded_whichever_thread_the_system_hands_the_signal_to(process: Process) -> None:
    assert Browser(process.url).get("/livez").status == 200
    others = {int(task.name) for task in Path(f"/proc/{process.running.pid}/task").iterdir()} - {process.running.pid}
    assert TGKILL is not None
    assert TGKILL(process.running.pid, min(others or {process.running.pid}), signal.SIGTERM) == 0
    assert process.wait(WAIT_SECONDS) == 0


def test_an_event_that_comes_with_the_stop_is_refused_for_now(process: Process) -> None:
    with RawSocket(process.url, token=TOKENS["CLIENT_1_TOKEN"]) as peer:
        assert peer.enter(CLIENTS_NAMESPACE, {}).startswith("40")
        process.running.send_signal(signal.SIGTERM)
        heard: list[str] = []
        while not any('"closing"' in said for said in heard):
            peer.send('42/clients,1["predict",{}]')
            heard.append((peer.receive() or b"").decode())
    answers = [json.loads(said.removeprefix("43/clients,1"))[0] for said in heard if said.startswith("43")]
    assert all(one["status"] == "accepted" or one["error"]["retryable"] for one in answers)
    assert process.wait(WAIT_SECONDS) == 0
