"""A client app's token is renewed: the one with the old token says so and keeps its patients for the new one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.outbox import Outbox
from client.relay import Relay
from config.settings import ClientSettings
from tests.integration.server.conftest import StartServer
from tests.support.made_requests import request, submission
from tests.support.pages import Pages
from tests.support.serving import ASYNC_MODE

Start = Callable[[str, str], Pages]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "client.sqlite")
    yield outbox
    outbox.close()


@pytest.fixture
def start_relay(outbox: Outbox) -> Iterator[Start]:
    """Start a client app's link to a server, with a token; it ends before the next one starts."""
    relays: list[Relay] = []

    def start(url: str, token: str) -> Pages:
        for relay in relays:
            relay.stop()
        settings = ClientSettings.model_validate({"server_url": url, "socketio_async_mode": ASYNC_MODE})
        pages = Pages(outbox)
        relay = Relay(settings, token=token, outbox=outbox, nudge=pages.nudge, clock=lambda: datetime.now(UTC))
        pages.status = relay.status
        relays[:] = [relay]
        relay.start()
        return pages

    yield start
    for relay in relays:
        relay.stop()


def test_a_client_app_with_the_old_token_says_so_and_one_with_the_new_sends_what_waited(
    start_server: StartServer, start_relay: Start, outbox: Outbox
) -> None:
    before = start_server()
    start_relay(before.url, before.token()).wait_for_link("up")
    (before.settings.secrets_dir / "client-1" / "CLIENT_1_TOKEN").unlink()
    renewed = start_server()
    outbox.put(submission(1), request(1).entered_at)
    refused = start_relay(renewed.url, before.token()).wait_for_link("refused")
    assert refused.reason == "The client app's token is not known at the server. Check CLIENT_n_TOKEN on both sides."
    assert outbox.place.waiting == 1
    own = ClientSettings.model_validate({"secrets_dir": renewed.settings.secrets_dir, "client_id": "Client-1"})
    assert own.secrets.token == renewed.token() != before.token()
    start_relay(renewed.url, own.secrets.token).wait_for_entry("request-1")
    assert outbox.place.waiting == 0
