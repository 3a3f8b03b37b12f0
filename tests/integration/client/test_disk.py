"""A client app's disk fills up: the page keeps the form, its health names it, and it goes on once there is room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.outbox import Outbox
from tests.integration.client.conftest import MakeSettings
from tests.support.desk import Desk
from tests.support.disks import SmallDisk, small_disk
from tests.support.made_requests import submission


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "client-1", kilobytes=1024) as disk:
        yield disk


@pytest.fixture
def outbox(disk: SmallDisk) -> Iterator[Outbox]:
    outbox = Outbox(disk.folder / "client.sqlite")
    yield outbox
    outbox.close()


def test_on_a_full_disk_nothing_is_said_to_be_queued_and_the_health_says_why(
    make_settings: MakeSettings, outbox: Outbox, disk: SmallDisk
) -> None:
    desk = Desk(make_settings(), outbox)
    browser = desk.clinician()
    with desk.open_page(browser) as page:
        assert page.submit(submission(1).to_wire())["status"] == "queued"
        disk.fill()
        refused = page.submit(submission(2).to_wire())
        assert refused["status"] == "refused"
        assert refused["error"]["retryable"]
        assert "nothing was saved" in refused["error"]["message"]
        unready = browser.get("/readyz")
        assert unready.status_code == 503
        assert "database or disk is full: free some space" in unready.get_json()["error"]["message"]
        assert [entry.request_id for entry in outbox.history(before=None, limit=9)] == ["request-1"]
        disk.make_room()
        assert page.submit(submission(2).to_wire())["status"] == "queued"
    assert [entry.request_id for entry in outbox.history(before=None, limit=9)] == ["request-2", "request-1"]
