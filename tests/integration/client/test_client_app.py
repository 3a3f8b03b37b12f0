"""A whole client app: what its page may read, what becomes of a submitted patient, with and without the server."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.outbox import Outbox
from common.messages import PROTOCOL_VERSION
from common.patient import PatientRecord
from tests.integration.client.conftest import MakeSettings
from tests.support.clock import StoppedClock
from tests.support.desk import Desk
from tests.support.made_requests import CLIENT_ID, prediction, record, request, submission
from tests.support.programmable_server import ProgrammableServer


@pytest.fixture
def desk(make_settings: MakeSettings, outbox: Outbox) -> Iterator[Desk]:
    """A client app whose link is not started; when it is, one patient is answered before the next is sent."""
    desk = Desk(make_settings(in_flight=1), outbox)
    yield desk
    if desk.relay.is_running:
        desk.relay.stop()


def wire(number: int, **changes: object) -> dict[str, object]:
    return submission(number).to_wire() | changes


@pytest.mark.parametrize("path", ["/api/history", "/api/sample", "/api/status"])
def test_nothing_is_readable_without_sign_in(desk: Desk, path: str) -> None:
    answer = desk.visitor().get(path)
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "not_signed_in")  # type: ignore[index]


def test_the_page_leads_to_the_sign_in_first(desk: Desk) -> None:
    answer = desk.visitor().get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.location) == (302, "/sign-in")


def test_the_page_names_its_client_app_and_has_every_field(desk: Desk) -> None:
    page = desk.clinician().get("/").get_data(as_text=True)
    assert CLIENT_ID in page
    assert all(f'data-field="{name}"' in page for name in PatientRecord.model_fields)


def test_the_cookie_is_this_client_apps_own(desk: Desk) -> None:
    assert desk.clinician().get_cookie("hads_client_client-1") is not None


def test_a_stranger_cannot_connect_and_hears_nothing(desk: Desk) -> None:
    stranger, clinician = desk.open_page(desk.visitor()), desk.open_page(desk.clinician())
    assert not stranger.is_connected
    with clinician:
        clinician.submit(wire(1))
        assert len(clinician.news("update")) == 1


def test_a_page_hears_the_state_of_the_link_when_it_connects(desk: Desk, outbox: Outbox) -> None:
    outbox.put(submission(1), request(1).entered_at)
    with desk.open_page(desk.clinician()) as page:
        (status,) = page.news("link_status")
    assert (status["state"], status["waiting"]) == ("connecting", 1)


def test_of_a_page_that_could_not_be_let_in_nothing_is_kept(desk: Desk, outbox: Outbox, tmp_path: Path) -> None:
    browser = desk.clinician()
    with closing(sqlite3.connect(tmp_path / "client.sqlite")) as file:
        file.execute("ALTER TABLE requests RENAME TO lost")
        assert not desk.open_page(browser).is_connected
        assert desk.client.real_time.sessions.connections == 0
        file.execute("ALTER TABLE lost RENAME TO requests")
    with desk.open_page(browser) as page:
        assert page.is_connected
        assert desk.client.real_time.sessions.connections == 1
    assert desk.client.real_time.sessions.connections == 0


def test_a_submitted_patient_is_queued_on_disk_and_every_open_page_hears_it(desk: Desk, outbox: Outbox) -> None:
    browser = desk.clinician()
    with desk.open_page(browser) as page, desk.open_page(browser) as other_tab:
        assert page.submit(wire(1)) == {"status": "queued", "outbox_number": 1, "error": None}
        assert page.submit(wire(2, patient_reference=" bed 12 "))["outbox_number"] == 2
        states = [(news["outbox_number"], news["state"]) for news in other_tab.news("update")]
    assert states == [(1, "queued"), (2, "queued")]
    assert [sent.patient_reference for sent in outbox.waiting(after=0, limit=9)] == [None, "bed 12"]


def test_the_same_submission_again_is_the_same_entry(desk: Desk, outbox: Outbox) -> None:
    with desk.open_page(desk.clinician()) as page:
        assert page.submit(wire(1)) == page.submit(wire(1))
        other = page.submit(wire(1, record=record(2).model_dump()))
    assert (other["status"], other["error"]["code"]) == ("refused", "request_id_reused")
    assert outbox.count_waiting() == 1


def test_a_patient_that_cannot_be_is_refused_with_every_field_at_fault(desk: Desk, outbox: Outbox) -> None:
    impossible = record(1).model_dump() | {"age": 130, "resting_bp": "high", "sex": None}
    with desk.open_page(desk.clinician()) as page:
        refused = page.submit(wire(1, record=impossible))
        assert not page.news("update")
    assert (refused["status"], refused["error"]["code"]) == ("refused", "invalid_record")
    assert sorted(refused["error"]["fields"]) == ["age", "resting_bp", "sex"]
    assert outbox.count_waiting() == 0


@pytest.mark.parametrize("message", [None, [], "text", {}])
def test_what_is_no_submission_is_refused(desk: Desk, message: object) -> None:
    with desk.open_page(desk.clinician()) as page:
        assert page.submit(message)["error"]["code"] == "invalid_message"


def test_history_comes_in_pages_newest_first(desk: Desk, outbox: Outbox) -> None:
    for number in range(1, 6):
        outbox.put(submission(number), request(number).entered_at)
    outbox.answer(prediction(request(4)))
    browser, seen, before = desk.clinician(), [], ""
    while before is not None:
        page = browser.get("/api/history", query_string={"limit": 2, "before": before}).get_json()
        seen += [(entry["outbox_number"], entry["state"]) for entry in page["entries"]]
        before = page["next_before"]
    assert seen == [(5, "queued"), (4, "answered"), (3, "queued"), (2, "queued"), (1, "queued")]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "before=-1", "before=1.5", "before=" + "9" * 40])
def test_a_page_of_history_that_cannot_be_is_refused(desk: Desk, query: str) -> None:
    answer = desk.clinician().get(f"/api/history?{query}")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (422, "invalid_message")


def test_a_sample_is_a_real_patient_and_the_next_is_another(desk: Desk) -> None:
    browser = desk.clinician()
    samples = [browser.get("/api/sample").get_json() for _ in range(3)]
    assert len({sample["source"] for sample in samples}) == 3
    assert all(PatientRecord.check(sample["record"]) for sample in samples)


def test_it_is_ready_while_the_server_is_away_and_says_so(desk: Desk) -> None:
    desk.relay.start()
    assert desk.visitor().get("/readyz").get_json() == {"status": "ready"}
    status = desk.clinician().get("/api/status").get_json()
    assert status["state"] in {"connecting", "down"}
    assert (status["client_id"], status["protocol"], status["waiting"]) == (CLIENT_ID, PROTOCOL_VERSION, 0)


def test_it_is_not_ready_when_its_link_has_ended(desk: Desk) -> None:
    desk.relay.start()
    desk.relay.stop()
    assert desk.visitor().get("/readyz").status_code == 500


def test_a_patient_submitted_while_the_server_is_away_is_answered_when_it_comes(
    desk: Desk, server: ProgrammableServer
) -> None:
    desk.relay.start()
    with desk.open_page(desk.clinician()) as page:
        assert [page.submit(wire(number))["status"] for number in (1, 2)] == ["queued", "queued"]
        server.start()
        assert server.next_numbers(2) == [1, 2]  # the second comes when the first was answered
        told = [(news["request_id"], news["state"]) for news in page.news("update")]
        assert told[:3] == [("request-1", "queued"), ("request-2", "queued"), ("request-1", "answered")]
        assert "up" in [news["state"] for news in page.news("link_status")]


def test_signing_out_ends_every_open_page_of_that_sign_in(desk: Desk, outbox: Outbox) -> None:
    browser = desk.clinician()
    here, there, elsewhere = desk.open_page(browser), desk.open_page(browser), desk.open_page(desk.clinician())
    assert desk.sign_out(browser) == 204
    assert (here.is_connected, there.is_connected, elsewhere.is_connected) == (False, False, True)
    elsewhere.submit(wire(1))
    assert elsewhere.news("update")


def test_nothing_is_taken_from_a_page_after_the_end_of_its_session(make_settings: MakeSettings, outbox: Outbox) -> None:
    clock = StoppedClock(time.time())
    desk = Desk(make_settings(), outbox, lambda: datetime.fromtimestamp(clock.now, UTC))
    page = desk.open_page(desk.clinician())
    clock.now += desk.settings.session_idle_minutes * 60 - 1
    assert page.submit(wire(1))["status"] == "queued"  # which is a clinician's doing
    clock.now += desk.settings.session_idle_minutes * 60 - 1
    assert page.submit(wire(2))["status"] == "queued"
    clock.now += desk.settings.session_idle_minutes * 60
    assert page.submit(wire(3))["error"]["code"] == "not_signed_in"
    assert not page.is_connected
    assert outbox.count_waiting() == 2
