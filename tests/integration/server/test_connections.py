"""Which client apps and dashboards the server lets in, and what operators are told of the connections."""

from typing import Any

import pytest

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, WireError
from tests.integration.server.conftest import Join, RunningServer, Watch
from tests.support.made_requests import request
from tests.support.raw_socket import RawSocket
from tests.support.speaking import Browser, ClientApp, Connection, RefusedError
from tests.support.waiting import wait_until

APP = {"protocol": PROTOCOL_VERSION, "instance": "one", "attempt": 1}


def refusal_of(url: str, namespace: str, **options: Any) -> WireError:
    with pytest.raises(RefusedError) as raised:
        Connection(url, namespace, **options)
    assert isinstance(raised.value.said, dict), raised.value.said
    return WireError.check(raised.value.said["data"])


def test_each_is_let_in_where_it_belongs_alone_and_with_the_right_handshake(
    running: RunningServer, signed_in: Browser
) -> None:
    token, cookie = {"Authorization": f"Bearer {running.token()}"}, {"Cookie": signed_in.cookie}
    for auth in (None, [1, 2], APP | {"attempt": 0}, APP | {"more": 1}):
        assert refusal_of(running.url, CLIENTS_NAMESPACE, auth=auth, headers=token).code == "invalid_message", auth
    newer = {"protocol": PROTOCOL_VERSION + 1, "token": "x"}
    assert refusal_of(running.url, CLIENTS_NAMESPACE, auth=newer, headers=token).code == "unsupported_protocol"
    assert refusal_of(running.url, OPERATORS_NAMESPACE, auth=APP, headers=token).code == "not_allowed"
    assert refusal_of(running.url, CLIENTS_NAMESPACE, auth=APP, headers=cookie).code == "not_allowed"


def test_the_newer_connection_wins_the_older_is_told_and_an_older_attempt_that_arrives_late_is_refused(
    running: RunningServer, join: Join
) -> None:
    older = join(instance="one")
    newer = join(instance="two", attempt=5)
    assert older.closing()["code"] == "connection_replaced"
    headers = {"Authorization": f"Bearer {running.token()}"}
    late = refusal_of(running.url, CLIENTS_NAMESPACE, auth=APP | {"instance": "two", "attempt": 4}, headers=headers)
    assert (late.code, late.retryable) == ("outdated_attempt", True)
    newer.predict(request(1).to_wire())
    assert newer.answered("request-1").client_id == "Client-1"
    assert [event for event, _ in older.unread() if event == "changes"] == []


def test_a_connection_that_is_replaced_while_it_is_let_in_is_closed(running: RunningServer, join: Join) -> None:
    newer: list[ClientApp] = []

    def connect_meanwhile() -> None:
        if next(first, False):
            newer.append(join(instance="two"))

    first = iter([True])
    running.server.service.changes.tell(connect_meanwhile)
    with RawSocket(running.url, token=running.token()) as older:
        heard = [older.enter(CLIENTS_NAMESPACE, APP | {"instance": "one"}), (older.receive() or b"").decode()]
        assert any("connection_replaced" in said for said in heard)
        assert older.has_ended()
    wait_until(lambda: bool(newer))
    assert newer[0].predict(request(1).to_wire())["status"] == "accepted"


def test_operators_alone_are_told_of_connect_disconnect_queue_and_patients(join: Join, watch: Watch) -> None:
    dashboard = watch()

    def client_2(status: Any) -> Any:
        return next(one for one in status["clients"] if one["client_id"] == "Client-2")

    client = join("Client-2")
    client.follow(waiting=5)
    told = client_2(dashboard.status_with(lambda status: client_2(status)["waiting"] == 5))
    assert told["connected"]
    assert told["waiting_at"] is not None
    client.next_changes()
    client.follow(waiting=9)
    dashboard.status_with(lambda status: client_2(status)["waiting"] == 9)
    client.predict(request(1).to_wire())
    assert client.next_changes()["entries"][0]["request_id"] == "request-1"
    client.close()
    dashboard.status_with(lambda status: not client_2(status)["connected"])
    seen = join("Client-3").ask_for_changes()  # which is told of no other's patients, nor how others are doing
    assert (seen["entries"], seen["totals"], seen["status"]) == ([], None, None)
