"""Nothing that another program holds stops the event loop for longer than one busy time-out."""

import pytest

from common.access.audit.trail import lock_file, trail_file
from common.access.people import access_file
from tests.integration.web.conftest import Running
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser
from tests.support.stalls import MOST_SECONDS, LoopWatch, database_held, lock_held

pytestmark = pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="threads do not wait for each other")


def sign_in(running: Running) -> int:
    return Browser(running.url).sign_in(running.small.settings.secrets.operator_token).status


def test_the_file_of_the_accounts_may_be_held(running: Running) -> None:
    settings, sessions = running.small.settings, running.small.sessions
    browser = running.signed_in()
    sessions.start()
    with database_held(access_file(settings.data_dir, settings.app_name)), LoopWatch() as watch:
        assert sign_in(running) == 503
        assert browser.post("/activity", {}).status == 204  # who is signed in stays so
    assert 0.1 < watch.longest < MOST_SECONDS  # it was in the way
    sessions.stop()
    assert sign_in(running) == 204


def test_the_lock_of_the_audit_trail_may_be_held(running: Running) -> None:
    settings = running.small.settings
    browser = running.signed_in()
    with lock_held(lock_file(trail_file(settings.data_dir, settings.app_name))), LoopWatch() as watch:
        assert browser.post("/sign-out", {}).status == 204
    assert watch.longest < MOST_SECONDS
