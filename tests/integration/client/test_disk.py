"""A client app's disk fills up: the page keeps the form, its health names it, and it goes on once there is room."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client.outbox import Outbox
from tests.integration.client.conftest import Link, MakeSettings
from tests.support.desk import Desk
from tests.support.disks import SmallDisk, small_disk
from tests.support.made_requests import id_of, made, prediction, request, submission
from tests.support.pages import states_of


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "client-1", kilobytes=1024) as disk:
        yield disk


@pytest.fixture
def outbox(disk: SmallDisk) -> Iterator[Outbox]:
    with closing(Outbox(disk.folder / "client.sqlite")) as outbox:
        yield outbox


def test_on_a_full_disk_nothing_is_said_to_be_queued_and_the_health_says_why(
    make_settings: MakeSettings, outbox: Outbox, disk: SmallDisk
) -> None:
    desk = Desk(make_settings(), outbox)
    browser = desk.clinician()
    with desk.open(), closing(desk.page(browser)) as page:
        assert page.submit(submission(1).to_wire())["status"] == "saved"
        disk.fill()
        refused = page.submit(submission(2).to_wire())
        assert (refused["status"], refused["error"]["retryable"]) == ("refused", True)
        assert "nothing was saved" in refused["error"]["message"]
        unready = browser.get("/readyz")
        assert unready.status_code == 503
        assert "database or disk is full: free some space" in unready.get_json()["error"]["message"]
        assert list(states_of(outbox)) == [id_of(1)]
        disk.make_room()
        assert page.submit(submission(2).to_wire())["status"] == "saved"
    assert list(states_of(outbox)) == [id_of(2), id_of(1)]


def test_on_a_full_disk_nothing_is_sent_or_applied_and_it_goes_on_once_there_is_room(
    link: Link, disk: SmallDisk
) -> None:
    link.enter(1)
    disk.fill()
    link.begin()
    assert "database or disk is full" in (link.pages.wait_for_link("down").reason or "")
    assert link.server.handshakes.empty()
    disk.make_room()
    link.pages.wait_for_entry(id_of(1))
    disk.fill()
    link.server.append(made(2, prediction(request(2))))
    link.pages.wait_for_link("down")
    assert link.outbox.place.server_after == 1
    disk.make_room()
    link.pages.wait_for_entry(id_of(2))
