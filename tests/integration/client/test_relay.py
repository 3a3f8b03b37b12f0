"""The relay against a real server: nothing is lost and nothing is doubled, whatever the connection goes through."""

import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty

import orjson
import pytest

from client.outbox import Outbox
from client.relay import OTHER_IDENTITY, Backoff, Patience, Relay
from common.errors import (
    DetectionSystemError,
    ErasedError,
    InternalError,
    InvalidRecordError,
    NotSignedInError,
    OutdatedAttemptError,
    OverloadedError,
    ReplacedConnectionError,
    ServerUnreachableError,
    ShuttingDownError,
    UnsupportedProtocolError,
)
from common.messages import PROTOCOL_VERSION, Changes, Event, PredictRequest, Receipt, WireError
from tests.integration.client.conftest import MakeRelay
from tests.support.made_requests import NOON, erased, explained, id_of, made, prediction, refused, request, submission
from tests.support.pages import Pages, history, states_of
from tests.support.programmable_server import LOG, TOKEN, WAIT_SECONDS, ProgrammableServer

Enter = Callable[..., None]

FIRST, SECOND, THIRD = id_of(1), id_of(2), id_of(3)
UNREACHABLE = ServerUnreachableError.default_message


def ids(*numbers: int) -> list[str]:
    return [id_of(number) for number in numbers]


def all_answered(last: int) -> dict[str, str]:
    return dict.fromkeys(ids(*range(last, 0, -1)), "answered")


def no(error: WireError) -> Receipt:
    return Receipt(status="refused", error=error)


class First:
    """Answers the first requests otherwise than the server does."""

    def __init__(self, server: ProgrammableServer, times: int, receipt: object) -> None:
        self._server = server
        self._left = times
        self._receipt = receipt

    def __call__(self, asked: PredictRequest) -> object:
        self._left -= 1
        return self._receipt if self._left >= 0 else self._server.predict(asked)


