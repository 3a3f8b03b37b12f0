"""Drafts of the form, each its person's, and pasted rows, over HTTP."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from client.form_api import DRAFT_LIFE
from client.outbox import Outbox
from common.access.roles import Role
from tests.integration.client.conftest import MakeSettings
from tests.support.clock import StoppedClock
from tests.support.desk import Desk
from tests.support.made_requests import submission

ADA = "a-link-of-ada-with-more-than-thirty-two-characters"
DAY = 24 * 60 * 60


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(time.time())


@pytest.fixture
def desk(make_settings: MakeSettings, outbox: Outbox, clock: StoppedClock) -> Iterator[Desk]:
    desk = Desk(make_settings(), outbox, lambda: datetime.fromtimestamp(clock.now, UTC))
    with desk.open():
        yield desk


def send(browser: FlaskClient, method: str, path: str, value: object = None) -> tuple[int, str]:
    token = browser.get("/api/session").get_json()["csrf_token"]
    headers = {"Origin": "http://localhost", "X-CSRFToken": token}
    answer = browser.open(path, method=method, json=value, headers=headers)
    return answer.status_code, answer.get_data(as_text=True)


def draft(person: str, text: str = "12/8") -> dict[str, object]:
    return {"person": person, "controls": {"field-age": text, "field-sex-1": True}}


def kept(browser: FlaskClient) -> object:
    return browser.get("/api/draft").get_json()["draft"]


def ada(desk: Desk) -> tuple[FlaskClient, str]:
    account = desk.client.real_time.access.people.add("Ada", Role.CLINICIAN, ADA, 0)
    browser = desk.visitor()
    assert send(browser, "POST", "/sign-in", {"token": ADA})[0] == 204
    return browser, account.id


def test_a_draft_is_its_persons_and_outlives_the_app(desk: Desk, outbox: Outbox, tmp_path: Path) -> None:
    clinician, (other, ada_id) = desk.clinician(), ada(desk)
    assert send(clinician, "PUT", "/api/draft", draft("clinician"))[0] == 204
    assert (kept(clinician), kept(other)) == (draft("clinician"), None)
    assert send(other, "PUT", "/api/draft", draft("clinician"))[0] == 403  # the page of who was signed in before
    assert send(other, "PUT", "/api/draft", draft(ada_id, "64"))[0] == 204
    assert send(clinician, "PUT", "/api/draft", ["12/8"])[0] == 422
    assert send(clinician, "PUT", "/api/draft", draft("clinician", "x" * 70_000))[0] == 413
    outbox.close()
    with closing(Outbox(tmp_path / "client.sqlite")) as again, Desk(desk.settings, again).open():
        assert "12/8" in (again.draft_of("clinician") or "")
        assert "64" in (again.draft_of(ada_id) or "")
    assert {entry.action for entry in desk.client.real_time.access.trail.newest(20)} == {"signed_in"}


def test_a_draft_ends_with_its_submission_and_with_its_persons_sign_out(desk: Desk) -> None:
    clinician, (other, ada_id) = desk.clinician(), ada(desk)
    for browser, person in ((clinician, "clinician"), (other, ada_id)):
        send(browser, "PUT", "/api/draft", draft(person))
    with closing(desk.page(clinician)) as page:
        refused = page.submit(submission(1).to_wire() | {"record": {}})
        assert (refused["status"], kept(clinician)) == ("refused", draft("clinician"))
        assert page.submit(submission(1).to_wire())["status"] == "saved"
        assert (kept(clinician), kept(other)) == (None, draft(ada_id))
        send(clinician, "PUT", "/api/draft", draft("clinician"))
        duplicate = submission(2, is_new=False).to_wire() | {"record": submission(1).to_wire()["record"]}
        assert (page.submit(duplicate)["status"], kept(clinician)) == ("duplicate", draft("clinician"))
    assert send(other, "DELETE", "/api/draft", {"person": "clinician"})[0] == 403
    assert send(clinician, "DELETE", "/api/draft", {"person": "clinician"})[0] == 204
    assert kept(clinician) is None
    send(other, "POST", "/sign-out")
    assert send(other, "PUT", "/api/draft", draft(ada_id))[0] == 401  # as the page closes
    assert send(other, "POST", "/sign-in", {"token": ADA})[0] == 204
    assert kept(other) is None


def test_drafts_of_accounts_that_are_gone_and_old_ones_are_erased(
    desk: Desk, outbox: Outbox, clock: StoppedClock
) -> None:
    people, (other, ada_id) = desk.client.real_time.access.people, ada(desk)
    send(other, "PUT", "/api/draft", draft(ada_id))
    people.revoke(people.find("Ada"), clock.now)
    clinician = desk.clinician()
    send(clinician, "PUT", "/api/draft", draft("clinician"))
    assert kept(clinician)
    assert outbox.draft_of(ada_id) is None
    clock.now += DRAFT_LIFE.days * DAY + 1
    assert kept(desk.clinician()) is None


def test_a_pasted_row_is_read_for_who_is_signed_in_and_a_refusal_repeats_nothing_of_it(desk: Desk) -> None:
    browser = desk.clinician()
    status, said = send(browser, "POST", "/api/paste", {"text": "age,sex,chol\n63,male,5.8"})
    assert (status, '"names":["mmol/L"],"record":{"cholesterol":224.3}' in said) == (200, True)
    for text in ("Miller\t4711", "Miller,4711\n1,2", "4711" * 3000):
        status, said = send(browser, "POST", "/api/paste", {"text": text})
        assert (status, "Miller" in said, "4711" in said) == (422, False, False)
    wrongs: list[object] = [[], {"text": 1}]
    assert [send(browser, "POST", "/api/paste", wrong)[0] for wrong in wrongs] == [422] * 2
    assert send(desk.visitor(), "POST", "/api/paste", {"text": "63"})[0] == 401
