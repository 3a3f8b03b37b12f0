"""Which client apps are connected: one connection each, and the newer one wins."""

from datetime import UTC, datetime, timedelta

import pytest

from common.messages import PROTOCOL_VERSION, Handshake
from server.clients import ConnectedClients, client_of_token

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> list[datetime]:
    """The times that pass, the present one last."""
    return [NOW]


@pytest.fixture
def clients(clock: list[datetime]) -> ConnectedClients:
    return ConnectedClients(["Client-1", "Client-2"], clock=lambda: clock[-1])


def handshake(instance: str = "one", attempt: int = 1) -> Handshake:
    return Handshake(protocol=PROTOCOL_VERSION, instance=instance, attempt=attempt)


def test_a_queue_is_as_long_as_was_last_said_and_says_when(clients: ConnectedClients, clock: list[datetime]) -> None:
    clients.connected("Client-1", "sid", handshake())
    assert clients.all()[0].waiting is None
    assert clients.heard("Client-1", "sid", 3)
    clock.append(NOW + timedelta(seconds=1))
    assert not clients.heard("Client-1", "sid", 3)
    assert (clients.all()[0].waiting, clients.all()[0].waiting_at) == (3, NOW)  # not news for every dashboard
    assert clients.heard("Client-1", "sid", 4)
    assert not clients.heard("Client-1", "replaced", 7)
    clock.append(NOW + timedelta(seconds=9))
    clients.left("Client-1", "sid")
    clients.connected("Client-1", "again", handshake(attempt=2))
    assert clients.all()[0].waiting_at == clock[1]
    assert not clients.heard("Client-1", "again", 4)
    told = clients.all()[0]
    assert (told.waiting, told.waiting_at, told.last_seen) == (4, clock[2], clock[2])


def test_a_token_proves_its_client_and_no_other() -> None:
    tokens = {"Client-1": "first", "Client-2": "second"}
    assert client_of_token("second", tokens) == "Client-2"
    assert {client_of_token(wrong, tokens) for wrong in ("", "first ", "FIRST", "firstsecond", "ñ")} == {None}
