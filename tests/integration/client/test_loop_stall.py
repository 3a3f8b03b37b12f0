"""The outbox may be held by another program: the event loop stands still for no longer than one busy time-out."""

from contextlib import closing
from pathlib import Path

import pytest

from client.outbox import Outbox
from tests.integration.client.conftest import MakeSettings
from tests.support.desk import Desk
from tests.support.made_requests import submission
from tests.support.serving import ASYNC_MODE
from tests.support.stalls import MOST_SECONDS, LoopWatch, database_held


@pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="threads do not wait for each other")
def test_the_outbox_may_be_held(make_settings: MakeSettings, outbox: Outbox, tmp_path: Path) -> None:
    desk = Desk(make_settings(), outbox)
    clinician = desk.clinician()
    with desk.open(), closing(desk.page(clinician)) as page:
        page.ask_for_changes()
        with database_held(tmp_path / "client.sqlite"), LoopWatch() as watch:
            assert page.submit(submission(1).to_wire())["error"]["retryable"]
            assert clinician.get("/readyz").status_code == 503
        assert 0.1 < watch.longest < MOST_SECONDS  # it was in the way
        assert page.submit(submission(1).to_wire())["status"] == "saved"
