"""A real server on a real socket with a real model and database, in the concurrency this process runs on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from common.access.sessions import Sessions
from config.settings import ServerSettings
from server.explanation.llama import explanation_source
from server.factory import BUSY_SECONDS_IN_LOOP, Server, create_app, current_model
from server.store import PredictionStore
from server.store.database import open_database
from tests.support.processes import environment_of
from tests.support.serving import ASYNC_MODE, served
from tests.support.small_app import settings_in
from tests.support.speaking import Browser, ClientApp, Connection, Dashboard


@dataclass(frozen=True)
class RunningServer:
    """A server that answers, and what tests need to know of it."""

    server: Server
    settings: ServerSettings
    engine: Engine
    url: str
    database: Path

    def token(self, client_id: str = "Client-1") -> str:
        return self.settings.secrets.client_tokens[client_id]

    @property
    def operator_token(self) -> str:
        return self.settings.secrets.operator_token

    @property
    def administrator_token(self) -> str:
        return self.settings.secrets.administrator_token

    @property
    def sessions(self) -> Sessions:
        return self.server.real_time.sessions

    def signed_in(self, token: str = "") -> Browser:
        """Return a browser at which the operator, or whose token this is, has signed in."""
        browser = Browser(self.url)
        assert browser.sign_in(token or self.operator_token).status == 204
        return browser


Clock = Callable[[], datetime]
StartServer = Callable[..., RunningServer]
Join = Callable[..., ClientApp]
Watch = Callable[..., Dashboard]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def start_server(tmp_path: Path, detector_dir: Path) -> Iterator[StartServer]:
    """Start a server; the next one finds the same database, as after a restart."""

    def start(*, answering: bool = True, clock: Clock = now, **changes: object) -> RunningServer:
        settings = _settings(tmp_path, {"model_dir": detector_dir} | changes)
        database = tmp_path / "data" / "predictions.sqlite"
        url = settings.database_url or f"sqlite:///{database}"
        engine = open_database(url, busy_seconds=BUSY_SECONDS_IN_LOOP)
        server = create_app(
            settings,
            model=current_model(settings, clock),
            store=PredictionStore(engine),
            explanations=explanation_source(settings),
            clock=clock,
        )
        if answering:
            server.service.start()
        address = ending.enter_context(served(server.app))
        running = RunningServer(server, settings, engine, address, database)
        ending.callback(stop, running)
        return running

    with ExitStack() as ending:
        yield start


def stop(running: RunningServer) -> None:
    """Stop it, and let go of its record."""
    if running.server.service.is_running:
        running.server.service.stop()
    running.server.real_time.stop()
    running.engine.dispose()


def _settings(folder: Path, changes: dict[str, object]) -> ServerSettings:
    usual: dict[str, object] = {
        "max_message_bytes": 65536,
        "llm_model": "a/model",
        "llm_base_url": "",
        "llm_api_key": None,
        "llm_ca_file": None,
        "huggingface_api_token": None,
    }
    return settings_in(folder, ASYNC_MODE, **usual | changes)


@pytest.fixture
def running(start_server: StartServer) -> RunningServer:
    return start_server()


@pytest.fixture
def join(running: RunningServer, connections: list[Connection]) -> Join:
    """Connect as a client app."""

    def connect(client_id: str = "Client-1", *, to: RunningServer = running, **changes: object) -> ClientApp:
        client = ClientApp(to.url, to.token(client_id), **changes)
        connections.append(client)
        return client

    return connect


@pytest.fixture
def signed_in(running: RunningServer) -> Browser:
    return running.signed_in()


@pytest.fixture
def administrator(running: RunningServer) -> Browser:
    return running.signed_in(running.administrator_token)


@pytest.fixture
def watch(running: RunningServer, signed_in: Browser, connections: list[Connection]) -> Watch:
    """Connect as an operator's dashboard."""

    def connect() -> Dashboard:
        dashboard = Dashboard(running.url, signed_in.cookie)
        connections.append(dashboard)
        return dashboard

    return connect


@pytest.fixture
def environment(tmp_path: Path, detector_dir: Path) -> dict[str, str]:
    return environment_of(tmp_path, detector_dir, ASYNC_MODE)
