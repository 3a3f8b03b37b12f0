"""Who may connect, what is refused and why, and what operators are told of the connections."""

import contextlib
import json
import secrets
import time
from datetime import datetime, timedelta
from queue import Queue
from typing import Any

import pytest
import websocket
from flask.sessions import SecureCookieSessionInterface

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, WireError
from tests.integration.server.conftest import Join, RunningServer, StartServer, Watch, now
from tests.support.made_requests import request
from tests.support.speaking import (
    WAIT_SECONDS,
    Browser,
    ClientApp,
    Connection,
    Dashboard,
    RefusedError,
    handshake,
)


def refusal_of(url: str, namespace: str, **options: Any) -> WireError:
    with pytest.raises(RefusedError) as raised:
        Connection(url, namespace, **options)
    assert isinstance(raised.value.error, dict), raised.value.error
    return WireError.check(raised.value.error["data"])


def hang_up(peer: websocket.WebSocket) -> None:
    """Close the socket; ``close`` of the library leaves one open that the server has closed."""
    peer.shutdown()  # type: ignore[no-untyped-call]


def text_from(peer: websocket.WebSocket) -> str:
    """The next packet, which is text, or nothing at the end."""
    return str(peer.recv())


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (None, "invalid_message"),
        ({}, "invalid_message"),
        ("garbage", "invalid_message"),
        ([1, 2], "invalid_message"),
        ({"token": "x"}, "invalid_message"),
        ({"protocol": "1", "token": "x"}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": ""}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": None}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": "x" * 257}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": "x", "waiting": -1}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": "x", "more": 1}, "invalid_message"),
        ({"protocol": PROTOCOL_VERSION, "token": "wrong"}, "not_signed_in"),
        ({"protocol": PROTOCOL_VERSION, "token": "wrong", "waiting": 3}, "not_signed_in"),
        ({"protocol": PROTOCOL_VERSION + 1, "token": "x"}, "unsupported_protocol"),
        ({"protocol": 99, "certificate": "of another version"}, "unsupported_protocol"),
    ],
)
def test_a_client_app_without_the_right_handshake_is_refused_with_the_reason(
    running: RunningServer, auth: object, code: str
) -> None:
    assert refusal_of(running.url, CLIENTS_NAMESPACE, auth=auth).code == code


def test_a_wrong_token_is_not_repeated(running: RunningServer) -> None:
    error = refusal_of(running.url, CLIENTS_NAMESPACE, auth=handshake("MARKER"))
    assert "MARKER" not in error.model_dump_json()


def test_the_operators_token_is_no_clients(running: RunningServer) -> None:
    auth = handshake(running.operator_token)
    assert refusal_of(running.url, CLIENTS_NAMESPACE, auth=auth).code == "not_signed_in"


def test_a_namespace_that_is_not_there_is_refused(running: RunningServer) -> None:
    for namespace in ("/", "/other"):
        with pytest.raises(RefusedError):
            Connection(running.url, namespace, auth=handshake(running.token()))


def test_nothing_is_delivered_before_the_handshake(running: RunningServer, join: Join) -> None:
    """Packets by hand: events into namespaces that this connection never entered."""
    address = running.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    peer = websocket.create_connection(address, timeout=WAIT_SECONDS)
    assert text_from(peer).startswith("0")
    event = json.dumps(["predict", request(1).to_wire()])
    peer.send(f"42/clients,7{event}")
    peer.send("42/operators,8" + json.dumps(["changes", {}]))
    refused = json.dumps(handshake("wrong"))
    peer.send(f"40/clients,{refused}")
    assert text_from(peer).startswith("44/clients,")
    peer.send(f"42/clients,9{event}")
    client = join()
    client.predict(request(2).to_wire())
    client.answered("request-2")
    peer.send(f"40/clients,{refused}")
    assert text_from(peer).startswith("44/clients,")  # and nothing in between: no receipt, no answer of another
    hang_up(peer)
    assert [item.prediction.request_id for item in running.server.service.store.recent(10)] == ["request-2"]


@pytest.mark.parametrize(
    "packet",
    ["42/clients,[]", "42/clients,{}", "42/clients,{bad", "4", "4x", "", "x", "9", "2", "451-/clients,1[]", "450-[1]"],
)
def test_a_packet_that_breaks_the_protocol_ends_its_connection_and_no_other(
    running: RunningServer, join: Join, packet: str
) -> None:
    client = join()
    address = running.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    peer = websocket.create_connection(address, timeout=WAIT_SECONDS)
    peer.recv()
    peer.send("40/clients," + json.dumps(handshake(running.token("Client-2"))))
    assert text_from(peer).startswith("40/clients,")
    peer.send(packet)
    with contextlib.suppress(ConnectionError, websocket.WebSocketConnectionClosedException):
        while text_from(peer):
            continue
    hang_up(peer)
    client.predict(request(2).to_wire())
    client.answered("request-2")


