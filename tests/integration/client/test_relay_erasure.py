"""Erasures and lost files at a client app: what was erased is nowhere, and no outbox number is given twice."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import Queue

from client.outbox import Outbox
from client.relay import Relay
from common.errors import ErasedError, UnsupportedProtocolError
from common.messages import (
    PROTOCOL_VERSION,
    Change,
    ChangeKind,
    EntryErased,
    Event,
    Prediction,
    PredictionErased,
    PredictRequest,
    Receipt,
    WireError,
)
from tests.support.made_requests import NOON, made, prediction, request
from tests.support.pages import Pages
from tests.support.programmable_server import WAIT_SECONDS, ProgrammableServer

Enter = Callable[..., None]


def tombstone(sequence: int, answer: Prediction) -> Change:
    return Change(
        sequence=sequence,
        kind=ChangeKind.PREDICTION_ERASED,
        prediction_id=answer.prediction_id,
        client_id=answer.client_id,
        at=NOON,
    )


def wait_for_erasure(pages: Pages, request_id: str) -> None:
    pages.wait_for(Event.ENTRY_ERASED, lambda news: news == EntryErased(request_id=request_id))


def known(outbox: Outbox) -> list[tuple[str, int, str]]:
    return [(entry.request_id, entry.outbox_number, entry.state) for entry in outbox.history(before=None, limit=100)]


def test_an_erasure_told_over_the_link_leaves_nothing_and_the_pages_hear_of_it(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_update("request-2")
    erased = prediction(request(1))
    server.send(Event.PREDICTION_ERASED, PredictionErased(prediction_id=erased.prediction_id))
    wait_for_erasure(pages, "request-1")
    assert known(outbox) == [("request-2", 2, "answered")]
    server.send(Event.PREDICTION_RESULT, erased)  # one that was on its way
    server.send(Event.PREDICTION_ERASED, PredictionErased(prediction_id=prediction(request(2)).prediction_id))
    wait_for_erasure(pages, "request-2")
    assert known(outbox) == []
    enter(3)
    assert known(outbox)[0][:2] == ("request-3", 3)


def test_a_request_waits_no_longer_for_an_answer_that_comes_after_its_erasure(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    accepted: Queue[None] = Queue()

    def accept(_sid: str, _asked: PredictRequest) -> Receipt:
        accepted.put(None)
        return Receipt(status="accepted")

    server.answer = accept
    server.start()
    enter(1)
    relay.start()
    accepted.get(timeout=WAIT_SECONDS)
    late = prediction(request(1))
    server.send(Event.PREDICTION_ERASED, PredictionErased(prediction_id=late.prediction_id))
    server.send(Event.PREDICTION_RESULT, late)
    wait_for_erasure(pages, "request-1")
    assert (known(outbox), outbox.count_waiting()) == ([], 0)


def test_an_erasure_that_was_missed_is_made_up_for(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.start()
    enter(1, 2)
    relay.start()
    pages.wait_for_update("request-2")
    server.change_log = [
        made(1, prediction(request(1))).model_copy(update={"prediction": None}),
        made(2, prediction(request(2))),
        tombstone(3, prediction(request(1))),
    ]
    server.cut()
    wait_for_erasure(pages, "request-1")
    assert [entry[0] for entry in known(outbox)] == ["request-2"]


def test_a_request_whose_answer_was_erased_on_its_way_is_forgotten_and_never_sent_again(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    def erased(sid: str, asked: PredictRequest) -> Receipt:
        if asked.request_id == "request-1":
            return Receipt(status="refused", error=WireError.of(ErasedError()))
        return server.predict(sid, asked)

    server.answer = erased
    server.start()
    enter(1, 2)
    relay.start()
    wait_for_erasure(pages, "request-1")
    pages.wait_for_update("request-2")
    assert [entry[0] for entry in known(outbox)] == ["request-2"]
    assert server.next_numbers(2) == [1, 2]
    assert server.received.empty()


def test_who_lost_the_file_learns_its_numbers_before_anything_is_sent(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    """Twice as many answers as a page of the log holds, the highest number in the last."""
    server.change_log = [made(number, prediction(request(number))) for number in range(1, 7)]
    enter(101, 102)
    assert [entry[1] for entry in known(outbox)] == [2, 1]
    server.start()
    relay.start()
    assert server.next_numbers(2) == [7, 8]
    pages.wait_for_update("request-102")
    numbers = [entry[1] for entry in known(outbox)]
    assert len(set(numbers)) == len(numbers) == 8
    assert known(outbox)[0][0] == "request-102"


def test_who_lost_the_file_sends_nothing_while_its_numbers_are_not_known(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    server.change_log = [made(number, prediction(request(number))) for number in range(1, 3)]
    server.change_log_status = "503 Service Unavailable"
    enter(101)
    server.start()
    relay.start()
    server.wait_for_questions(2)
    assert server.received.empty()
    server.change_log_status = "200 OK"
    assert server.next_numbers(1) == [3]
    pages.wait_for_update("request-101")
    assert outbox.has_settled_numbers()


def test_a_file_that_was_put_back_from_an_older_copy_gives_no_number_twice(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    outbox.settle_numbers()
    outbox.answer(prediction(request(1)))
    enter(101)  # gets 2, as one did that the copy does not know
    server.change_log = [made(number, prediction(request(number))) for number in range(1, 5)]
    server.start()
    relay.start()
    assert server.next_numbers(1) == [5]
    pages.wait_for_update("request-101")


def test_an_answer_refused_for_good_before_an_older_one_is_answered_moves_no_number(
    outbox: Outbox, enter: Enter
) -> None:
    enter(1, 2, 3)
    outbox.refuse("request-2", WireError.of(ErasedError()))
    assert outbox.settle_numbers() == []
    assert [entry[1] for entry in known(outbox)] == [3, 2, 1]


def test_a_server_of_another_version_is_told_to_the_pages_in_its_own_words(
    server: ProgrammableServer, relay: Relay, pages: Pages, outbox: Outbox, enter: Enter
) -> None:
    said = f"The client app speaks protocol version {PROTOCOL_VERSION}, the server 2. Update the older one."
    server.refusal = WireError.of(UnsupportedProtocolError(said))
    server.start()
    enter(1)
    relay.start()
    assert server.handshakes.get(timeout=WAIT_SECONDS).protocol == PROTOCOL_VERSION
    link = pages.wait_for_link("refused")
    assert (link.reason, link.waiting) == (said, 1)
    assert known(outbox) == [("request-1", 1, "queued")]


def test_nothing_of_a_patient_is_in_the_tombstones_that_are_kept(outbox: Outbox, tmp_path: Path) -> None:
    outbox.answer(prediction(request(1)))
    outbox.erase(prediction(request(1)).prediction_id)
    with closing(sqlite3.connect(tmp_path / "client.sqlite")) as connection:
        assert connection.execute("SELECT * FROM erased").fetchall() == [(prediction(request(1)).prediction_id,)]
        assert connection.execute("SELECT count(*) FROM requests").fetchone() == (0,)
    assert outbox.erasures() == 1
    assert not [file for file in tmp_path.glob("client.sqlite*") if b'"age"' in file.read_bytes()]
