"""The pages behind a real nginx with TLS on another port than 443."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.made_requests import request
from tests.support.nginx import nginx
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.speaking import ClientApp


@pytest.mark.full
def test_a_link_signs_in_and_a_prediction_shows_on_the_dashboard(
    tmp_path: Path, detector_dir: Path, open_page: OpenPage
) -> None:
    environment, started = environment_of(tmp_path, detector_dir, "eventlet"), list[Process]()
    with ExitStack() as ending, nginx(tmp_path, f"http://127.0.0.1:{environment['PORT']}", {}) as front:
        ending.callback(end_all, started)
        process = run(started, environment | {"TRUSTED_PROXIES": "1", "PUBLIC_URL": front.url})
        process.wait_until_started()
        page = open_page(f"{front.url}/sign-in#token={TOKENS['OPERATOR_TOKEN']}", ignore_https_errors=True)
        expect(page.locator("#live-state")).to_contain_text("Live")
        assert page.url == f"{front.url}/"
        client = ClientApp(process.url, TOKENS["CLIENT_1_TOKEN"])
        client.predict(request(1).to_wire() | {"patient_reference": "seen over TLS"})
        expect(page.locator("#prediction-rows tr", has_text="seen over TLS")).to_have_count(1)
        client.close()
