"""The relay against a real server: nothing is lost, nothing is doubled, and the order is kept."""

import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable

import pytest

from client.outbox import Outbox
from client.relay import Relay
from common.errors import (
    InternalError,
    InvalidRecordError,
    NotSignedInError,
    OutOfTurnError,
    OverloadedError,
    ReplacedConnectionError,
    ShuttingDownError,
)
from common.messages import (
    PROTOCOL_VERSION,
    Event,
    ExplanationFinished,
    ExplanationSentence,
    PredictionRefused,
    PredictRequest,
    Receipt,
    WireError,
)
from server.outbox_order import OutboxOrder
from tests.integration.client.conftest import MakeRelay
from tests.support.made_requests import CLIENT_ID, LLAMA_TEXT, explained, made, prediction, request
from tests.support.pages import Pages
from tests.support.programmable_server import TOKEN, WAIT_SECONDS, ProgrammableServer

Enter = Callable[..., None]


def states(outbox: Outbox) -> dict[str, str]:
    return {entry.request_id: entry.state for entry in outbox.history(before=None, limit=1000)}


def refused(error: WireError) -> Receipt:
    return Receipt(status="refused", error=error)


class Refusing:
    """Refuses the first ``times`` requests and answers the rest."""

    def __init__(self, server: ProgrammableServer, error: WireError, times: int) -> None:
        self._server = server
        self._error = error
        self._left = times

    def __call__(self, sid: str, asked: PredictRequest) -> Receipt:
        self._left -= 1
        return refused(self._error) if self._left >= 0 else self._server.predict(sid, asked)


