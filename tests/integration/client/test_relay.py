"""The relay against a real server that misbehaves on request; schedules of faults of the whole are in tests/faults."""

import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import Empty

import orjson
import pytest

from client.relay import FAILED, IN_FLIGHT, OTHER_IDENTITY, Patience, pace, pauses
from common.errors import (
    DetectionSystemError,
    InvalidRecordError,
    NotSignedInError,
    OverloadedError,
    ReplacedConnectionError,
    ServerUnreachableError,
    ShuttingDownError,
    StoreUnavailableError,
    UnsupportedProtocolError,
)
from common.messages import PROTOCOL_VERSION, Changes, Event, PredictRequest, Receipt, WireError
from tests.integration.client.conftest import Link
from tests.support.made_requests import explained, id_of, made, prediction, request
from tests.support.pages import history, states_of
from tests.support.programmable_server import LOG, TOKEN, ProgrammableServer
from tests.support.waiting import WAIT_SECONDS

FIRST, SECOND, THIRD = id_of(1), id_of(2), id_of(3)
UNREACHABLE = ServerUnreachableError.default_message
IMPATIENT = Patience(first_answer=0.5, answer=0.5)


def ids(*numbers: int) -> list[str]:
    return [id_of(number) for number in numbers]


def all_answered(last: int) -> dict[str, str]:
    return dict.fromkeys(ids(*range(last, 0, -1)), "answered")


def first(server: ProgrammableServer, times: int, receipt: object) -> Callable[[PredictRequest], object]:
    """Answer the first requests otherwise than the server does."""
    said = Receipt(status="refused", error=receipt) if isinstance(receipt, WireError) else receipt
    left = [said] * times
    return lambda asked: left.pop() if left else server.predict(asked)


def test_it_proves_who_it_is_says_what_waits_and_sends_it(link: Link) -> None:
    link.begin(1, 2)
    handshake = link.server.handshakes.get(timeout=WAIT_SECONDS)
    assert (handshake.protocol, handshake.attempt) == (PROTOCOL_VERSION, 1)
    assert link.server.authorizations == {f"Bearer {TOKEN}"}
    first = link.server.next_follow()
    assert (first.log, first.after, first.ticket, first.waiting) == (None, 0, None, 2)
    assert link.server.received.get(timeout=WAIT_SECONDS) == request(1)
    assert link.pages.wait_for_entry(FIRST).prediction == prediction(request(1))
    assert link.server.next_follow(lambda follow: follow.waiting == 0).ticket


def test_no_more_than_the_window_is_in_flight(link: Link) -> None:
    link.server.answer = link.server.keep_silent
    link.server.start()
    numbers = range(100, 100 + IN_FLIGHT)
    link.enter(*numbers, 200, 201)
    link.start()
    assert link.server.next_ids(IN_FLIGHT) == ids(*numbers)
    link.server.append(made(1, prediction(request(101))))
    link.pages.wait_for_entry(id_of(101))
    assert link.server.next_ids(1) == ids(200)
    assert link.server.received.empty()


def test_what_is_refused_for_now_is_sent_again_in_order_after_pauses_that_grow(link: Link) -> None:
    busy, asked_at = first(link.server, 6, WireError.of(OverloadedError())), list[float]()

    def answer(asked: PredictRequest) -> object:
        asked_at.append(time.monotonic())
        return busy(asked)

    link.server.answer = answer
    link.begin(1, 2, reconnect_max_seconds=10)
    assert link.server.next_ids(8) == ids(1, 2) * 4
    link.pages.wait_for_states(all_answered(2))
    assert asked_at[6] - asked_at[5] >= 1.0  # the third pause is 2 s less at most a half; the first, 0.5 s
    assert link.server.handshakes.qsize() == 1


def test_pauses_double_up_to_the_longest_and_are_shortened_at_random() -> None:
    for pause, full in zip(pauses(4.0), (0.5, 1, 2, 4, 4, 4), strict=False):
        assert full / 2 <= pause <= full


