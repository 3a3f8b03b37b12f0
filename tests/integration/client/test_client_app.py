"""A whole client app: what its page may read, what becomes of a submitted patient, with and without the server."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from client.outbox import Outbox
from common.messages import PROTOCOL_VERSION, Changes
from common.patient import PatientRecord
from tests.integration.client.conftest import MakeSettings
from tests.support.clock import StoppedClock
from tests.support.desk import Desk, Page
from tests.support.made_requests import CLIENT_ID, erased, id_of, made, prediction, record, request, submission
from tests.support.pages import history
from tests.support.programmable_server import ProgrammableServer
from tests.support.speaking import RefusedError


@pytest.fixture
def desk(make_settings: MakeSettings, outbox: Outbox) -> Iterator[Desk]:
    """A client app whose link is not started."""
    desk = Desk(make_settings(), outbox)
    with desk.open():
        yield desk


@pytest.fixture
def page(desk: Desk) -> Iterator[Page]:
    with closing(desk.page(desk.clinician())) as page:
        yield page


def wire(number: int, **changes: object) -> dict[str, object]:
    return submission(number).to_wire() | changes


def test_the_page_names_its_client_app_and_has_every_field_and_the_cookie_is_its_own(desk: Desk) -> None:
    clinician = desk.clinician()
    page = clinician.get("/").get_data(as_text=True)
    assert CLIENT_ID in page
    assert all(f'data-field="{name}"' in page for name in PatientRecord.model_fields)
    assert clinician.get_cookie("hads_client_client-1") is not None


def test_a_stranger_cannot_connect(desk: Desk) -> None:
    with pytest.raises(RefusedError):
        desk.page(desk.visitor())


def test_a_page_hears_the_state_of_the_link_when_it_asks(page: Page, outbox: Outbox) -> None:
    outbox.put(submission(1), request(1).entered_at)
    status = page.ask_for_changes()["status"]
    assert (status["state"], status["waiting"]) == ("connecting", 1)


def test_a_submitted_patient_is_acknowledged_as_on_disk_and_every_open_page_hears_it(
    desk: Desk, page: Page, outbox: Outbox
) -> None:
    with closing(desk.page(desk.clinician())) as other_tab:
        other_tab.ask_for_changes()
        saved = page.submit(wire(1, patient_reference=" bed 12 "))
        assert saved == {"status": "saved", "entry": history(outbox)[0].to_wire(), "error": None}
        assert (saved["entry"]["state"], saved["entry"]["patient_reference"]) == ("queued", "bed 12")
        page.submit(wire(2))
        assert other_tab.states(2) == [(id_of(1), "queued"), (id_of(2), "queued")]


@pytest.mark.parametrize(
    ("message", "code", "fields"),
    [
        (wire(1, record=record(1).model_dump() | {"age": 130, "sex": None}), "invalid_record", ["age", "sex"]),
        (wire(2, record=record(3).model_dump()), "request_id_reused", []),
        (None, "invalid_message", ["message"]),
        ([], "invalid_message", ["message"]),
    ],
)
def test_what_cannot_be_is_refused_with_every_field_at_fault(
    page: Page, outbox: Outbox, message: object, code: str, fields: list[str]
) -> None:
    assert page.submit(wire(2)) == page.submit(wire(2))
    refused = page.submit(message)
    assert (refused["status"], refused["error"]["code"], sorted(refused["error"]["fields"])) == (
        "refused",
        code,
        fields,
    )
    assert outbox.newest == 1


def test_history_comes_in_pages_newest_first_with_its_place_in_the_log(desk: Desk, outbox: Outbox) -> None:
    for number in range(1, 6):
        outbox.put(submission(number), request(number).entered_at)
    outbox.apply(Changes(log="a", after=0, next_after=1, has_more=False, entries=[made(1, prediction(request(4)))]))
    browser, seen, before = desk.clinician(), [], ""
    while before is not None:
        page = browser.get("/api/history", query_string={"limit": 2, "before": before}).get_json()
        seen += [(entry["request_id"], entry["state"]) for entry in page["entries"]]
        before = page["next_before"]
        assert (page["log"], page["after"]) == (outbox.name, 6)
    states = ("queued", "answered", "queued", "queued", "queued")
    assert seen == list(zip([id_of(number) for number in (5, 4, 3, 2, 1)], states, strict=True))


def test_it_is_ready_while_the_server_is_away_and_says_so(desk: Desk) -> None:
    desk.relay.start()
    assert desk.visitor().get("/readyz").get_json() == {"status": "ready"}
    status = desk.clinician().get("/api/status").get_json()
    assert status["state"] in {"connecting", "down"}
    assert (status["client_id"], status["protocol"], status["waiting"]) == (CLIENT_ID, PROTOCOL_VERSION, 0)


def test_it_is_not_ready_when_its_link_has_ended(desk: Desk) -> None:
    assert desk.visitor().get("/readyz").status_code == 500


def test_a_patient_submitted_while_the_server_is_away_is_answered_when_it_comes(
    desk: Desk, page: Page, server: ProgrammableServer
) -> None:
    desk.relay.start()
    assert [page.submit(wire(number))["status"] for number in (1, 2)] == ["saved", "saved"]
    page.states(2)
    server.start()
    assert sorted(page.states(2)) == [(id_of(1), "answered"), (id_of(2), "answered")]
    assert page.status_with(lambda status: status["waiting"] == 0)["state"] == "up"


def test_an_erased_patient_leaves_open_pages(desk: Desk, page: Page, server: ProgrammableServer) -> None:
    server.start()
    desk.relay.start()
    page.submit(wire(1))
    page.entry(lambda change: change["entry"]["state"] == "answered")
    server.append(erased(2, prediction(request(1))))
    assert page.entry(lambda change: change["entry"] is None)["request_id"] == id_of(1)


def test_signing_out_ends_every_open_page_of_that_sign_in(desk: Desk, page: Page) -> None:
    browser = desk.clinician()
    with closing(desk.page(browser)) as here, closing(desk.page(browser)) as there:
        assert desk.sign_out(browser) == 204
        assert [gone.closing()["code"] for gone in (here, there)] == ["not_signed_in"] * 2
    assert page.submit(wire(1))["status"] == "saved"


def test_nothing_is_taken_from_a_page_after_the_end_of_its_session(make_settings: MakeSettings, outbox: Outbox) -> None:
    clock = StoppedClock(time.time())
    desk = Desk(make_settings(), outbox, lambda: datetime.fromtimestamp(clock.now, UTC))
    idle = desk.settings.session_idle_minutes * 60
    with desk.open(), closing(desk.page(desk.clinician())) as page:
        clock.now += idle - 1
        assert page.submit(wire(1))["status"] == "saved"  # which is a clinician's doing
        clock.now += idle - 1
        assert page.submit(wire(2))["status"] == "saved"
        clock.now += idle
        assert page.submit(wire(3))["status"] == "refused"
        assert page.closing()["code"] == "not_signed_in"
    assert outbox.place.waiting == 2
