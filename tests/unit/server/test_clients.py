"""Which client apps are connected, and how long their queues are."""

from datetime import UTC, datetime, timedelta

from common.messages import PROTOCOL_VERSION, Handshake
from server.clients import ConnectedClients

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_a_queue_is_as_long_as_was_last_said_and_says_when() -> None:
    times = [NOON]
    clients = ConnectedClients(["Client-1"], clock=lambda: times[-1])

    def heard(sid: str, waiting: int) -> tuple[bool, int | None, timedelta]:
        """Return whether that was news, and how many wait as of how long after noon."""
        is_news, told = clients.heard("Client-1", sid, waiting), clients.all()[0]
        return is_news, told.waiting, (told.waiting_at or NOON) - NOON

    clients.connected("Client-1", "sid", Handshake(protocol=PROTOCOL_VERSION, instance="one", attempt=1))
    assert clients.all()[0].waiting is None
    assert heard("sid", 3) == (True, 3, timedelta(0))
    times.append(NOON + timedelta(seconds=1))
    assert heard("sid", 3) == (False, 3, timedelta(0))
    assert heard("replaced", 7) == (False, 3, timedelta(0))
    assert heard("sid", 4) == (True, 4, timedelta(seconds=1))
    times.append(NOON + timedelta(seconds=9))
    assert heard("sid", 4) == (False, 4, timedelta(seconds=9))
