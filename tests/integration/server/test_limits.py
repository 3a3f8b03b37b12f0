"""What a peer may not do: send too much, too large or too fast, read too slowly, or be one too many."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from client.outbox import Outbox
from client.relay import Relay
from common.messages import CLIENTS_NAMESPACE, Event, HistoryEntry, Message, WireError
from config.settings import ClientSettings
from tests.integration.server.conftest import RunningServer, StartServer, now
from tests.support.made_requests import request, submission
from tests.support.raw import RawPolling
from tests.support.raw_socket import RawSocket
from tests.support.speaking import WAIT_SECONDS, Browser, ClientApp, Connection, Dashboard, handshake

PUBLISHED = 2000


def wait_until(holds: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
    """Look again and again until something holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def connections_of(server: RunningServer) -> dict[str, Any]:
    return server.server.real_time.connections


def joined(url: str, token: str) -> RawSocket:
    peer = RawSocket(url)
    assert peer.status == 101
    assert peer.receive()
    peer.send("40/clients," + json.dumps(handshake(token)))
    assert (peer.receive() or b"").startswith(b"40/clients,")
    return peer


@pytest.mark.parametrize("fragments", [1, 4])
def test_a_message_is_refused_before_it_has_been_read(running: RunningServer, fragments: int) -> None:
    """Frames that say how long they are, and fragments that do not, are cut off where the limit is."""
    with joined(running.url, running.token()) as peer:
        part = "x" * (running.settings.max_message_bytes // 2)
        if fragments == 1:
            peer.send("42" + part * 3)
        else:
            with suppress(ConnectionError):
                for number in range(fragments):
                    peer.send(part, kind=1 if number == 0 else 0, final=False)
        assert peer.has_ended()


def test_a_request_of_polling_is_refused_when_it_is_too_large_or_has_no_length(running: RunningServer) -> None:
    browser = Browser(running.url)
    opened = json.loads(browser.get("/socket.io/?EIO=4&transport=polling").body[1:])
    path = f"/socket.io/?EIO=4&transport=polling&sid={opened['sid']}"
    answer = browser.request("POST", path, body=b"x" * (running.settings.max_message_bytes + 1))
    assert (answer.status, answer.error["code"]) == (400, "invalid_message")
    wait_until(lambda: connections_of(running)["now"] == 0)


def test_events_beyond_the_limit_are_refused_for_now_and_not_for_good(
    start_server: StartServer, connections: list[Connection]
) -> None:
    server = start_server(events_per_second=5)
    client = ClientApp(server.url, server.token())
    connections.append(client)
    receipts = [client.predict(request(1).to_wire()) for _ in range(12)]
    refused = [WireError.check(receipt["error"]) for receipt in receipts if receipt["status"] == "refused"]
    assert refused
    assert {error.code for error in refused} == {"rate_limited"}
    assert all(error.retryable for error in refused)
    wait_until(lambda: client.predict(request(1).to_wire())["status"] == "accepted")


def test_whoever_floods_the_server_is_cut(start_server: StartServer) -> None:
    server = start_server(events_per_second=2)
    with joined(server.url, server.token()) as peer:
        with suppress(ConnectionError):
            for _ in range(2000):
                peer.send('42/clients,["no_such_event"]')
        assert peer.has_ended()
    assert connections_of(server)["cut"]


def test_one_that_asks_too_often_over_http_is_told_when_to_come_back(start_server: StartServer) -> None:
    server = start_server(requests_per_minute=20)
    one, other = Browser(server.url), Browser(server.url)
    for browser in (one, other):
        assert browser.sign_in(server.operator_token).status == 204
    answers = [one.get("/api/status") for _ in range(60)]  # more than two windows let in
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].error["code"] == "rate_limited"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert other.get("/api/status").status == 200  # the address is theirs together, the limit was not
    assert one.get("/livez").status == one.get("/readyz").status == 200


def test_an_address_has_a_limit_whatever_cookies_it_shows(start_server: StartServer) -> None:
    server = start_server(address_requests_per_minute=30)
    answers = [Browser(server.url).get("/api/status", Cookie=f"hads_server=made-up-{number}") for number in range(90)]
    assert [answer.status for answer in answers][-1] == 429
    assert Browser(server.url).get("/socket.io/?EIO=4&transport=polling").status == 200  # counted by itself


@pytest.mark.parametrize("path", ["/no-such-page", "/static/dashboard.css", "/static/no-such-file"])
def test_files_and_what_is_not_there_count_as_well(start_server: StartServer, path: str) -> None:
    server = start_server(address_requests_per_minute=30)
    statuses = [Browser(server.url).get(path).status for _ in range(90)]
    assert (statuses[0], statuses[-1]) == (200 if path.endswith("dashboard.css") else 404, 429)


@pytest.mark.parametrize("path", ["/api/status", "/", "/ui/base.css"])
def test_a_flood_from_an_address_does_not_close_the_way_in(start_server: StartServer, path: str) -> None:
    """Behind one proxy the flood of a stranger comes from the clinic's own address."""
    server = start_server(requests_per_minute=20, address_requests_per_minute=30)
    flood = Browser(server.url)
    assert [flood.get(path).status for _ in range(90)][-1] == 429
    colleague = Browser(server.url)
    assert colleague.sign_in(server.operator_token).status == 204
    if path != "/ui/base.css":
        assert colleague.get("/ui/sign_in.js").status == 200


