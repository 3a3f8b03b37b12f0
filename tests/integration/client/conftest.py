"""A relay with a real outbox, a real server on a real socket, and settings that no environment changes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.outbox import Outbox
from client.relay import Patience, Relay
from config.settings import ClientSettings
from tests.support.made_requests import CLIENT_ID, request, submission
from tests.support.pages import Pages
from tests.support.programmable_server import ASYNC_MODE, TOKEN, ProgrammableServer

MakeSettings = Callable[..., ClientSettings]
MakeRelay = Callable[..., Relay]


@pytest.fixture
def server() -> Iterator[ProgrammableServer]:
    """A server that is not started yet."""
    server = ProgrammableServer()
    yield server
    server.stop()


@pytest.fixture
def make_settings(tmp_path: Path, server: ProgrammableServer) -> MakeSettings:
    def make(**changes: object) -> ClientSettings:
        usual = {
            "client_id": CLIENT_ID,
            "server_url": server.url,
            "socketio_async_mode": ASYNC_MODE,
            "data_dir": tmp_path / "data",
            "secrets_dir": tmp_path / "secrets",
            "reconnect_max_seconds": 0.2,
            "reply_timeout_seconds": 60,
        }
        return ClientSettings.model_validate(usual | changes)

    return make


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "client.sqlite")
    yield outbox
    outbox.close()


@pytest.fixture
def pages(outbox: Outbox) -> Pages:
    return Pages(outbox)


@pytest.fixture
def make_relay(make_settings: MakeSettings, outbox: Outbox, pages: Pages) -> Iterator[MakeRelay]:
    """Make relays; they are stopped when the test ends."""
    relays: list[Relay] = []

    def make(patience: Patience = Patience(refused=60.0, replaced=60.0), **settings: object) -> Relay:  # noqa: B008
        relay = Relay(
            make_settings(**settings),
            token=TOKEN,
            outbox=outbox,
            nudge=pages.nudge,
            clock=lambda: datetime.now(UTC),
            patience=patience,
        )
        pages.status = relay.status
        relays.append(relay)
        return relay

    yield make
    for relay in relays:
        if relay.is_running:
            relay.stop()


@pytest.fixture
def relay(make_relay: MakeRelay) -> Relay:
    return make_relay()


@pytest.fixture
def enter(outbox: Outbox) -> Callable[..., None]:
    """Put the submissions of these numbers into the outbox."""

    def put(*numbers: int) -> None:
        for number in numbers:
            outbox.put(submission(number), request(number).entered_at)

    return put
