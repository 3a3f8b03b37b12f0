"""What both apps share below their routes: ports, tokens, origins and logging."""

import logging
import socket
from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from common.access.tokens import bearer_token, tokens_equal
from common.web.door import Door
from common.web.headers import CONTENT_SECURITY_POLICY
from common.web.logs import configure_logging
from common.web.origin import is_same_origin
from common.web.proxy_advice import ProxyAdvisor
from common.web.serve import listen
from config.secrets import ConfigurationError


def test_a_port_in_use_is_a_sentence_that_says_what_to_do() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} on 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)


def test_a_listening_socket_hands_down_tcp_nodelay() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_who_comes_while_the_process_stops_is_told_when_to_come_back() -> None:
    door = Door(
        lambda *_: pytest.fail("let in"),
        session_of=lambda _: None,
        client_of_token=lambda _: None,
        allowed_hosts=["localhost"],
        max_connections=1,
        advisor=ProxyAdvisor(0),
    )
    door.close()
    answer = Client(door).get("/api/status")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "shutting_down")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["Cache-Control"] == "no-store"


def test_tokens_are_equal_only_if_they_are_the_same() -> None:
    assert tokens_equal("ä", "ä")
    for wrong in ("", "a", "A", "ä ", "ää"):
        assert not tokens_equal(wrong, "ä")


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer x", "x"),
        ("bearer  x ", "x"),
        ("BEARER x", "x"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic x", None),
        ("x", None),
        ("", None),
        (None, None),
    ],
)
def test_a_bearer_token_is_read_from_its_header_alone(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


def test_an_origin_is_the_same_only_with_scheme_host_and_port() -> None:
    environ = {"wsgi.url_scheme": "http", "HTTP_HOST": "127.0.0.1:5000"}
    assert is_same_origin("http://127.0.0.1:5000", environ)
    for origin in (None, "", "null", "https://127.0.0.1:5000", "http://127.0.0.1:5001", "http://127.0.0.1:5000/"):
        assert not is_same_origin(origin, environ)


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    names = ("common", "config", "server", "client", "werkzeug")
    before = root.level, root.handlers[:], {name: logging.getLogger(name).level for name in names}
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_libraries_are_heard_from_warning_on_and_we_from_the_level_set(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level)
    logging.getLogger("werkzeug").setLevel(logging.INFO)  # as werkzeug does itself
    for name in ("server.store", "client.relay", "common.web", "sqlalchemy.engine", "werkzeug", "httpcore2"):
        for severity in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger(name).log(severity, "said")
    heard = [tuple(line.split()[1:3]) for line in capsys.readouterr().err.splitlines()]
    severities = ["DEBUG", "INFO", "WARNING", "ERROR"]
    ours = severities[severities.index(level) :]
    theirs = [severity for severity in ours if severity in {"WARNING", "ERROR"}]
    for name in ("server.store", "client.relay", "common.web"):
        assert [severity for severity, who in heard if who == f"{name}:"] == ours
    for name in ("sqlalchemy.engine", "httpcore2", "werkzeug"):
        assert [severity for severity, who in heard if who == f"{name}:"] == theirs
