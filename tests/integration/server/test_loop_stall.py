"""The record may be held by another program: the event loop stands still for no longer than one busy time-out."""

import pytest

from tests.integration.server.conftest import Join, RunningServer
from tests.support.made_requests import request
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser
from tests.support.stalls import MOST_SECONDS, LoopWatch, database_held


@pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="threads do not wait for each other")
def test_the_record_may_be_held(running: RunningServer, join: Join, signed_in: Browser) -> None:
    client = join()
    client.ask_for_changes()
    with database_held(running.database), LoopWatch() as watch:
        client.follow()
        client.predict(request(1).to_wire())
        assert signed_in.get("/api/status").status in {200, 503}
        assert Browser(running.url).get("/readyz").status in {200, 503}
        assert signed_in.get("/api/predictions").status in {200, 503}
    assert watch.longest < MOST_SECONDS