def test_a_patient_in_the_outbox_is_sent_answered_and_told(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.start()
    relay.start()
    pages.wait_for_link("up")
    enter(1)
    relay.wake()
    assert pages.wait_for_update("request-1").prediction == prediction(request(1))
    assert states(outbox) == {"request-1": "answered"}
    assert server.received.get(timeout=WAIT_SECONDS) == request(1).model_copy(update={"waiting": 1})


def test_the_handshake_proves_who_it_is_and_says_what_waits(
    server: ProgrammableServer, relay: Relay, enter: Enter
) -> None:
    enter(1, 2)
    server.start()
    relay.start()
    handshake = server.handshakes.get(timeout=WAIT_SECONDS)
    assert (handshake.protocol, handshake.token, handshake.waiting) == (PROTOCOL_VERSION, TOKEN, 2)


def test_what_was_entered_while_the_server_was_away_is_sent_in_order_when_it_comes(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    enter(3, 1, 2)
    relay.start()
    away = pages.wait_for_link("down")
    assert (away.reason, away.waiting) == ("The server cannot be reached at the moment.", 3)
    assert not relay.is_up
    server.start()
    assert server.next_numbers(3) == [1, 2, 3]
    pages.wait_for_update("request-2")
    assert set(states(outbox).values()) == {"answered"}
    assert pages.wait_for_link("up").reason is None


def test_after_a_cut_it_goes_on_from_the_first_unanswered_request(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    def answer_the_first(sid: str, asked: PredictRequest) -> Receipt:
        return server.predict(sid, asked) if asked.outbox_number == 1 else Receipt(status="accepted")

    server.answer = answer_the_first
    server.start()
    enter(1, 2, 3)
    relay.start()
    assert server.next_numbers(3) == [1, 2, 3]
    pages.wait_for_update("request-1")
    server.answer = server.predict
    server.cut()
    assert server.next_numbers(2) == [2, 3]
    pages.wait_for_update("request-3")


def test_a_server_killed_while_patients_are_under_way_loses_and_doubles_none(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    killed = threading.Event()

    def die_at_the_twentieth(sid: str, asked: PredictRequest) -> Receipt:
        receipt = server.predict(sid, asked)
        if asked.outbox_number == 20 and not killed.is_set():
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
    pages.wait_for_update("request-60")
    assert states(outbox) == {f"request-{number}": "answered" for number in range(1, 61)}
    assert all(pages.updates(f"request-{number}") == ["answered"] for number in range(1, 61))


def test_no_more_than_the_window_is_in_flight(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(*range(1, 9))
    make_relay(in_flight=4).start()
    assert server.next_numbers(4) == [1, 2, 3, 4]
    server.send(Event.PREDICTION_RESULT, prediction(request(2)))
    pages.wait_for_update("request-2")
    assert server.next_numbers(1) == [5]
    server.send(Event.PREDICTION_RESULT, prediction(request(1)))
    assert server.next_numbers(1) == [6]
    assert server.received.empty()


def test_an_answer_that_comes_twice_stands_in_the_history_once(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    def answer_three_times(sid: str, asked: PredictRequest) -> Receipt:
        for _ in range(3):
            server.predict(sid, asked)
        return Receipt(status="accepted")

    server.answer = answer_three_times
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_update("request-2")
    relay.stop()
    assert len(outbox.history(before=None, limit=10)) == 2
    assert pages.updates("request-1") == ["answered"]


def test_a_request_that_is_refused_for_now_is_sent_again_before_those_behind_it(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.answer = Refusing(server, WireError.of(OverloadedError()), times=2)
    server.start()
    enter(1, 2, 3)
    make_relay(in_flight=1).start()
    assert server.next_numbers(5) == [1, 1, 1, 2, 3]
    pages.wait_for_update("request-3")
    assert set(states(outbox).values()) == {"answered"}


def test_a_whole_window_refused_for_now_is_sent_again_in_order(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.answer = Refusing(server, WireError.of(ShuttingDownError()), times=4)
    server.start()
    enter(1, 2, 3, 4)
    relay.start()
    assert server.next_numbers(8) == [1, 2, 3, 4, 1, 2, 3, 4]
    pages.wait_for_update("request-4")


def test_the_order_is_kept_though_the_server_refuses_some_of_a_window_for_now(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    """The server is the real one's rule of turns, with an overload at every fifth request."""
    order, stored, heard = OutboxOrder(), list[int](), itertools.count(1)

    def answer(sid: str, asked: PredictRequest) -> Receipt:
        if next(heard) % 5 == 0:
            order.give_back(CLIENT_ID, asked)
            return refused(WireError.of(OverloadedError()))
        if not order.take(CLIENT_ID, asked):
            return refused(WireError.of(OutOfTurnError()))
        stored.append(asked.outbox_number)
        return server.predict(sid, asked)

    server.answer = answer
    server.start()
    enter(*range(1, 21))
    relay.start()
    pages.wait_for_update("request-20")
    assert stored == list(range(1, 21))


def test_a_request_refused_for_good_is_told_and_the_next_one_goes_on(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    error = WireError.of(InvalidRecordError(fields={"age": ["must be between 1 and 120 years"]}))
    server.answer = Refusing(server, error, times=1)
    server.start()
    enter(1, 2)
    relay.start()
    assert pages.wait_for_update("request-1", "refused").error == error
    pages.wait_for_update("request-2")
    assert states(outbox) == {"request-1": "refused", "request-2": "answered"}


def test_a_request_that_could_not_be_answered_after_all_is_refused_too(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    error = WireError.of(InternalError())
    server.answer = server.keep_silent
    server.start()
    enter(1)
    relay.start()
    server.next_numbers(1)
    server.send(Event.PREDICTION_REFUSED, PredictionRefused(request_id="request-1", error=error))
    assert pages.wait_for_update("request-1", "refused").error == error


def test_a_request_nobody_answers_in_time_is_sent_again_as_it_was(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(1)
    make_relay(reply_timeout_seconds=1).start()
    first = server.received.get(timeout=WAIT_SECONDS)
    server.answer = server.predict
    assert server.received.get(timeout=WAIT_SECONDS) == first
    pages.wait_for_update("request-1")
    assert len(states(outbox)) == 1


def test_a_refused_token_shows_the_servers_sentence_and_is_not_tried_often(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages, enter: Enter
) -> None:
    server.refusal = WireError.of(NotSignedInError("This token is not known."))
    server.start()
    relay = make_relay(refused_pause=0.5)
    relay.start()
    server.handshakes.get(timeout=WAIT_SECONDS)
    began = time.monotonic()
    assert pages.wait_for_link("refused").reason == "This token is not known."
    enter(1)
    relay.wake()
    server.handshakes.get(timeout=WAIT_SECONDS)
    assert time.monotonic() - began >= 0.4
    server.refusal = None
    pages.wait_for_update("request-1")


def test_a_server_that_is_shutting_down_is_tried_again_soon(
    server: ProgrammableServer, relay: Relay, pages: Pages
) -> None:
    server.refusal = WireError.of(ShuttingDownError())
    server.start()
    relay.start()
    assert pages.wait_for_link("down").reason == ShuttingDownError.default_message
    server.refusal = None
    pages.wait_for_link("up")


def test_a_connection_that_a_newer_one_replaced_says_so_and_stays_away(
    server: ProgrammableServer, relay: Relay, pages: Pages
) -> None:
    server.start()
    relay.start()
    pages.wait_for_link("up")
    server.send(Event.CONNECTION_REPLACED, WireError.of(ReplacedConnectionError()))
    server.disconnect_everyone()
    assert pages.wait_for_link("refused").reason == ReplacedConnectionError.default_message
    assert server.handshakes.qsize() == 1


def test_an_empty_outbox_is_filled_again_from_the_servers_log(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    answers = [prediction(request(number)) for number in range(1, 9)]
    server.change_log = [made(10 + number, answer) for number, answer in enumerate(answers)]
    server.change_log.append(explained(30, answers[0]))
    server.start()
    relay.start()
    assert pages.wait_for_update("request-8").prediction == answers[-1]
    pages.wait_for(Event.UPDATE, lambda entry: getattr(entry, "explanation", None) == LLAMA_TEXT)
    enter(20)
    relay.wake()
    assert server.next_numbers(1) == [9]
    assert outbox.caught_up_to() == 30
    assert [asked["after"] for asked in server.asked] == ["0", "12", "15"]
    assert {asked["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}


def test_an_answer_missed_while_away_is_fetched_and_not_asked_for_again(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(1, 2)
    relay.start()
    assert server.next_numbers(2) == [1, 2]
    server.change_log = [made(1, prediction(request(1)))]
    server.cut()
    pages.wait_for_update("request-1")
    assert server.next_numbers(1) == [2]


def test_patients_are_sent_although_missed_entries_cannot_be_fetched(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    outbox.settle_numbers()  # it has read the log before
    server.change_log = [made(1, prediction(request(9)))]
    server.change_log_status = "503 Service Unavailable"
    server.start()
    enter(1)
    relay.start()
    pages.wait_for_update("request-1")
    assert outbox.caught_up_to() == 0
    server.change_log_status = "200 OK"
    pages.wait_for_update("request-9")
    assert outbox.caught_up_to() == 1


def test_a_redirect_is_not_followed_with_the_token(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    outbox.settle_numbers()  # it has read the log before
    server.change_log_status = "302 Found"
    server.start()
    enter(1)
    relay.start()
    pages.wait_for_update("request-1")
    assert {asked["path"] for asked in server.asked} == {"/api/changes"}


def test_no_proxy_of_the_environment_gets_between(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "WS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.start()
    enter(1)
    relay.start()
    pages.wait_for_update("request-1")
    assert server.asked


def test_sentences_of_an_explanation_arrive_in_order_and_its_end_is_kept(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox
) -> None:
    answer = prediction(request(1))
    texts = [f"Sentence {number}." for number in range(100)]
    outbox.answer(answer)
    server.start()
    relay.start()
    pages.wait_for_link("up")
    for text in texts:
        server.send(Event.EXPLANATION_SENTENCE, ExplanationSentence(prediction_id=answer.prediction_id, text=text))
    finished = ExplanationFinished(prediction_id=answer.prediction_id, explanation=LLAMA_TEXT)
    server.send(Event.EXPLANATION_FINISHED, finished)
    assert pages.wait_for(Event.EXPLANATION_FINISHED) == finished
    assert [message.text for _, message in pages.told if isinstance(message, ExplanationSentence)] == texts
    assert pages.wait_for_update("request-1").explanation == LLAMA_TEXT
    assert outbox.history(before=None, limit=1)[0].explanation == LLAMA_TEXT


def test_what_makes_no_sense_is_dropped_without_a_word_about_its_content(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = server.keep_silent
    server.start()
    enter(1)
    with caplog.at_level(logging.DEBUG):
        relay.start()
        server.next_numbers(1)
        spoilt = prediction(request(1)).to_wire() | {"raw_score": "Mrs. Example"}
        for nonsense in (spoilt, None, [1, 2], "Mrs. Example", {}):
            server.send(Event.PREDICTION_RESULT, nonsense)
        server.send("never heard of", {"name": "Mrs. Example"})
        server.send(Event.EXPLANATION_FINISHED, {"prediction_id": "x", "explanation": "Mrs. Example"})
        server.send(Event.PREDICTION_RESULT, prediction(request(1)))
        pages.wait_for_update("request-1")
    assert "dropped a malformed prediction_result" in caplog.text
    assert "Example" not in caplog.text
    assert relay.is_up
    assert pages.updates("request-1") == ["answered"]


def test_a_prediction_of_another_client_app_is_dropped(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.start()
    relay.start()
    pages.wait_for_link("up")
    server.send(Event.PREDICTION_RESULT, prediction(request(5), client_id="Client-2"))
    enter(1)
    relay.wake()
    pages.wait_for_update("request-1")
    assert states(outbox) == {"request-1": "answered"}


def test_a_server_that_takes_the_connection_and_says_nothing_is_down(make_relay: MakeRelay, pages: Pages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        make_relay(server_url=f"http://127.0.0.1:{silent.getsockname()[1]}").start()
        pages.wait_for_link("down")


def test_something_that_is_no_such_server_is_down(make_relay: MakeRelay, pages: Pages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        make_relay(server_url=f"http://127.0.0.1:{other.getsockname()[1]}").start()
        connection, _ = other.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")
        pages.wait_for_link("down")


def test_stopping_hangs_up_at_once_and_ends_the_thread(server: ProgrammableServer, relay: Relay, pages: Pages) -> None:
    server.start()
    relay.start()
    pages.wait_for_link("up")
    began = time.monotonic()
    relay.stop()
    assert time.monotonic() - began < 2
    assert not relay.is_running
    server.farewells.get(timeout=WAIT_SECONDS)


def test_stopping_does_not_wait_for_a_pause_to_end(
    server: ProgrammableServer, make_relay: MakeRelay, pages: Pages
) -> None:
    server.refusal = WireError.of(NotSignedInError())
    server.start()
    relay = make_relay(refused_pause=600.0)
    relay.start()
    pages.wait_for_link("refused")
    relay.stop()
    assert not relay.is_running


def test_pages_hear_how_many_requests_wait(
    server: ProgrammableServer, relay: Relay, pages: Pages, enter: Enter
) -> None:
    relay.start()
    assert pages.wait_for_link("down").waiting == 0
    enter(1, 2)
    relay.wake()
    pages.wait_for_waiting(2)
    server.start()
    pages.wait_for_update("request-2")
    pages.wait_for_waiting(0)
