"""A small app on a real socket, in the concurrency this process runs on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT
from tests.support.processes import Process, end_all, environment_of, run
from tests.support.serving import ASYNC_MODE, served
from tests.support.small_app import SmallApp, settings_in, small_app
from tests.support.speaking import Browser, ClientApp, Connection


@dataclass(frozen=True)
class Running:
    """A small app that answers at an address."""

    small: SmallApp
    url: str

    def signed_in(self) -> Browser:
        browser = Browser(self.url)
        assert browser.sign_in(self.small.settings.secrets.operator_token).status == 204
        return browser


Start = Callable[..., Running]
Join = Callable[..., ClientApp]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    def begin(**changes: object) -> Running:
        small = small_app(settings_in(tmp_path, ASYNC_MODE, **changes))
        ending.callback(small.real_time.stop)
        return Running(small, ending.enter_context(served(small.app)))

    with ExitStack() as ending:
        yield begin


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A small app as a process of its own, which may not have started yet."""
    started: list[Process] = []
    program = ("-m", "tests.support.small_server")
    yield run(started, environment_of(tmp_path, tmp_path, ASYNC_MODE), str(PROJECT_ROOT), program=program)
    end_all(started)


@pytest.fixture
def running(start: Start) -> Running:
    return start()


@pytest.fixture
def join(running: Running, connections: list[Connection]) -> Join:
    """Connect as a client app."""

    def connect(client_id: str = "Client-1", **changes: object) -> ClientApp:
        connections.append(client := ClientApp(running.url, running.small.token(client_id), **changes))
        return client

    return connect
