"""Which client apps are connected: one connection each, and the newer one wins."""

import threading
from datetime import UTC, datetime

import pytest

from common.errors import NotSignedInError
from server.clients import ConnectedClients, client_of_token

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def clients() -> ConnectedClients:
    return ConnectedClients(["Client-1", "Client-2"], clock=lambda: NOW)


def test_every_known_client_is_listed_before_it_was_ever_seen(clients: ConnectedClients) -> None:
    assert [(status.client_id, status.connected, status.last_seen) for status in clients.all()] == [
        ("Client-1", False, None),
        ("Client-2", False, None),
    ]


def test_a_newer_connection_replaces_the_older(clients: ConnectedClients) -> None:
    assert clients.connected("Client-1", "old", 3) is None
    assert clients.connected("Client-1", "new", 5) == "old"
    assert clients.disconnected("old") is None
    assert clients.status("Client-1").connected
    assert clients.disconnected("new") == "Client-1"
    assert not clients.status("Client-1").connected


def test_its_queue_shrinks_as_it_is_answered(clients: ConnectedClients) -> None:
    clients.connected("Client-1", "sid", 3)
    assert not clients.heard("Client-1", 3)
    assert clients.heard("Client-1", 4)
    assert clients.answered("Client-1", 3)
    assert clients.status("Client-1").waiting == 1
    assert clients.answered("Client-1", 5)
    assert clients.status("Client-1").waiting == 0
    assert not clients.answered("Client-1", 1)


def test_of_many_connections_at_once_all_but_one_are_replaced(clients: ConnectedClients) -> None:
    replaced: list[str | None] = []
    all_ready = threading.Barrier(8)

    def connect(sid: str) -> None:
        all_ready.wait(10)
        replaced.append(clients.connected("Client-1", sid, 0))

    threads = [threading.Thread(target=connect, args=(f"sid-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert replaced.count(None) == 1
    assert len(set(replaced)) == 8


def test_a_token_proves_its_client_and_no_other() -> None:
    tokens = {"Client-1": "first", "Client-2": "second"}
    assert client_of_token("second", tokens) == "Client-2"
    for wrong in ("", "first ", "FIRST", "firstsecond", "ñ"):
        with pytest.raises(NotSignedInError):
            client_of_token(wrong, tokens)