def test_a_message_over_the_limit_ends_its_connection_and_no_other(running: RunningServer, join: Join) -> None:
    address = running.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    peer = websocket.create_connection(address, timeout=WAIT_SECONDS)
    peer.recv()
    peer.send("40/clients," + "x" * running.settings.max_message_bytes)
    with contextlib.suppress(ConnectionError, websocket.WebSocketConnectionClosedException):
        while text_from(peer):
            continue
    hang_up(peer)
    client = join()
    client.predict(request(1).to_wire())
    client.answered("request-1")


class Clock:
    """A clock that can be put forward, and that breaks if it is told to."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.failure: Exception | None = None

    def __call__(self) -> datetime:
        if self.failure is not None:
            raise self.failure
        return now() + self.ahead


def test_an_exception_in_connect_refuses_the_connection(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    server = start_server(clock=clock)
    clock.failure = RuntimeError("something nobody thought of")
    error = refusal_of(server.url, CLIENTS_NAMESPACE, auth=handshake(server.token()))
    assert error.code == "internal_error"
    assert "something nobody thought of" not in error.message
    assert "something nobody thought of" in caplog.text


def test_a_type_error_in_connect_refuses_it_too(start_server: StartServer) -> None:
    clock = Clock()
    server = start_server(clock=clock)
    clock.failure = TypeError("a slip")
    refusal_of(server.url, CLIENTS_NAMESPACE, auth=handshake(server.token()))


def test_signing_out_ends_every_dashboard_of_that_sign_in_and_no_other(
    running: RunningServer, watch: Watch, signed_in: Browser, join: Join, connections: list[Connection]
) -> None:
    another = Browser(running.url)
    assert another.sign_in(running.operator_token).status == 204
    one, two, stays = watch(), watch(), Dashboard(running.url, another.cookie)
    connections.append(stays)
    cookie = signed_in.cookie
    assert signed_in.post("/sign-out", {}).status == 204
    one.next("disconnect")
    two.next("disconnect")
    client = join()
    client.predict(request(1).to_wire())
    stays.next_changes()
    assert "changes" not in [name for dashboard in (one, two) for name, _ in dashboard.unread()]
    assert refusal_of(running.url, OPERATORS_NAMESPACE, headers={"Cookie": cookie}).code == "not_signed_in"


def test_a_dashboard_hears_nothing_after_the_end_of_its_session(start_server: StartServer) -> None:
    clock = Clock()
    server = start_server(clock=clock, session_hours=1)
    early, late = Browser(server.url), Browser(server.url)
    early.sign_in(server.operator_token)
    expired = Dashboard(server.url, early.cookie)
    clock.ahead = timedelta(minutes=59)
    late.sign_in(server.operator_token)
    stays = Dashboard(server.url, late.cookie)
    clock.ahead = timedelta(minutes=61)
    client = ClientApp(server.url, server.token())
    client.predict(request(1).to_wire())
    stays.next_changes()
    expired.next("disconnect")
    assert expired.unread() == []
    assert early.get("/api/status").status == 401
    assert late.get("/api/status").status == 200
    for connection in (expired, stays, client):
        connection.close()


def test_a_dashboard_without_a_sign_in_is_refused(running: RunningServer) -> None:
    for cookie in ("", "hads_server=garbage", "hads_server="):
        error = refusal_of(running.url, OPERATORS_NAMESPACE, headers={"Cookie": cookie})
        assert error.code == "not_signed_in"
    anonymous = Browser(running.url)
    anonymous.get("/sign-in")
    assert anonymous.cookie
    assert refusal_of(running.url, OPERATORS_NAMESPACE, headers={"Cookie": anonymous.cookie}).code == "not_signed_in"


def test_a_clients_token_opens_no_dashboard(running: RunningServer) -> None:
    auth = handshake(running.token())
    assert refusal_of(running.url, OPERATORS_NAMESPACE, auth=auth).code == "not_signed_in"


def test_a_signed_in_dashboard_is_let_in(watch: Watch) -> None:
    assert watch().ask("no_such_event")["error"]["code"] == "invalid_message"


def test_a_page_of_another_origin_cannot_use_the_sign_in(running: RunningServer, signed_in: Browser) -> None:
    for origin in ("http://evil.example", "http://127.0.0.1:1", running.url.replace("http", "https"), "null"):
        with pytest.raises(RefusedError):
            Dashboard(running.url, signed_in.cookie, origin=origin)


def test_a_handshake_to_a_foreign_host_name_is_refused(running: RunningServer, signed_in: Browser) -> None:
    port = running.url.rpartition(":")[2]
    foreign = f"evil.example:{port}"
    headers = {"Cookie": signed_in.cookie}
    error = refusal_of(running.url, OPERATORS_NAMESPACE, headers=headers, origin=f"http://{foreign}", host=foreign)
    assert error.code == "not_allowed"
    assert "ALLOWED_HOSTS" in error.message


def test_a_cookie_of_another_app_opens_no_dashboard(start_server: StartServer, running: RunningServer) -> None:
    """Neither one signed with another key, nor one that another app signed with the same key."""
    other = start_server(secrets_dir=running.settings.secrets_dir.with_name("other-secrets"))
    browser = Browser(other.url)
    assert browser.sign_in(other.operator_token).status == 204
    assert refusal_of(running.url, OPERATORS_NAMESPACE, headers={"Cookie": browser.cookie}).code == "not_signed_in"

    for key in (secrets.token_urlsafe(32), "", None):
        forged = signed_cookie(running, {"key": key, "ends_at": time.time() + 60})
        assert refusal_of(running.url, OPERATORS_NAMESPACE, headers={"Cookie": forged}).code == "not_signed_in"


def test_a_cookie_is_good_for_no_more_than_the_session_of_its_key(running: RunningServer) -> None:
    """So that the forgeries beside this one are right in everything but the key."""
    (operator, _) = running.sessions.accounts()
    key, _ = running.sessions.begin(operator, "127.0.0.1")
    Dashboard(running.url, signed_cookie(running, {"key": key})).close()


def signed_cookie(running: RunningServer, content: dict[str, object]) -> str:
    signing = SecureCookieSessionInterface().get_signing_serializer(running.server.app)
    assert signing is not None
    return f"hads_server={signing.dumps(content)}"


def test_a_sign_in_ends_when_the_token_is_changed(
    start_server: StartServer, running: RunningServer, signed_in: Browser
) -> None:
    (running.settings.secrets_dir / "server" / "OPERATOR_TOKEN").write_text("another-token\n")
    rotated = start_server()
    assert rotated.operator_token == "another-token"
    assert rotated.settings.secrets.secret_key == running.settings.secrets.secret_key
    headers = {"Cookie": signed_in.cookie}
    assert refusal_of(rotated.url, OPERATORS_NAMESPACE, headers=headers).code == "not_signed_in"
    assert Browser(rotated.url).sign_in(running.operator_token).status == 401


def test_the_newer_connection_of_a_client_wins_and_the_older_is_told(join: Join) -> None:
    older, newer = join(), join()
    assert older.next("connection_replaced")["code"] == "connection_replaced"
    older.next("disconnect")
    newer.predict(request(1).to_wire())
    assert newer.answered("request-1").client_id == "Client-1"


def test_a_replaced_connection_hears_nothing_more(join: Join) -> None:
    heard: Queue[str] = Queue()
    older = join()
    older.client.on("prediction_result", lambda _: heard.put("answer"), CLIENTS_NAMESPACE)
    newer = join()
    older.next("disconnect")
    newer.predict(request(1).to_wire())
    newer.answered("request-1")
    assert heard.empty()
    assert not older.client.connected


def test_one_client_never_hears_of_anothers_patients(join: Join) -> None:
    one, other = join("Client-1"), join("Client-2")
    for number in range(1, 11):
        one.predict(request(number).to_wire())
        one.answered(f"request-{number}")
    assert other.everything_heard() == []
    assert one.everything_heard() == []


def test_operators_are_told_of_connect_disconnect_and_queue(join: Join, watch: Watch, running: RunningServer) -> None:
    dashboard = watch()
    client = ClientApp(running.url, running.token("Client-2"), waiting=5)
    status = dashboard.next_status("Client-2")
    assert (status["connected"], status["waiting"]) == (True, 5)
    assert status["last_seen"] is not None
    client.predict(request(1).to_wire() | {"waiting": 9})
    assert dashboard.next_status("Client-2", lambda data: data["waiting"] == 9)["connected"]
    assert dashboard.next_status("Client-2", lambda data: data["waiting"] == 8)["connected"]
    client.close()
    assert not dashboard.next_status("Client-2", lambda data: not data["connected"])["connected"]


def test_operators_are_told_when_a_connection_breaks(watch: Watch, running: RunningServer) -> None:
    dashboard = watch()
    client = ClientApp(running.url, running.token("Client-3"))
    dashboard.next_status("Client-3", lambda data: data["connected"])
    client.client.eio.ws.abort()
    dashboard.next_status("Client-3", lambda data: not data["connected"])


def test_a_replaced_connection_does_not_count_as_gone(join: Join, watch: Watch, signed_in: Browser) -> None:
    dashboard = watch()
    older = join()
    dashboard.next_status("Client-1", lambda data: data["connected"])
    join()
    older.next("disconnect")
    dashboard.next_status("Client-1", lambda data: data["connected"])
    clients = {status["client_id"]: status for status in signed_in.get("/api/status").json["clients"]}
    assert clients["Client-1"]["connected"]
    assert [
        name for name, data in dashboard.everything_heard() if name == "client_status" and not data["connected"]
    ] == []


def test_no_client_is_told_how_others_are_doing(join: Join) -> None:
    one = join("Client-1")
    join("Client-2")
    assert one.everything_heard() == []