def test_a_request_refused_for_good_is_kept_with_the_reason_and_the_next_one_goes_on(link: Link) -> None:
    error = WireError.of(InvalidRecordError(fields={"age": ["must be between 1 and 120 years"]}))
    link.server.answer = first(link.server, 1, error)
    link.begin(1, 2)
    link.pages.wait_for_states({SECOND: "answered", FIRST: "refused"})
    assert link.pages.wait_for_entry(FIRST, "refused").error == error


def test_a_lost_acknowledgment_costs_nothing_when_the_entry_comes(link: Link) -> None:
    link.server.answer = lambda asked: link.server.predict(asked) and None
    link.begin(1, 2)
    link.pages.wait_for_states(all_answered(2))
    assert link.server.handshakes.qsize() == 1


@pytest.mark.parametrize(
    ("receipt", "asked", "handshakes"),
    [({"status": "perhaps"}, 2, 2), (Receipt(status="accepted"), 2, 1)],
)
def test_without_an_acknowledgment_it_connects_again_and_without_an_entry_it_asks_again(
    link: Link, receipt: object, asked: int, handshakes: int
) -> None:
    link.server.answer = first(link.server, 1, receipt)
    link.begin(1, reply_timeout_seconds=1)
    link.pages.wait_for_entry(FIRST)
    assert link.server.next_ids(asked) == [FIRST] * asked
    assert link.server.handshakes.qsize() == handshakes


def test_when_the_server_comes_back_the_oldest_is_sent_first_and_never_what_was_withdrawn(link: Link) -> None:
    link.enter(3, 1, 2)
    link.start()
    away = link.pages.wait_for_link("down")
    assert (away.reason, away.waiting) == (UNREACHABLE, 3)
    link.withdraw(1)
    assert states_of(link.outbox) == {THIRD: "queued", SECOND: "queued", FIRST: "withdrawing"}
    link.server.start()
    link.pages.wait_for_states({THIRD: "answered", SECOND: "answered"})
    assert (link.server.withdrawn.get_nowait(), link.server.next_ids(2)) == (FIRST, [SECOND, THIRD])
    assert link.pages.wait_for_link("up").reason is None
    assert link.server.received.empty()


@pytest.mark.parametrize("receipt", [None, WireError.of(OverloadedError())])
def test_what_is_on_its_way_is_withdrawn_at_once(link: Link, receipt: object) -> None:
    link.server.answer = first(link.server, 9, receipt)
    link.begin()
    link.wake(1)
    assert link.server.next_ids(1) == [FIRST]
    link.withdraw(1)
    link.pages.wait_for_states({})
    assert link.server.received.empty()


def test_what_was_answered_before_its_withdrawal_came_is_answered(link: Link) -> None:
    link.begin()
    link.pages.wait_for_link("up")
    link.server.is_mute = True
    link.wake(1)
    assert link.server.next_ids(1) == [FIRST]
    link.withdraw(1)
    assert link.server.withdrawn.get(timeout=WAIT_SECONDS) == FIRST
    assert states_of(link.outbox) == {FIRST: "withdrawing"}
    link.server.is_mute = False
    link.server.append(made(2, prediction(request(2))))
    link.pages.wait_for_states(all_answered(2))


@pytest.mark.parametrize("error", [InvalidRecordError(), StoreUnavailableError()])
def test_a_withdrawal_that_is_refused_is_sent_again(link: Link, error: DetectionSystemError) -> None:
    refusals = [Receipt(status="refused", error=WireError.of(error))]
    link.server.answer_withdrawal = lambda one: refusals.pop() if refusals else link.server.withdraw(one)
    link.enter(1)
    link.outbox.withdraw(FIRST)
    link.begin()
    link.pages.wait_for_states({})
    assert [link.server.withdrawn.get_nowait() for _ in range(2)] == [FIRST, FIRST]


def test_an_empty_outbox_is_filled_again_from_the_servers_log(link: Link) -> None:
    answers = [prediction(request(number)) for number in range(1, 9)]
    made_before = [made(10 + number, answer) for number, answer in enumerate(answers)]
    link.server.log = [*made_before, explained(30, answers[0])]
    link.begin()
    link.pages.wait_for_states(all_answered(8))
    link.pages.wait_for(lambda: link.outbox.place.server_after == 30)
    assert history(link.outbox)[-1].explanation != answers[0].explanation
    assert [link.server.next_follow().after for _ in range(3)] == [0, 12, 15]


