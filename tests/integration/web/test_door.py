"""Who gets through the door to Socket.IO, how many, and for how long."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION
from common.web import door
from common.web.headers import CONTENT_SECURITY_POLICY
from tests.integration.web.conftest import Join, Running, Start
from tests.support.raw_socket import POLLING, RawSocket
from tests.support.speaking import Browser, Connection, RefusedError
from tests.support.waiting import wait_until

PAGE = {"protocol": PROTOCOL_VERSION}
APP = {"protocol": PROTOCOL_VERSION, "instance": "raw", "attempt": 1}


def refused(url: str, **options: str | None) -> tuple[int, str]:
    with RawSocket(url, **options) as peer:  # type: ignore[arg-type]
        assert peer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert peer.headers["Cache-Control"] == "no-store"
        return peer.status, peer.error["code"]


@contextmanager
def member(running: Running, client_id: str = "Client-1") -> Iterator[RawSocket]:
    """Connect a client app, which enters its namespace."""
    with RawSocket(running.url, token=running.small.token(client_id)) as peer:
        assert peer.enter(CLIENTS_NAMESPACE, APP).startswith("40")
        yield peer


def test_nobody_comes_through_without_a_right(running: Running) -> None:
    url, port = running.url, running.url.rpartition(":")[2]
    cookie = running.signed_in().cookie
    another_apps = running.small.settings.secrets.operator_token
    for proof in ({}, {"cookie": "hads_server=garbage"}, {"token": another_apps}, {"token": "wrong", "cookie": cookie}):
        assert refused(url, **proof) == (401, "not_signed_in")
    other_port, other_name = f"http://127.0.0.1:{int(port) + 1}", f"http://localhost:{port}"
    for origin in (None, "http://evil.example", other_port, other_name, "null"):
        assert refused(url, cookie=cookie, origin=origin) == (403, "not_allowed")
    evil = f"evil.example:{port}"
    assert refused(url, cookie=cookie, host=evil, origin=f"http://{evil}") == (403, "not_allowed")
    assert refused(url, cookie=cookie, query="&sid=another") == (422, "invalid_message")
    assert running.small.real_time.connections["now"] == 0


def test_a_header_that_a_proxy_asks_for_keeps_no_page_out(running: Running) -> None:
    cookie = running.signed_in().cookie
    asked_for = {"Authorization": "Basic dXNlcjpwYXNz"}
    for origin, status in ((running.url, 101), ("http://evil.example", 403)):
        with RawSocket(running.url, cookie=cookie, headers={**asked_for, "Origin": origin}) as page:
            assert page.status == status


def test_polling_is_for_people_alone_and_begins_five_times(running: Running) -> None:
    program = Browser(running.url)
    token = {"Authorization": f"Bearer {running.small.token()}"}
    assert program.request("GET", POLLING).error["code"] == "not_signed_in"
    assert program.request("GET", POLLING, headers=token).status == 403
    person = running.signed_in()
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        assert person.request("GET", POLLING, headers=foreign).status == 403
    assert [person.request("GET", POLLING).status for _ in range(7)] == [200] * 5 + [429] * 2
    assert running.signed_in().request("GET", POLLING).status == 200


def test_a_polling_sessions_id_proves_nothing(running: Running) -> None:
    mine, another = running.signed_in(), running.signed_in()
    opened = mine.request("GET", POLLING)
    path = f"{POLLING}&sid={json.loads(opened.body[1:])['sid']}"
    enter = f"40{OPERATORS_NAMESPACE},{json.dumps(PAGE)}".encode()
    stranger = Browser(running.url)
    for other in (another, stranger):
        assert other.request("POST", path, body=enter).status in {401, 422}
        assert other.request("GET", path).status in {401, 422}
    assert mine.request("POST", path, body=enter).status == 200
    assert mine.request("GET", path).body.startswith(b"40/operators,")


@pytest.mark.parametrize("more", ["", "&j=0"])
def test_who_asks_for_one_transport_in_the_form_of_another_is_refused(running: Running, more: str) -> None:
    upgrade = {} if more else {"Upgrade": "websocket", "Connection": "Upgrade"}
    person, app = running.signed_in(), {"Authorization": f"Bearer {running.small.token()}"}
    for _ in range(7):
        origin = {"Origin": running.url}
        assert person.request("GET", POLLING + more, headers=upgrade | origin).error["code"] == "invalid_message"
    assert Browser(running.url).request("GET", POLLING + more, headers=upgrade | app).status in {403, 422}
    assert running.small.real_time.connections["now"] == 0


def test_connections_are_counted_while_they_are_open(start: Start) -> None:
    running = start(max_connections=3)
    with ExitStack() as opened:
        held = [opened.enter_context(RawSocket(running.url, token=running.small.token())) for _ in range(3)]
        assert [peer.status for peer in held] == [101] * 3
        assert refused(running.url, token=running.small.token("Client-2")) == (503, "too_many_connections")
        assert Browser(running.url).get("/livez").status == 200
        assert running.small.real_time.connections == {"now": 3, "at_most": 3, "refused": 1}
        held.pop().close()
        wait_until(lambda: running.small.real_time.connections["now"] == 2)
        with RawSocket(running.url, token=running.small.token("Client-2")) as peer:
            assert peer.status == 101
    wait_until(lambda: running.small.real_time.connections["now"] == 0)


def test_one_session_has_places_for_fifty_and_leaves_the_rest(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "JOIN_SECONDS", 120.0)  # fifty may take longer than 10 s
    cookie = running.signed_in().cookie
    with ExitStack() as held:
        assert {held.enter_context(RawSocket(running.url, cookie=cookie)).status for _ in range(50)} == {101}
        assert refused(running.url, cookie=cookie)[0] == 503
        assert held.enter_context(RawSocket(running.url, cookie=running.signed_in().cookie)).status == 101


def test_who_is_in_no_namespace_in_time_is_ended(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "JOIN_SECONDS", 1.0)
    began = time.monotonic()
    with RawSocket(running.url, token=running.small.token()) as silent, member(running, "Client-2") as joined:
        assert silent.has_ended()
        assert time.monotonic() - began > 0.9
        joined.send("42/clients," + json.dumps(["follow", {"log": None, "after": 0, "ticket": None}]))
        assert b"changes" in (joined.receive() or b"")


def test_who_has_left_the_namespace_or_was_not_let_in_is_ended(running: Running) -> None:
    with ExitStack() as opened:
        left, told, back = (opened.enter_context(member(running, f"Client-{number}")) for number in (1, 2, 3))
        left.send("41/clients,")
        told.send('42/clients,["disconnect","x"]')
        back.send("41/clients,")
        assert back.enter(CLIENTS_NAMESPACE, APP).startswith("44")  # once, or it would never end
        stranger = opened.enter_context(RawSocket(running.url, token=running.small.token()))
        assert stranger.enter(OPERATORS_NAMESPACE, APP).startswith("44")
        assert all(peer.has_ended() for peer in (left, told, back, stranger))
    wait_until(lambda: sorted(running.small.clients.gone) == ["Client-1", "Client-2", "Client-3"])
    wait_until(lambda: running.small.real_time.connections["now"] == 0)
    assert len(running.small.clients.followers) == 0


def test_a_namespace_is_entered_by_admission_alone(running: Running) -> None:
    for namespace in ("", "/", "/nowhere", "/clients/"):
        with RawSocket(running.url, token=running.small.token()) as peer:
            assert peer.enter(namespace, APP).startswith("44")
            peer.send('42/clients,["predict",{}]')
            peer.send('42/clients,["connect",{"hads.peer":1},{}]')
            assert peer.enter(CLIENTS_NAMESPACE, APP).startswith("40/clients,")
    assert running.small.log.entries == []


def test_an_exception_refuses_the_connection_and_leaves_nothing(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ConnectionError("MARKER")  # the most misleading one

    running.small.clients.before_admission = fail
    with RawSocket(running.url, token=running.small.token()) as peer:
        answer = peer.enter(CLIENTS_NAMESPACE, APP)
        assert answer.startswith("44/clients,")
        assert json.loads(answer.removeprefix("44/clients,"))["data"]["code"] == "internal_error"
        assert "MARKER" not in answer
        peer.send('42/clients,5["predict",{}]')
        assert peer.has_ended()
    assert "ConnectionError" in caplog.text
    assert running.small.log.entries == []
    assert len(running.small.clients.followers) == 0


def test_a_page_of_another_version_is_told_so_in_its_own_way(running: Running) -> None:
    old, other = "not_signed_in", "unsupported_protocol"
    for auth, code in ((None, old), ([4], old), ({"protocol": 3}, old), ({"protocol": PROTOCOL_VERSION + 1}, other)):
        with pytest.raises(RefusedError) as raised:
            Connection(running.url, OPERATORS_NAMESPACE, auth=auth, headers={"Cookie": running.signed_in().cookie})
        assert raised.value.said["data"]["code"] == code


NO_EVENTS = ("[]", "{}", "{bad", '9["predict",' + "[" * 30_000 + "]" * 30_000 + "]", "9" * 5000 + '["predict",1]')
PACKETS = [
    *(f"42/clients,{said}" for said in NO_EVENTS),
    *("4", "4x", "9", "2", "3", "5", "451-/clients,1[]", "450-[1]", "40/clients,{}", "4" + "a" * 70_000),
    '45999999999-/clients,9["predict",{"_placeholder":true,"num":0}]',
]


def test_a_packet_that_breaks_the_protocol_harms_no_other(
    running: Running, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    client = join()
    for number, packet in enumerate(PACKETS):
        with member(running, "Client-2") as peer:
            peer.send(packet)
            client.predict({"number": number})
            assert client.entry()["said"] == {"number": number}
    wait_until(lambda: running.small.real_time.connections["now"] == 1)
    wait_until(lambda: len(running.small.clients.followers) == 1)
    assert "followers could not" not in caplog.text
