"""Socket.IO, packet by packet: nothing before the sign-in, no room but one's own, no page but the app's own."""

import json
import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE
from tests.integration.server.conftest import Join, RunningServer, StartServer, now
from tests.support.made_requests import request
from tests.support.raw import RawPolling, RawWebSocket, RefusedHandshakeError
from tests.support.speaking import WAIT_SECONDS, Browser, handshake

Raw = RawWebSocket | RawPolling
ENTER = f"40{OPERATORS_NAMESPACE},"
REFUSED = f"44{OPERATORS_NAMESPACE},"
EVENTS = ("join", "enter_room", "join_room", "subscribe", "changes", "client_status", "connect", "disconnect", "*", "")
BOTH = pytest.mark.parametrize("transport", [RawWebSocket, RawPolling])


def code_of(packet: str) -> str:
    assert packet.startswith(REFUSED), packet
    return str(json.loads(packet.removeprefix(REFUSED))["data"]["code"])


def entering(
    running: RunningServer,
    transport: Callable[..., Raw],
    *,
    cookie: str = "",
    origin: str | None = "its own",
    **headers: str,
) -> str:
    """Return what the server answers to a page that wants to listen, or ``no connection``."""
    own = running.url if origin == "its own" else origin
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Cookie": cookie} if cookie else {})
    try:
        with transport(running.url, origin=own, headers=sent) as peer:
            peer.send(ENTER)
            answer = peer.next()
            return "let in" if answer.startswith(ENTER) else code_of(answer)
    except RefusedHandshakeError:
        return "no connection"


@BOTH
def test_the_apps_own_page_is_let_in(running: RunningServer, signed_in: Browser, transport: Callable[..., Raw]) -> None:
    assert entering(running, transport, cookie=signed_in.cookie) == "let in"


def test_a_page_that_polls_sends_no_origin_and_is_let_in(running: RunningServer, signed_in: Browser) -> None:
    """As browsers do with a GET to a page's own app."""
    assert entering(running, RawPolling, cookie=signed_in.cookie, origin=None) == "let in"
    site = {"Sec_Fetch_Site": "same-origin"}
    assert entering(running, RawPolling, cookie=signed_in.cookie, origin=None, **site) == "let in"


