"""One connection: messages handled one after the other, sent without delay, and hanging up whatever the peer does."""

import queue
import socket
import threading
from typing import Any

import pytest

from common.errors import NotSignedInError
from common.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION, Event, ExplanationSentence, Handshake, WireError
from common.web.link import Link, LinkError
from tests.support.programmable_server import TOKEN, WAIT_SECONDS, ProgrammableServer

HELLO = Handshake(protocol=PROTOCOL_VERSION, token=TOKEN)
LONG_ENOUGH_TO_OVERTAKE = 0.5


def ignore(*_: Any) -> None:
    pass


def test_a_message_is_handled_only_when_the_one_before_it_was(server: ProgrammableServer) -> None:
    overtaken = threading.Event()
    handled: queue.Queue[tuple[str, bool]] = queue.Queue()

    def handle(_event: str, arguments: tuple[Any, ...]) -> None:
        text = arguments[0]["text"]
        if text == "second":
            overtaken.set()
        handled.put((text, text == "first" and overtaken.wait(LONG_ENOUGH_TO_OVERTAKE)))

    server.start()
    link = Link(CLIENTS_NAMESPACE, on_event=handle, on_closed=ignore)
    link.connect(server.url, HELLO)
    for text in ("first", "second"):
        server.send(Event.EXPLANATION_SENTENCE, ExplanationSentence(prediction_id="any", text=text))
    assert [handled.get(timeout=WAIT_SECONDS) for _ in range(2)] == [("first", False), ("second", False)]
    link.close()


def test_small_messages_are_sent_without_delay(server: ProgrammableServer) -> None:
    server.start()
    link = Link(CLIENTS_NAMESPACE, on_event=ignore, on_closed=ignore)
    link.connect(server.url, HELLO)
    connection = link._client.eio.ws.sock
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    link.close()
    assert connection.fileno() == -1


def test_a_refusal_carries_the_servers_reason(server: ProgrammableServer) -> None:
    server.refusal = WireError.of(NotSignedInError("This token is not known."))
    server.start()
    link = Link(CLIENTS_NAMESPACE, on_event=ignore, on_closed=ignore)
    with pytest.raises(LinkError) as refused:
        link.connect(server.url, HELLO)
    assert refused.value.refusal == server.refusal
    assert not link.is_up


def test_nobody_there_is_no_refusal(server: ProgrammableServer) -> None:
    with pytest.raises(LinkError) as failed:
        Link(CLIENTS_NAMESPACE, on_event=ignore, on_closed=ignore).connect(server.url, HELLO)
    assert failed.value.refusal is None


@pytest.mark.parametrize("end", ["cut", "disconnect_everyone"])
def test_the_end_of_a_connection_is_told_and_nothing_more_can_be_sent(server: ProgrammableServer, end: str) -> None:
    closed = threading.Event()
    server.start()
    link = Link(CLIENTS_NAMESPACE, on_event=ignore, on_closed=closed.set)
    link.connect(server.url, HELLO)
    getattr(server, end)()
    assert closed.wait(WAIT_SECONDS)
    assert not link.is_up
    with pytest.raises(LinkError):
        link.send(Event.PREDICT, HELLO, acknowledged=ignore)
    link.close()