def test_it_asks_less_often_the_more_an_answer_holds(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [pace(entries) for entries in (0, 3, 10, 500)] == [0.01, 0.012, 0.04, 0.05]
    monkeypatch.setattr("client.relay.pace", lambda entries: entries / 2)  # so long that nothing else explains it
    link.server.log = [made(number, prediction(request(number))) for number in range(1, 5)]
    began = time.monotonic()
    link.begin()
    link.pages.wait_for(lambda: link.outbox.place.server_after == 4)  # 3 entries, and 1.5 s later the last one
    assert time.monotonic() - began >= 1.5


def test_a_log_that_was_restored_is_read_from_its_beginning_and_what_it_lost_is_sent_again(link: Link) -> None:
    link.begin(1, 2, 3)
    link.pages.wait_for_states(all_answered(3))
    link.server.stop()
    link.pages.wait_for_link("down")
    link.server.log = [made(1, prediction(request(1))), made(2, prediction(request(20)))]
    link.server.start()
    link.pages.wait_for(lambda: link.outbox.place.server_after == 4)
    assert states_of(link.outbox) == {id_of(20): "answered"} | all_answered(3)
    link.wake(21)
    link.pages.wait_for_entry(id_of(21))


def test_a_run_that_leaves_something_out_is_not_applied(link: Link) -> None:
    link.server.is_mute = True
    link.begin(patience=Patience(refused=0.1))
    link.server.next_follow()
    answer = made(7, prediction(request(7)))
    link.server.send(Event.CHANGES, Changes(log=LOG, after=6, next_after=7, has_more=False, entries=[answer]))
    assert link.pages.wait_for_link("refused").reason == UnsupportedProtocolError.default_message
    assert (states_of(link.outbox), link.outbox.place.server_after) == ({}, 0)


def test_entries_of_another_client_app_are_not_applied_and_the_reason_is_told(link: Link) -> None:
    link.server.log = [made(1, prediction(request(1), client_id="Client-2"))]
    link.begin()
    assert link.pages.wait_for_link("refused").reason == OTHER_IDENTITY
    assert states_of(link.outbox) == {}


@pytest.mark.parametrize("nonsense", [None, {"log": "Mrs. Example"}])
def test_what_makes_no_sense_ends_the_connection_without_a_word_about_its_content(
    link: Link, caplog: pytest.LogCaptureFixture, nonsense: object
) -> None:
    link.server.start()
    with caplog.at_level(logging.DEBUG, "client"):
        link.start(Patience(refused=0.1))
        link.pages.wait_for_link("up")
        link.server.send("never heard of", {"name": "Mrs. Example"})
        link.server.send(Event.CHANGES, nonsense)
        link.pages.wait_for_link("refused")
        link.pages.wait_for_link("up")
    assert "the server sent changes in a form that is not known here" in caplog.text
    assert "Example" not in caplog.text


def test_a_link_that_is_half_open_is_replaced(link: Link) -> None:
    link.begin(patience=IMPATIENT)
    link.server.is_mute = True
    assert link.pages.wait_for_link("down").reason == UNREACHABLE
    link.server.is_mute = False
    link.wake(1)
    link.pages.wait_for_entry(FIRST)


def test_a_connection_that_takes_longer_than_a_second_is_waited_for(link: Link) -> None:
    link.server.let_in.clear()
    link.begin(1)
    link.pages.wait_for_entry(FIRST)
    assert link.server.handshakes.qsize() == 1


def test_a_refusal_is_told_in_the_servers_words_not_tried_often_and_the_queue_is_kept(link: Link) -> None:
    error = UnsupportedProtocolError("The client app speaks protocol version 4, the server 3. Update the older one.")
    link.server.refusal = WireError.of(error)
    link.begin(1, patience=Patience(refused=0.5))
    link.server.handshakes.get(timeout=WAIT_SECONDS)
    began = time.monotonic()
    refused = link.pages.wait_for_link("refused")
    assert (refused.reason, refused.waiting) == (error.message, 1)
    link.server.handshakes.get(timeout=WAIT_SECONDS)
    assert time.monotonic() - began >= 0.4
    link.server.refusal = None
    link.pages.wait_for_entry(FIRST)


def told(error: DetectionSystemError) -> bytes:
    return orjson.dumps({"error": WireError.of(error).to_wire()})


@pytest.mark.parametrize(
    ("status", "body", "state", "reason"),
    [
        ("401 UNAUTHORIZED", told(NotSignedInError("No such token.")), "refused", "No such token."),
        ("503 SERVICE UNAVAILABLE", told(ShuttingDownError()), "down", ShuttingDownError.default_message),
        ("502 BAD GATEWAY", b"<html>Bad gateway</html>", "down", UNREACHABLE),  # a proxy's
        ("502 BAD GATEWAY", b'{"error": "none of ours"}', "down", UNREACHABLE),
    ],
)
def test_what_the_door_says_is_told_and_what_a_proxy_says_is_not(
    link: Link, status: str, body: bytes, state: str, reason: str
) -> None:
    link.server.door = (status, body)
    link.begin(patience=Patience(refused=0.1))
    assert link.pages.wait_for_link(state).reason == reason
    link.server.door = None
    link.pages.wait_for_link("up")


def test_a_client_app_that_another_one_replaced_says_so_and_comes_back_only_for_a_new_patient(link: Link) -> None:
    link.begin(1, patience=Patience(refused=0.0))
    link.pages.wait_for_entry(FIRST)
    link.server.handshakes.get(timeout=WAIT_SECONDS)
    link.server.close_all(WireError.of(ReplacedConnectionError()))
    assert link.pages.wait_for_link("refused").reason == ReplacedConnectionError.default_message
    with pytest.raises(Empty):
        link.server.handshakes.get(timeout=0.5)
    link.wake(2)
    link.pages.wait_for_entry(SECOND)


def test_a_redirect_is_not_followed_with_the_token(link: Link) -> None:
    with closing(ProgrammableServer()) as other:
        other.start()
        link.server.door, link.server.location = ("302 FOUND", b""), f"{other.url}/socket.io/?transport=websocket&EIO=4"
        link.begin()
        link.pages.wait_for_link("down")
        link.relay.stop()
    assert other.authorizations == set()
    assert other.handshakes.empty()


def test_no_proxy_of_the_environment_gets_between(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "WS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    link.begin()
    link.pages.wait_for_link("up")


def test_something_that_is_no_such_server_is_down(link: Link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        link.start(server_url=f"http://127.0.0.1:{other.getsockname()[1]}")
        connection, _ = other.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")
        link.pages.wait_for_link("down")


@pytest.mark.parametrize("while_it", ["is up", "connects"])
def test_stopping_takes_less_than_a_second(link: Link, while_it: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}" if while_it == "connects" else link.server.url
        link.begin(server_url=url)
        if while_it == "connects":
            silent.accept()[0].close()
        else:
            link.pages.wait_for_link("up")
        began = time.monotonic()
        link.relay.stop()
        assert time.monotonic() - began < 1
        assert "relay" not in {thread.name for thread in threading.enumerate()}
        if while_it == "is up":
            link.server.farewells.get(timeout=WAIT_SECONDS)


def test_an_unexpected_failure_is_told_and_the_link_works_again_when_its_cause_is_gone(
    link: Link, tmp_path: Path
) -> None:
    link.enter(1)
    link.server.start()
    with closing(sqlite3.connect(tmp_path / "client.sqlite")) as other, other:
        other.execute("UPDATE requests SET record = 'not a record'")  # as no program of ours writes it
    link.start()
    link.pages.wait_for(lambda: any(told.reason == FAILED for told in link.pages.links))
    with closing(sqlite3.connect(tmp_path / "client.sqlite")) as other, other:
        other.execute("UPDATE requests SET record = ?", [request(1).record.model_dump_json()])
    link.pages.wait_for_entry(FIRST)
