"""What both apps share below their routes: the listening socket and the door."""

import socket
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import Client

from common.web.door import Door
from common.web.headers import CONTENT_SECURITY_POLICY
from common.web.serve import listen
from tests.support.small_app import settings_in


def test_a_listening_socket_hands_down_tcp_nodelay() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_who_comes_while_the_process_stops_is_told_when_to_come_back(tmp_path: Path) -> None:
    app = Flask("app")
    app.wsgi_app = lambda *_: pytest.fail("let in")  # type: ignore[method-assign]
    door = Door(app, settings_in(tmp_path, "threading"))
    door.close()
    answer = Client(door).get("/api/status")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "shutting_down")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