def test_the_sign_in_has_a_limit_of_its_own(start_server: StartServer) -> None:
    server = start_server(address_requests_per_minute=30)
    assert [Browser(server.url).get("/sign-in").status for _ in range(90)][-1] == 429
    assert Browser(server.url).get("/api/status").status == 401


def test_the_connection_over_the_ceiling_is_refused_with_the_reason(
    start_server: StartServer, connections: list[Connection]
) -> None:
    server = start_server(max_connections=2)
    browser = Browser(server.url)
    browser.sign_in(server.operator_token)
    connections += [Dashboard(server.url, browser.cookie) for _ in range(2)]
    with RawSocket(server.url) as refused:
        assert refused.status == 503
    answer = browser.get("/socket.io/?EIO=4&transport=polling")
    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (503, "too_many_connections", True)
    told = browser.get("/api/status").json["connections"]
    assert (told["now"], told["at_most"], told["refused"]) == (2, 2, 2)
    connections.pop().close()
    wait_until(lambda: connections_of(server)["now"] == 1)
    connections.append(Dashboard(server.url, browser.cookie))


def test_connections_that_were_not_let_in_keep_nobody_out(
    start_server: StartServer, connections: list[Connection]
) -> None:
    server = start_server(max_connections=3)
    with ExitStack() as flood:
        for _ in range(3):
            assert flood.enter_context(RawSocket(server.url)).status == 101
        for _ in range(3):
            assert Browser(server.url).get("/socket.io/?EIO=4&transport=polling").status == 200
        inside = [ClientApp(server.url, server.token(f"Client-{number}")) for number in (1, 2, 3)]
        connections += inside
        with RawSocket(server.url) as refused:
            assert refused.status == 503
    assert connections_of(server)["cut"] == {"it was not let in, and others wanted its place": 6}
    for number, client in enumerate(inside, start=1):
        client.predict(request(number).to_wire())
        client.answered(f"request-{number}")


def test_of_those_not_let_in_the_address_with_most_makes_room(start_server: StartServer) -> None:
    """So that whoever floods from one address throws out nobody but themselves."""
    server = start_server(max_connections=4, trusted_proxies=1)
    with RawPolling(server.url, origin=None, headers={"X-Forwarded-For": "192.0.2.1"}) as slow:
        for _ in range(12):
            flood = Browser(server.url).get("/socket.io/?EIO=4&transport=polling", X_Forwarded_For="192.0.2.9")
            assert flood.status == 200
        slow.send(f"40{CLIENTS_NAMESPACE},{json.dumps(handshake(server.token()))}")
        assert slow.next().startswith(f"40{CLIENTS_NAMESPACE},")


def test_a_dashboard_that_stops_reading_is_cut_and_costs_others_nothing(
    start_server: StartServer, connections: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server(stalled_seconds=5, outgoing_buffer_bytes=131_072, events_per_second=10_000)
    browser = Browser(server.url)
    browser.sign_in(server.operator_token)
    reader, client = Dashboard(server.url, browser.cookie), ClientApp(server.url, server.token())
    connections += [reader, client]
    with RawSocket(server.url, cookie=browser.cookie, buffer=4096) as stalled:
        assert stalled.receive()
        stalled.send("40/operators,")
        assert (stalled.receive() or b"").startswith(b"40/operators,")
        _publish(client, PUBLISHED)
        wait_until(lambda: connections_of(server)["cut"])
    seen: list[int] = []
    while len(seen) < PUBLISHED:
        seen += [entry.sequence for entry in reader.next_changes().entries]
    assert seen == list(range(1, PUBLISHED + 1))
    assert sum(connections_of(server)["cut"].values()) == 1
    assert "cut a connection: it took nothing of what waited" in caplog.text or "too much waited" in caplog.text
    back = browser.get("/api/changes?limit=500").json
    assert [entry["sequence"] for entry in back["entries"]] == list(range(1, 501))


def _publish(client: ClientApp, count: int) -> None:
    """Have so many predictions made, a few in flight at a time."""
    for first in range(1, count + 1, 50):
        for number in range(first, first + 50):
            message = request(number).to_wire()
            client.client.emit(Event.PREDICT, message, namespace=CLIENTS_NAMESPACE)
        client.answered(f"request-{first + 49}")


def test_a_client_app_that_sends_too_fast_has_nothing_refused_for_good(
    start_server: StartServer, tmp_path: Path
) -> None:
    """An outbox that filled up while the server was away, drained against a limit far below its speed."""
    server = start_server(events_per_second=15)
    outbox = Outbox(tmp_path / "client.sqlite")
    for number in range(1, 61):
        outbox.put(submission(number), request(number).entered_at)
    settings = ClientSettings(
        client_id="Client-1", server_url=server.url, reconnect_max_seconds=0.5, data_dir=tmp_path, secrets_dir=tmp_path
    )
    refused: list[object] = []

    def note(event: Event, message: Message) -> None:
        if isinstance(message, HistoryEntry) and message.state == "refused":
            refused.append(message.error)

    relay = Relay(settings, token=server.token(), outbox=outbox, publish=note, clock=now)
    relay.start()
    wait_until(lambda: outbox.count_waiting() == 0, seconds=60)
    relay.stop()
    outbox.close()
    assert refused == []
    assert [item.prediction.outbox_number for item in server.server.service.store.recent(60)] == list(range(60, 0, -1))