def test_a_patient_in_the_outbox_is_sent_answered_and_told(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.start()
    relay.start()
    pages.wait_for_link("up")
    enter(1)
    relay.wake()
    assert pages.wait_for_entry(FIRST).prediction == prediction(request(1))
    assert server.received.get(timeout=WAIT_SECONDS) == request(1)


def test_it_proves_who_it_is_in_a_header_and_says_what_waits(
    server: ProgrammableServer, relay: Relay, enter: Enter
) -> None:
    enter(1, 2)
    server.start()
    relay.start()
    handshake = server.handshakes.get(timeout=WAIT_SECONDS)
    assert (handshake.protocol, handshake.attempt, server.authorizations) == (PROTOCOL_VERSION, 1, {f"Bearer {TOKEN}"})
    first = server.next_follow()
    assert (first.log, first.after, first.ticket, first.waiting) == (None, 0, None, 2)
    assert server.next_follow(lambda follow: follow.waiting == 0).ticket


def test_what_was_entered_while_the_server_was_away_is_sent_when_it_comes(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    enter(3, 1, 2)
    relay.start()
    away = pages.wait_for_link("down")
    assert (away.reason, away.waiting) == (UNREACHABLE, 3)
    server.start()
    assert server.next_ids(3) == ids(1, 2, 3)
    pages.wait_for_states(all_answered(3))
    assert pages.wait_for_link("up").reason is None


def test_a_server_killed_while_patients_are_under_way_loses_and_doubles_none(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    killed = threading.Event()

    def die_at_the_twentieth(asked: PredictRequest) -> Receipt:
        receipt = server.predict(asked)
        if asked.request_id == id_of(20):
            killed.set()
        return receipt

    server.answer = die_at_the_twentieth
    server.start()
    enter(*range(1, 61))
    relay.start()
    assert killed.wait(WAIT_SECONDS)
    server.stop()
    pages.wait_for_link("down")
    server.start()
    pages.wait_for_states(all_answered(60))
    assert outbox.newest == 120  # each was entered once and answered once
    assert len(server.log) == 60


def test_five_hundred_that_wait_are_sent_in_order(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.page_entries = 100
    enter(*range(100, 600))
    server.start()
    make_relay(in_flight=32).start()
    assert server.next_ids(500) == ids(*range(100, 600))
    pages.wait_for(lambda: outbox.place.waiting == 0)
    assert set(states_of(outbox).values()) == {"answered"}


def test_no_more_than_the_window_is_in_flight(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(*range(1, 9))
    make_relay(in_flight=4).start()
    assert server.next_ids(4) == ids(1, 2, 3, 4)
    server.append(made(1, prediction(request(2))))
    pages.wait_for_entry(SECOND)
    assert server.next_ids(1) == ids(5)
    server.append(made(2, prediction(request(1))))
    assert server.next_ids(1) == ids(6)
    assert server.received.empty()


@pytest.mark.parametrize("error", [OverloadedError(), ShuttingDownError()])
def test_what_is_refused_for_now_is_sent_again_in_order(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter, error: OverloadedError
) -> None:
    server.answer = First(server, 4, no(WireError.of(error)))
    server.start()
    enter(1, 2, 3, 4)
    relay.start()
    assert server.next_ids(8) == ids(1, 2, 3, 4, 1, 2, 3, 4)
    pages.wait_for_states(all_answered(4))
    assert server.handshakes.qsize() == 1


def test_pauses_grow_while_the_server_refuses_for_now(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    asked_at: list[float] = []
    refuse = First(server, 3, no(WireError.of(OverloadedError())))

    def answer(asked: PredictRequest) -> object:
        asked_at.append(time.monotonic())
        return refuse(asked)

    server.answer = answer
    server.start()
    enter(1)
    make_relay(reconnect_max_seconds=10).start()
    pages.wait_for_entry(FIRST)
    assert asked_at[3] - asked_at[2] >= 1.0  # the third pause is 2 s less at most a half; the first, at most 0.5 s


def test_a_request_refused_for_good_is_kept_with_the_reason_and_the_next_one_goes_on(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    error = WireError.of(InvalidRecordError(fields={"age": ["must be between 1 and 120 years"]}))
    server.answer = First(server, 1, no(error))
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_states({SECOND: "answered", FIRST: "refused"})
    assert pages.wait_for_entry(FIRST, "refused").error == error


def test_a_request_that_could_not_be_answered_after_all_is_refused_by_an_entry(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(1)
    relay.start()
    server.next_ids(1)
    server.append(refused(1, request(1), WireError.of(InternalError())))
    assert pages.wait_for_entry(FIRST, "refused").error == WireError.of(InternalError())


def test_a_request_whose_answer_was_erased_is_forgotten_and_never_sent_again(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.answer = First(server, 1, no(WireError.of(ErasedError())))
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_states({SECOND: "answered"})
    assert server.next_ids(2) == ids(1, 2)
    assert server.received.empty()


def test_a_lost_acknowledgement_costs_nothing_when_the_entry_comes(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    def say_nothing_sensible(asked: PredictRequest) -> object:
        server.predict(asked)
        return None

    server.answer = say_nothing_sensible
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_states(all_answered(2))
    assert server.handshakes.qsize() == 1


@pytest.mark.parametrize("receipt", [None, "yes", {"status": "perhaps"}, [1, 2], Receipt(status="refused").to_wire()])
def test_without_an_acknowledgement_it_connects_again(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter, receipt: object
) -> None:
    server.answer = First(server, 1, receipt)
    server.start()
    enter(1)
    make_relay(reply_timeout_seconds=1).start()
    if isinstance(receipt, dict) and receipt["status"] == "refused":  # which is one, without a reason
        assert pages.wait_for_entry(FIRST, "refused").error == WireError.of(InternalError())
        return
    pages.wait_for_entry(FIRST)
    assert server.next_ids(2) == ids(1, 1)
    assert server.handshakes.qsize() == 2


def test_a_request_that_was_accepted_and_never_answered_is_sent_again(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.answer = First(server, 2, Receipt(status="accepted"))
    server.start()
    enter(1)
    make_relay(reply_timeout_seconds=1).start()
    pages.wait_for_entry(FIRST)
    assert server.next_ids(3) == ids(1, 1, 1)
    assert server.handshakes.qsize() == 1


def test_what_is_said_to_be_stored_and_does_not_come_is_read_from_the_beginning(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.log = [made(1, prediction(request(1))), made(2, prediction(request(2)))]
    outbox.apply(Changes(log=LOG, after=0, next_after=2, has_more=False, entries=[]))  # as no relay of ours does
    enter(1, 2)
    server.start()
    make_relay(reply_timeout_seconds=1).start()
    server.next_follow(lambda follow: follow.after == 2)
    assert server.next_ids(6) == ids(1, 2, 1, 2, 1, 2)
    server.append(explained(3, prediction(request(9))))
    assert server.next_follow(lambda follow: follow.after != 2).after == 0
    pages.wait_for_states(all_answered(2))


def test_an_empty_outbox_is_filled_again_from_the_servers_log(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox
) -> None:
    answers = [prediction(request(number)) for number in range(1, 9)]
    server.log = [*(made(10 + number, answer) for number, answer in enumerate(answers)), explained(30, answers[0])]
    server.start()
    relay.start()
    pages.wait_for_states(all_answered(8))
    pages.wait_for(lambda: outbox.place.server_after == 30)
    assert history(outbox)[-1].explanation != answers[0].explanation
    assert [server.next_follow().after for _ in range(3)] == [0, 12, 15]


def test_it_asks_at_most_twenty_times_a_second(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox
) -> None:
    server.log = [made(number, prediction(request(number))) for number in range(1, 61)]
    server.start()
    relay.start()
    pages.wait_for_link("up")
    began = time.monotonic()
    pages.wait_for(lambda: outbox.place.server_after == 60)
    assert time.monotonic() - began >= 0.9  # 20 answers of 3 entries


@pytest.mark.parametrize("name", [LOG, "another-log.0"])
def test_a_log_that_was_replaced_or_restored_is_read_from_its_beginning(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, name: str
) -> None:
    server.start()
    for number in (1, 2, 3):
        outbox.put(submission(number), NOON)
    relay.start()
    pages.wait_for_states(all_answered(3))
    server.stop()
    pages.wait_for_link("down")
    server.log, server.log_name = [made(1, prediction(request(1))), made(2, prediction(request(20)))], name
    server.start()
    pages.wait_for(lambda: outbox.place.server_after == 2)
    assert (outbox.place.server_log, states_of(outbox)) == (name, {id_of(20): "answered"} | all_answered(3))
    outbox.put(submission(21), NOON)
    relay.wake()
    pages.wait_for_entry(id_of(21))


def test_an_erasure_while_it_was_away_is_made_up_for(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_states(all_answered(2))
    server.stop()
    server.log = [entry.model_copy(update={"prediction": None}) for entry in server.log[:1]] + server.log[1:]
    server.log.append(erased(3, prediction(request(1))))
    server.start()
    pages.wait_for_states({SECOND: "answered"})


def test_a_run_that_leaves_something_out_is_not_applied(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox
) -> None:
    server.is_mute = True
    server.start()
    make_relay(Patience(refused=0.1)).start()
    server.next_follow()
    answer = made(7, prediction(request(7)))
    server.send(Event.CHANGES, Changes(log=LOG, after=6, next_after=7, has_more=False, entries=[answer]))
    assert pages.wait_for_link("refused").reason == UnsupportedProtocolError.default_message
    assert (states_of(outbox), outbox.place.server_after) == ({}, 0)


def test_entries_of_another_client_app_are_not_applied_and_the_reason_is_told(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox
) -> None:
    server.log = [made(1, prediction(request(1), client_id="Client-2"))]
    server.start()
    relay.start()
    assert pages.wait_for_link("refused").reason == OTHER_IDENTITY
    assert states_of(outbox) == {}


@pytest.mark.parametrize("nonsense", [None, [1, 2], "Mrs. Example", {}, {"log": "Mrs. Example"}])
def test_what_makes_no_sense_ends_the_connection_without_a_word_about_its_content(
    server: ProgrammableServer,
    make_relay: MakeRelay,
    pages: Pages,
    caplog: pytest.LogCaptureFixture,
    nonsense: object,
) -> None:
    server.start()
    with caplog.at_level(logging.DEBUG, "client"):
        make_relay(Patience(refused=0.1)).start()
        pages.wait_for_link("up")
        server.send("never heard of", {"name": "Mrs. Example"})
        server.send(Event.CHANGES, nonsense)
        pages.wait_for_link("refused")
        pages.wait_for_link("up")
    assert "the server sent changes in a form that is not known here" in caplog.text
    assert "Example" not in caplog.text


IMPATIENT = Patience(first_answer=0.5, answer=0.5)


def test_a_link_that_is_half_open_is_replaced(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.start()
    relay = make_relay(IMPATIENT)
    relay.start()
    server.is_mute = True
    assert pages.wait_for_link("down").reason == UNREACHABLE
    server.is_mute = False
    enter(1)
    relay.wake()
    pages.wait_for_entry(FIRST)


def test_a_server_that_hangs_up_right_after_connecting_is_tried_again(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.hang_ups = 3
    server.start()
    enter(1)
    make_relay(IMPATIENT).start()
    pages.wait_for_entry(FIRST)
    assert server.handshakes.qsize() == 4


def test_a_connection_that_takes_longer_than_a_second_is_waited_for(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.let_in.clear()
    server.start()
    enter(1)
    began = time.monotonic()
    relay.start()
    pages.wait_for_entry(FIRST)
    assert time.monotonic() - began > 1
    assert server.handshakes.qsize() == 1


def test_a_refused_token_shows_the_servers_sentence_and_is_not_tried_often(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.refusal = WireError.of(NotSignedInError("This token is not known."))
    server.start()
    relay = make_relay(Patience(refused=0.5))
    relay.start()
    server.handshakes.get(timeout=WAIT_SECONDS)
    began = time.monotonic()
    assert pages.wait_for_link("refused").reason == "This token is not known."
    enter(1)
    relay.wake()
    server.handshakes.get(timeout=WAIT_SECONDS)
    assert time.monotonic() - began >= 0.4
    server.refusal = None
    pages.wait_for_entry(FIRST)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 UNAUTHORIZED", NotSignedInError("The token is not known.")),
        ("403 FORBIDDEN", NotSignedInError("Not from here.")),
        ("429 TOO MANY REQUESTS", OverloadedError("Too much.")),
        ("503 SERVICE UNAVAILABLE", ShuttingDownError()),
    ],
)
def test_what_the_door_says_is_told(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, status: str, error: DetectionSystemError
) -> None:
    server.door = (status, orjson.dumps({"error": WireError.of(error).to_wire()}))
    server.start()
    make_relay(Patience(refused=0.1)).start()
    assert pages.wait_for_link("down" if error.retryable else "refused").reason == error.message
    server.door = None
    pages.wait_for_link("up")


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'{"error": "none of ours"}'])
def test_a_proxy_that_cannot_reach_the_server_is_the_server_being_away(
    server: ProgrammableServer, relay: Relay, pages: Pages, body: bytes
) -> None:
    server.door = ("502 BAD GATEWAY", body)
    server.start()
    relay.start()
    assert pages.wait_for_link("down").reason == UNREACHABLE
    server.door = None
    pages.wait_for_link("up")


def test_a_server_of_another_version_is_told_in_its_own_words_and_the_queue_is_kept(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    said = f"The client app speaks protocol version {PROTOCOL_VERSION}, the server 3. Update the older one."
    server.refusal = WireError.of(UnsupportedProtocolError(said))
    server.start()
    enter(1)
    relay.start()
    link = pages.wait_for_link("refused")
    assert (link.reason, link.waiting, states_of(outbox)) == (said, 1, {FIRST: "queued"})


def test_a_client_app_that_another_one_replaced_says_so_and_comes_back_only_for_a_new_patient(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.start()
    relay = make_relay(Patience(refused=0.0))
    relay.start()
    enter(1)
    relay.wake()
    pages.wait_for_entry(FIRST)
    server.handshakes.get(timeout=WAIT_SECONDS)
    server.close_all(WireError.of(ReplacedConnectionError()))
    assert pages.wait_for_link("refused").reason == ReplacedConnectionError.default_message
    with pytest.raises(Empty):
        server.handshakes.get(timeout=0.5)
    enter(2)
    relay.wake()
    pages.wait_for_entry(SECOND)


def test_a_replaced_client_app_tries_again_after_its_long_pause(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages
) -> None:
    server.start()
    make_relay(Patience(replaced=0.5)).start()
    pages.wait_for_link("up")
    server.close_all(WireError.of(ReplacedConnectionError()))
    pages.wait_for_link("refused")
    pages.wait_for_link("up")


def test_an_attempt_that_came_too_late_is_followed_by_a_newer_one(
    server: ProgrammableServer, relay: Relay, pages: Pages
) -> None:
    server.refusal = WireError.of(OutdatedAttemptError())
    server.start()
    relay.start()
    first = server.handshakes.get(timeout=WAIT_SECONDS)
    server.refusal = None
    pages.wait_for_link("up")
    second = server.handshakes.get(timeout=WAIT_SECONDS)
    assert (second.instance, second.attempt > first.attempt) == (first.instance, True)


def test_a_redirect_is_not_followed_with_the_token(server: ProgrammableServer, relay: Relay, pages: Pages) -> None:
    other = ProgrammableServer()
    other.start()
    server.door, server.location = ("302 FOUND", b""), f"{other.url}/socket.io/?transport=websocket&EIO=4"
    server.start()
    relay.start()
    pages.wait_for_link("down")
    relay.stop()
    other.stop()
    assert other.authorizations == set()
    assert other.handshakes.empty()


def test_no_proxy_of_the_environment_gets_between(
    server: ProgrammableServer, relay: Relay, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "WS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.start()
    relay.start()
    pages.wait_for_link("up")


def test_something_that_is_no_such_server_is_down(make_relay: MakeRelay, pages: Pages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        make_relay(server_url=f"http://127.0.0.1:{other.getsockname()[1]}").start()
        connection, _ = other.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")
        pages.wait_for_link("down")


@pytest.mark.parametrize("while_it", ["is up", "connects", "rests"])
def test_stopping_takes_less_than_a_second(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, while_it: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}" if while_it == "connects" else server.url
        relay = make_relay(Patience(refused=600.0), server_url=url)
        server.refusal = WireError.of(NotSignedInError()) if while_it == "rests" else None
        server.start()
        relay.start()
        if while_it == "connects":
            silent.accept()[0].close()
        else:
            pages.wait_for_link("up" if while_it == "is up" else "refused")
        began = time.monotonic()
        relay.stop()
        assert time.monotonic() - began < 1
        assert not relay.is_running
        if while_it == "is up":
            server.farewells.get(timeout=WAIT_SECONDS)


def test_nothing_is_lost_or_doubled_over_fifty_disturbances(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    chance = random.Random(4)
    server.start()
    relay = make_relay(reconnect_max_seconds=0.1)
    relay.start()
    for number in range(1, 51):
        enter(number)
        relay.wake()
        with suppress(Empty):
            server.received.get(timeout=0.2 * chance.random())
        disturbance = chance.choice(["cut", "restart", "hang up", "busy"])
        if disturbance == "cut":
            server.cut()
        elif disturbance == "restart":
            server.stop()
            server.start()
        elif disturbance == "hang up":
            server.close_all(WireError.of(ShuttingDownError()))
        else:
            server.answer = First(server, 1, no(WireError.of(OverloadedError())))
    pages.wait_for_states(all_answered(50))
    assert outbox.newest == 100  # each was entered once and answered once
    assert len({entry.request_id for entry in server.log}) == len(server.log) == 50


def test_pauses_double_up_to_the_longest_and_are_shortened_at_random() -> None:
    backoff = Backoff(4.0)
    pauses = [backoff.next_pause() for _ in range(6)]
    for pause, full in zip(pauses, (0.5, 1, 2, 4, 4, 4), strict=True):
        assert full / 2 <= pause <= full
    backoff.reset()
    assert backoff.next_pause() <= 0.5
