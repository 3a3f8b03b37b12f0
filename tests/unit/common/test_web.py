"""What both apps share below their routes: ports, tokens, origins and logging."""

import logging
import socket
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from werkzeug.test import Client

from common.access.tokens import bearer_token
from common.errors import StoreUnavailableError
from common.web.door import Door
from common.web.headers import CONTENT_SECURITY_POLICY
from common.web.logs import configure_logging
from common.web.proxy_advice import ProxyAdvisor
from common.web.readiness import RememberedCheck
from common.web.serve import listen
from config.secrets import ConfigurationError
from tests.support.clock import StoppedClock


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


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer x", "x"), ("BEARER  x ", "x"), ("Bearer ", None), ("Basic x", None), ("x", None), (None, None)],
)
def test_a_bearer_token_is_read_from_its_header_alone(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


def test_whether_an_app_is_ready_is_found_out_every_two_seconds() -> None:
    outcomes, clock = iter([None, StoreUnavailableError("of a reason"), None]), StoppedClock(0.0)

    def check() -> None:
        if (failure := next(outcomes)) is not None:
            raise failure

    ask = RememberedCheck(check, clock=clock)
    for at, fails in ((0.0, False), (1.9, False), (2.0, True), (3.9, True), (4.0, False), (5.9, False)):
        clock.now = at
        with pytest.raises(StoreUnavailableError, match="of a reason") if fails else nullcontext():
            ask()


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
@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
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
