"""What a process says when something fails: where and of what kind, never what it was about."""

import json
import subprocess
import sys

import pytest

from config.secrets import PROJECT_ROOT

CANARY = "canary-137.48213"
PROGRAM = """
import sys
from common.web.concurrency import patch_standard_library
CANARY, mode, form, steps = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
patch_standard_library(mode)
import logging, socket, threading
import socketio
from flask import Flask
from common.errors import InvalidDataError
from common.web.logs import configure_logging, keep_libraries_quiet
from common.web.door import Door
from common.web.serve import accept, listen

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

def names():
    logging.getLogger("server").error("failed", exc_info=InvalidDataError("Row 3 cannot be used."))

def libraries_log():
    for name in ("sqlalchemy.engine", "werkzeug", "httpcore2"):
        logging.getLogger(name).setLevel(logging.DEBUG)  # as werkzeug does itself
        logging.getLogger(name).info(CANARY)
        logging.getLogger(name).warning("warned")
    logging.getLogger("client.relay").debug("ours")

def dies_in_a_thread():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

class Finalized:
    def __del__(self):
        fail()

def dies_in_a_finalizer():
    Finalized()

def fails_in_a_library():
    engine = (socketio.Server(async_mode="threading") if mode == "threading" else socketio.Client()).eio
    engine.on("disconnect", lambda _: fail())
    engine._trigger_event("disconnect", CANARY)

def is_sent(request):
    listener = listen("127.0.0.1", 0)
    app = Flask("app")
    app.wsgi_app = lambda environ, start_response: fail()
    app.wsgi_app = app.extensions["door"] = Door(app, None)
    accept(app, listener, mode)
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(request)
        answer = connection.makefile().read()  # it is closed after what there is to say was said
        print("answered", *answer.splitlines()[-1:])

def fails_outside_of_the_app():
    is_sent(b"GET / HTTP/1.0\\r\\n\\r\\n")

def is_flooded_with_what_is_no_request():
    for _ in range(70):
        is_sent(CANARY.encode() + b"\\r\\n")

def is_about_a_request():
    logging.getLogger("client.relay").info("sent", extra={"request_id": "request-1"})

configure_logging("DEBUG", form)
keep_libraries_quiet()
for step in steps:
    globals()[step]()
"""


def said(*steps: str, mode: str = "threading", form: str = "text") -> str:
    """Return what a process that takes these steps writes, without its command line."""
    command = [sys.executable, "-c", PROGRAM, CANARY, mode, form, *steps]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert CANARY not in text
    return text


MODES = ["eventlet", pytest.param("threading", marks=pytest.mark.full)]


@pytest.mark.parametrize("mode", MODES)
def test_an_exception_is_told_by_place_and_kind_and_not_by_what_it_says(mode: str) -> None:
    steps = ("logs", "dies_in_a_thread", "dies_in_a_finalizer", "fails_in_a_library", "fails_outside_of_the_app")
    text = said(*steps, "fail", mode=mode)
    assert text.count("\nKeyError\n") == text.count("\nValueError\n") == len(steps) + 1
    assert text.count(", in fail\n") == 2 * (len(steps) + 1)
    assert "a request failed outside of the app" in text


UNREADABLE = {"threading": "an unreadable request came", "eventlet": "its message is not shown"}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_request_is_not_repeated_and_does_not_fill_the_disk(mode: str) -> None:
    text = said("is_flooded_with_what_is_no_request", mode=mode)
    assert text.count("answered") == 70
    assert text.count(UNREADABLE[mode]) == 60


def test_libraries_are_heard_from_warning_on_and_a_named_failure_keeps_its_sentence() -> None:
    text = said("libraries_log", "names")
    assert text.count("warned") == 3
    assert text.count("ours") == 1
    assert "InvalidDataError: Row 3 cannot be used." in text


def test_a_line_names_its_request_and_with_json_it_is_an_object_that_holds_the_exception() -> None:
    assert said("is_about_a_request").endswith("INFO client.relay: sent request_id=request-1\n")
    sent, failed = map(json.loads, said("is_about_a_request", "logs", form="json").splitlines())
    assert sent.pop("time").endswith("Z")
    assert sent == {"level": "INFO", "logger": "client.relay", "message": "sent", "request_id": "request-1"}
    assert failed["exception"].endswith("KeyError")