@BOTH
def test_no_page_of_another_origin_is_let_in(
    running: RunningServer, signed_in: Browser, transport: Callable[..., Raw]
) -> None:
    port = int(running.url.rpartition(":")[2])
    foreign = ("http://evil.example", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", f"http://localhost:{port}")
    for origin in (*foreign, running.url.replace("http", "https"), "null", "file://"):
        assert entering(running, transport, cookie=signed_in.cookie, origin=origin) == "no connection", origin


def test_a_websocket_without_an_origin_is_no_pages(running: RunningServer, signed_in: Browser) -> None:
    assert entering(running, RawWebSocket, cookie=signed_in.cookie, origin=None) == "not_allowed"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_of_a_foreign_page_is_not_let_in(running: RunningServer, signed_in: Browser, site: str) -> None:
    cookie = signed_in.cookie
    assert entering(running, RawPolling, cookie=cookie, origin=None, Sec_Fetch_Site=site) == "not_allowed"


@BOTH
def test_a_rebound_host_name_is_not_let_in(
    running: RunningServer, signed_in: Browser, transport: Callable[..., Raw]
) -> None:
    host = f"evil.example:{running.url.rpartition(':')[2]}"
    headers = {"cookie": signed_in.cookie, "origin": f"http://{host}", "Host": host}
    assert entering(running, transport, **headers) == "not_allowed"


@BOTH
def test_only_this_apps_open_session_is_let_in(
    start_server: StartServer, running: RunningServer, signed_in: Browser, transport: Callable[..., Raw]
) -> None:
    elsewhere = running.settings.data_dir.with_name("another")
    other = start_server(secrets_dir=elsewhere, data_dir=elsewhere, database_url="")
    stranger = Browser(other.url)
    assert stranger.sign_in(other.operator_token).status == 204
    another_apps = signed_in.cookie.replace("hads_server", "hads_client_client-1")
    for cookie in ("", "hads_server=garbage", stranger.cookie, another_apps):
        assert entering(running, transport, cookie=cookie) == "not_signed_in"
    copied = signed_in.cookie
    assert signed_in.post("/sign-out", {}).status == 204
    assert entering(running, transport, cookie=copied) == "not_signed_in"


@BOTH
def test_nothing_is_heard_or_taken_before_the_sign_in(
    running: RunningServer, join: Join, transport: Callable[..., Raw]
) -> None:
    """Events into every namespace, then a refused attempt to enter; all the while patients are answered."""
    predict = json.dumps(["predict", request(1).to_wire()])
    wrong = json.dumps(handshake("wrong"))
    with transport(running.url, origin=running.url, headers={}) as peer:
        for namespace in ("", f"{CLIENTS_NAMESPACE},", f"{OPERATORS_NAMESPACE},", "/other,"):
            peer.send(f"42{namespace}{predict}", *(f"42{namespace}7{json.dumps([name, 'x'])}" for name in EVENTS))
        client = join()
        client.predict(request(2).to_wire())
        client.answered("request-2")
        peer.send(ENTER, f"40{CLIENTS_NAMESPACE},{wrong}", "40")
        answers = [peer.next() for _ in range(3)]
        assert code_of(answers[0]) == "not_signed_in"
        assert [answer[:2] for answer in answers] == ["44"] * 3  # and nothing in between
        client.predict(request(3).to_wire())
        client.answered("request-3")
        peer.send(ENTER)
        assert code_of(peer.next()) == "not_signed_in"
    stored = [item.prediction.request_id for item in running.server.service.store.recent(10)]
    assert stored == ["request-3", "request-2"]


@BOTH
def test_no_event_leads_into_a_room(running: RunningServer, join: Join, transport: Callable[..., Raw]) -> None:
    """A client app that asks for the rooms of others is refused, and hears of its own patients alone."""
    other = join("Client-1")
    with transport(running.url, origin=None, headers={}) as peer:
        peer.send(f"40{CLIENTS_NAMESPACE},{json.dumps(handshake(running.token('Client-2')))}")
        assert peer.next().startswith(f"40{CLIENTS_NAMESPACE},")
        for name in EVENTS:
            for room in ("operators", "Client-1", {"room": "Client-1"}):
                peer.send(f"42{CLIENTS_NAMESPACE},5{json.dumps([name, room])}")
                answer = peer.next()
                assert answer.startswith(f"43{CLIENTS_NAMESPACE},5"), (name, answer)
                assert '"code":"invalid_message"' in answer
        other.predict(request(1).to_wire())
        other.answered("request-1")
        peer.send(f"42{CLIENTS_NAMESPACE},6{json.dumps(['no such event'])}")
        assert peer.next().startswith(f"43{CLIENTS_NAMESPACE},6")  # and nothing of request-1 before it


@BOTH
def test_a_message_says_who_sent_it_to_nobody(running: RunningServer, transport: Callable[..., Raw]) -> None:
    """The identity is the connection's: a message that claims another is refused."""
    with transport(running.url, origin=None, headers={}) as peer:
        peer.send(f"40{CLIENTS_NAMESPACE},{json.dumps(handshake(running.token('Client-2')))}")
        peer.next()
        claim = request(1).to_wire() | {"client_id": "Client-1"}
        peer.send(f"42{CLIENTS_NAMESPACE},1{json.dumps(['predict', claim])}")
        assert '"code":"invalid_message"' in peer.next()
    assert running.server.service.store.recent(10) == []


def test_a_connections_id_is_no_proof(running: RunningServer, signed_in: Browser) -> None:
    """It stands in addresses, which a proxy may log: who knows it cannot listen, speak or take over."""
    stranger = Browser(running.url)
    assert stranger.sign_in(running.operator_token).status == 204
    with RawPolling(running.url, origin=None, headers={"Cookie": signed_in.cookie}) as peer:
        peer.send(ENTER)
        for cookie in ("", stranger.cookie, "hads_server=garbage"):
            headers = {"Cookie": cookie or None}
            for method, body in (("GET", None), ("POST", b"1")):
                assert stranger.request(method, peer.path, headers=headers, body=body).status == 400
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            path = peer.path.replace("polling", "websocket")
            assert stranger.request("GET", path, headers=headers | upgrade | key).status == 400
        assert peer.next().startswith(ENTER)


def test_an_event_that_overtakes_the_handshake_is_not_taken(start_server: StartServer) -> None:
    """Two requests of one polling connection at once: the first is still checked when the second says something."""
    checking, go_on, slow = threading.Event(), threading.Event(), threading.Event()

    def clock() -> datetime:
        if slow.is_set():
            slow.clear()
            checking.set()
            assert go_on.wait(WAIT_SECONDS)
        return now()

    server = start_server(clock=clock)
    with RawPolling(server.url, origin=None, headers={}) as peer:
        slow.set()
        enter = f"40{CLIENTS_NAMESPACE},{json.dumps(handshake(server.token()))}"
        entering_thread = threading.Thread(target=peer.send, args=(enter,))
        entering_thread.start()
        assert checking.wait(WAIT_SECONDS)
        peer.send(f"42{CLIENTS_NAMESPACE},9{json.dumps(['predict', request(1).to_wire()])}")
        go_on.set()
        entering_thread.join(WAIT_SECONDS)
        peer.send(f"42{CLIENTS_NAMESPACE},10{json.dumps(['no such event'])}")
        answers: list[str] = []
        while f"43{CLIENTS_NAMESPACE},10" not in "".join(answers):
            answers.append(peer.next())
    assert "accepted" not in "".join(answers)
    assert server.server.service.store.recent(10) == []
