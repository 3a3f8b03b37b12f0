"""The pages behind a real nginx with TLS on another port than 443: with websockets, by polling, and set up wrong."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from common.web.proxy_advice import UNDER_A_PATH, WITHOUT_PORT
from tests.browser.conftest import OpenPage
from tests.support.made_requests import request
from tests.support.nginx import BELOW_HEART, NO_PORT, NO_UPGRADE, Edits, nginx
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.speaking import ClientApp

StartBehind = Callable[[Edits], tuple[str, Process]]


@pytest.fixture
def start_behind(tmp_path: Path, detector_dir: Path) -> Iterator[StartBehind]:
    """Start a server as a person would, behind the shipped configuration with edits; returns where people go."""
    processes: list[Process] = []
    with ExitStack() as ending:

        def start(edits: Edits) -> tuple[str, Process]:
            environment = environment_of(tmp_path, detector_dir, "eventlet")
            front = ending.enter_context(nginx(tmp_path, f"http://127.0.0.1:{environment['PORT']}", edits))
            process = run(processes, environment | {"TRUSTED_PROXIES": "1", "PUBLIC_URL": front.url})
            process.wait_until_started()
            return front.url, process

        ending.callback(end_all, processes)
        yield start


@pytest.mark.parametrize("edits", [{}, NO_UPGRADE], ids=["websocket", "polling"])
def test_a_link_signs_in_and_a_prediction_shows_on_the_dashboard(
    start_behind: StartBehind, open_page: OpenPage, edits: Edits
) -> None:
    url, process = start_behind(edits)
    page = open_page(f"{url}/sign-in#token={TOKENS['OPERATOR_TOKEN']}", ignore_https_errors=True)
    expect(page.locator("#live-state")).to_contain_text("Live")
    assert page.url == f"{url}/"
    client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
    client.predict(request(1).to_wire() | {"patient_reference": "seen over TLS"})
    expect(page.locator("#prediction-rows tr", has_text="seen over TLS")).to_have_count(1)
    client.close()


def test_a_dropped_port_is_told_where_the_person_signs_in(start_behind: StartBehind, open_page: OpenPage) -> None:
    url, process = start_behind(NO_PORT)
    page = open_page(f"{url}/sign-in#token={TOKENS['OPERATOR_TOKEN']}", ignore_https_errors=True)
    expect(page.get_by_role("alert").last).to_contain_text(WITHOUT_PORT.format(header="Host"))
    process.end()
    assert process.text.count(WITHOUT_PORT.format(header="Host")) == 1


def test_a_page_under_a_path_says_that_it_cannot_be_there(start_behind: StartBehind, open_page: OpenPage) -> None:
    url, _ = start_behind(BELOW_HEART)
    page = open_page(f"{url}/heart/sign-in", ignore_https_errors=True)
    expect(page.locator("body")).to_contain_text(UNDER_A_PATH)
