"""What a process says when something fails: where and of what kind, never what it was about."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT

CANARY = "canary-137.48213"
PROGRAM = """
import sys
from common.web.concurrency import patch_standard_library
patch_standard_library(sys.argv[2])
import logging, socket, threading
import socketio
from flask import Flask
from common.errors import InvalidDataError
from common.web.logs import configure_logging, keep_libraries_quiet
from common.web.door import Door
from common.web.serve import accept, listen

CANARY = sys.argv[1]

def fail():
    patient = {"resting_bp": CANARY}
    try:
        float(patient["resting_bp"])
    except ValueError as error:
        raise KeyError(CANARY) from error

def logs():
    try:
        fail()
    except KeyError:
        logging.getLogger("server.predictions").exception("a batch could not be answered")

def logs_where_nothing_can_be_written():
    sys.stderr.close()
    logs()

def names():
    logging.getLogger("server").error("failed", exc_info=InvalidDataError("Row 3 cannot be used."))

def dies_in_a_thread():
    threading.Thread(target=fail, name="batcher").start()

class Finalized:
    def __del__(self):
        fail()

def dies_in_a_finalizer():
    Finalized()

def fails_in_a_library():
    for engine in (socketio.Server(async_mode="threading").eio, socketio.Client().eio):
        engine.on("disconnect", lambda _: fail())
        engine._trigger_event("disconnect", CANARY)

def is_sent(request):
    listener = listen("127.0.0.1", 0)
    app = Flask("app")
    parts = {"session_of": None, "client_of_token": None, "allowed_hosts": [], "max_connections": 1, "advisor": None}
    app.wsgi_app = app.extensions["door"] = Door(lambda environ, start_response: fail(), **parts)
    accept(app, listener, sys.argv[2])
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(request)
        answer = connection.makefile().read()  # it is closed after what there is to say was said
        print("answered", *answer.splitlines()[-1:])

def fails_outside_of_the_app():
    is_sent(b"GET / HTTP/1.0\\r\\n\\r\\n")

def is_flooded_with_what_is_no_request():
    for _ in range(70):
        is_sent(CANARY.encode() + b"\\r\\n")

configure_logging("DEBUG")
keep_libraries_quiet()
{}()
"""


def said(tmp_path: Path, function: str, async_mode: str = "threading") -> str:
    """Return what a process that calls one function writes to its standard error."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{}()", f"{function}()"))
    done = subprocess.run(
        [sys.executable, str(program), CANARY, async_mode],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "function",
    ["logs", "fail", "dies_in_a_thread", "dies_in_a_finalizer", "fails_in_a_library"],
)
def test_an_exception_is_told_by_place_and_kind_and_not_by_what_it_says(tmp_path: Path, function: str) -> None:
    text = said(tmp_path, function)
    assert CANARY not in text
    assert {"ValueError", "KeyError"} <= set(text.split())
    assert 'program.py", line' in text


@pytest.mark.parametrize("async_mode", ["threading", "eventlet"])
def test_a_failure_outside_of_the_app_is_told_like_any_other(tmp_path: Path, async_mode: str) -> None:
    text = said(tmp_path, "fails_outside_of_the_app", async_mode)
    assert CANARY not in text
    assert "a request failed outside of the app" in text
    assert {"ValueError", "KeyError"} <= set(text.split())


def test_a_log_that_cannot_be_written_gives_nothing_away(tmp_path: Path) -> None:
    assert CANARY not in said(tmp_path, "logs_where_nothing_can_be_written")


UNREADABLE = {"threading": "no readable request came", "eventlet": "what a library reports is not repeated"}


@pytest.mark.parametrize("async_mode", UNREADABLE)
def test_what_is_no_request_is_not_repeated_and_does_not_fill_the_disk(tmp_path: Path, async_mode: str) -> None:
    text = said(tmp_path, "is_flooded_with_what_is_no_request", async_mode)
    assert text.count("answered") == 70
    assert text.count(UNREADABLE[async_mode]) == 60
    assert CANARY not in text


def test_a_named_failure_keeps_its_sentence(tmp_path: Path) -> None:
    assert "InvalidDataError: Row 3 cannot be used." in said(tmp_path, "names")
