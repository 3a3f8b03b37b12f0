"""What clinicians do at a client app stands in its own audit trail."""

from contextlib import closing

from client.outbox import Outbox
from common.access.file import access_file
from tests.integration.client.conftest import MakeSettings
from tests.support.desk import Desk
from tests.support.made_requests import submission


def test_entering_a_patient_and_reading_the_history_are_recorded(make_settings: MakeSettings, outbox: Outbox) -> None:
    settings = make_settings()
    desk = Desk(settings, outbox)
    browser = desk.clinician()
    sent = submission(1, reference="Bed 12")
    with desk.open(), closing(desk.page(browser)) as page:
        assert page.submit(sent.to_wire())["status"] == "saved"
        assert browser.get("/api/history").status_code == 200
    entries = desk.client.real_time.access.trail.newest(9)
    assert [(entry.role, entry.action, entry.target) for entry in reversed(entries)] == [
        ("clinician", "signed_in", ""),
        ("clinician", "watched_live", ""),
        ("clinician", "submitted_patient", sent.request_id),
        ("clinician", "read_history", ""),
    ]
    assert b"Bed 12" not in access_file(settings.data_dir, settings.app_name).read_bytes()
