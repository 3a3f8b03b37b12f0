"""A whole client app: what its page may read, what becomes of a submitted patient, with and without the server."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.outbox import Outbox
from common.access.file import access_file
from common.messages import PROTOCOL_VERSION, Changes
from tests.integration.client.conftest import MakeSettings
from tests.support.clock import StoppedClock
from tests.support.desk import Desk, Page
from tests.support.made_requests import CLIENT_ID, id_of, made, prediction, record, request, submission
from tests.support.pages import history
from tests.support.programmable_server import ProgrammableServer
from tests.support.routes import OPEN, changing, readable
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import RefusedError
from tests.support.stalls import MOST_WAITS, LoopWatch, database_held


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


def test_nothing_is_for_strangers_and_a_clinician_has_no_administrators_pages(desk: Desk) -> None:
    found = readable(desk.client.app)
    assert {"/", "/api/history", "/api/sample", "/api/status", "/model", "/model/1"} <= {route.path for route in found}
    for route in found:
        path = route.path.replace("dashboard.css", "client.css")
        with desk.visitor().get(path, headers={"Accept": "application/json"}) as answer:
            assert answer.status_code in ({200} if route.endpoint in OPEN else {302, 401}), route
    with pytest.raises(RefusedError):
        desk.page(desk.visitor())
    clinician = desk.clinician()
    for route in changing(desk.client.app):  # without the page's CSRF token and origin
        assert clinician.open(route.path, method=route.method, json={}).status_code in {400, 403}, route
    assert [clinician.get(path).status_code for path in ("/sessions", "/api/sessions")] == [404, 404]
    assert clinician.get_cookie("hads_client_client-1") is not None  # browsers send cookies to every port of a host


@pytest.mark.parametrize(
    ("message", "code", "fields"),
    [
        (wire(1, record=record(1).model_dump() | {"age": 130, "sex": None}), "invalid_record", ["age", "sex"]),
        (wire(2, record=record(3).model_dump()), "request_id_reused", []),
        ([], "invalid_message", ["message"]),
    ],
)
def test_what_cannot_be_is_refused_with_every_field_at_fault(
    page: Page, outbox: Outbox, message: object, code: str, fields: list[str]
) -> None:
    assert page.submit(wire(2)) == page.submit(wire(2))
    refused = page.submit(message)
    assert (refused["status"], refused["error"]["code"]) == ("refused", code)
    assert sorted(refused["error"]["fields"]) == fields
    assert outbox.newest == 1


def test_what_waits_is_acknowledged_as_on_disk_and_once_withdrawn_gone_from_every_page_when_the_server_knows(
    desk: Desk, page: Page, outbox: Outbox, server: ProgrammableServer
) -> None:
    desk.relay.start()
    with closing(desk.page(desk.clinician())) as other_tab:
        other_tab.ask_for_changes()
        saved = page.submit(wire(1, patient_reference=" bed 12 "))
        assert saved == {"status": "saved", "entry": history(outbox)[0].to_wire(), "error": None}
        assert (saved["entry"]["state"], saved["entry"]["patient_reference"]) == ("queued", "bed 12")
        withdrawn = page.ask("withdraw", {"request_id": id_of(1)})
        assert (withdrawn["status"], withdrawn["entry"]["state"]) == ("saved", "withdrawing")
        server.start()
        assert other_tab.entry(lambda change: change["entry"] is None)["request_id"] == id_of(1)
    assert server.received.empty()
    assert page.submit(wire(1))["error"]["code"] == "erased"
    unknown = [page.ask("withdraw", {"request_id": one})["error"]["code"] for one in (id_of(1), id_of(9))]
    assert unknown == ["erased", "not_found"]


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


def test_what_clinicians_do_is_in_the_audit_trail_without_a_reference(desk: Desk) -> None:
    browser = desk.clinician()
    with closing(desk.page(browser)) as page:
        assert page.submit(wire(1, patient_reference="Bed 12"))["status"] == "saved"
        assert page.ask("withdraw", {"request_id": id_of(1)})["status"] == "saved"
        assert browser.get("/api/history").status_code == 200
    entries = desk.client.real_time.access.trail.newest(9)
    assert [(entry.role, entry.action, entry.target) for entry in reversed(entries)] == [
        ("clinician", "signed_in", ""),
        ("clinician", "watched_live", ""),
        ("clinician", "submitted_patient", id_of(1)),
        ("clinician", "withdrew_patient", id_of(1)),
        ("clinician", "read_history", ""),
    ]
    assert b"Bed 12" not in access_file(desk.settings.data_dir, desk.settings.app_name).read_bytes()


@pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="threads do not wait for each other")
def test_another_program_that_holds_the_outbox_stops_nobody_for_long(desk: Desk, page: Page, tmp_path: Path) -> None:
    clinician = desk.clinician()
    page.ask_for_changes()
    with database_held(tmp_path / "client.sqlite") as held, LoopWatch() as watch:
        assert page.submit(wire(1))["error"]["retryable"]
        assert clinician.get("/readyz").status_code == 503
    assert 0.1 < watch.longest < MOST_WAITS * held.one_wait  # it was in the way
    assert page.submit(wire(1))["status"] == "saved"
