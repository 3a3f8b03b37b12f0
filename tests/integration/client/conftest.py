"""A relay with a real outbox, a real server on a real socket, and settings that no environment changes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from client.outbox import Outbox
from client.relay import Patience, Relay
from config.settings import ClientSettings
from tests.support.made_requests import CLIENT_ID, id_of, request, submission
from tests.support.pages import Pages
from tests.support.programmable_server import TOKEN, ProgrammableServer
from tests.support.serving import ASYNC_MODE

MakeSettings = Callable[..., ClientSettings]
PATIENT = Patience(refused=60.0, replaced=60.0)


@pytest.fixture
def server() -> Iterator[ProgrammableServer]:
    """A server that is not started yet."""
    server = ProgrammableServer()
    yield server
    server.close()


@pytest.fixture
def make_settings(tmp_path: Path, server: ProgrammableServer, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    monkeypatch.setenv("CLIENT_1_TOKEN", TOKEN)

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


class Link:
    """A relay with what is on its both sides."""

    def __init__(self, server: ProgrammableServer, outbox: Outbox, make_settings: MakeSettings) -> None:
        self.server = server
        self.outbox = outbox
        self.pages = Pages(outbox)
        self._make_settings = make_settings

    def start(self, patience: Patience = PATIENT, **settings: object) -> None:
        """Start a relay; it is stopped when the test ends."""
        made, clock = self._make_settings(**settings), partial(datetime.now, UTC)
        self.relay = Relay(made, self.outbox, nudge=self.pages.nudge, clock=clock, patience=patience)
        self.pages.status = self.relay.status
        self.relay.start()

    def begin(self, *numbers: int, patience: Patience = PATIENT, **settings: object) -> None:
        """Start the server, and a relay whose outbox holds the submissions of these numbers."""
        self.server.start()
        self.enter(*numbers)
        self.start(patience, **settings)

    def enter(self, *numbers: int) -> None:
        """Put the submissions of these numbers into the outbox."""
        for number in numbers:
            self.outbox.put(submission(number), request(number).entered_at)

    def withdraw(self, number: int) -> None:
        """Withdraw a submission, as a page does."""
        self.outbox.withdraw(id_of(number))
        self.relay.wake(id_of(number))

    def wake(self, *numbers: int) -> None:
        """Enter patients while the relay runs."""
        self.enter(*numbers)
        self.relay.wake()


@pytest.fixture
def link(server: ProgrammableServer, outbox: Outbox, make_settings: MakeSettings) -> Iterator[Link]:
    link = Link(server, outbox, make_settings)
    yield link
    if hasattr(link, "relay"):
        link.relay.stop()
