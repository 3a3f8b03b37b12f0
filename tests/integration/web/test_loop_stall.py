"""Nothing that another program holds stops the event loop for long."""

import pytest

from common.access.file import access_file
from tests.integration.web.conftest import Running
from tests.support.raw_socket import RawSocket
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser
from tests.support.stalls import MOST_WAITS, LoopWatch, database_held

pytestmark = pytest.mark.skipif(ASYNC_MODE != "eventlet", reason="threads do not wait for each other")


def test_the_file_of_the_accounts_may_be_held(running: Running) -> None:
    settings, stranger = running.small.settings, Browser(running.url)
    browser, leaving = running.signed_in(), running.signed_in()
    copied = leaving.cookie
    tokens = [each.csrf_token() for each in (stranger, browser, leaving)]
    given = {"token": settings.secrets.operator_token}
    with database_held(access_file(settings.data_dir, settings.app_name)) as held, LoopWatch() as watch:
        assert stranger.post("/sign-in", given, X_CSRFToken=tokens[0]).status == 503
        assert browser.post("/activity", {}, X_CSRFToken=tokens[1]).status == 204  # who is signed in stays so
        assert leaving.post("/sign-out", {}, X_CSRFToken=tokens[2]).status == 503
    assert 0.1 < watch.longest < MOST_WAITS * held.one_wait  # it was in the way
    assert stranger.post("/sign-in", given, X_CSRFToken=tokens[0]).status == 204
    with RawSocket(running.url, cookie=copied) as page:
        assert page.status == 401
