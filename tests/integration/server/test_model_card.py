"""The model cards over HTTP: for operators and client apps alone, of each version that can be believed."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.rendered_card import RenderedCard
from server.registry import versions
from server.registry.artifact import CARD_FILE, MANIFEST_FILE, VERSIONS_FOLDER, active_folder
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.model_versions import flip_a_byte
from tests.support.speaking import Browser
from tests.support.tampering import sign

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"
UNKNOWN = "20260101T000000Z-0123456789ab"


@pytest.fixture
def running(start_server: StartServer, model_folder: Path) -> RunningServer:
    """A server with two versions; the first is active."""
    return start_server(model_dir=model_folder)


@pytest.fixture
def active(detector_dir: Path) -> str:
    """The name of the active version."""
    return active_folder(detector_dir).name


@pytest.fixture
def other(other_detector_dir: Path) -> str:
    return active_folder(other_detector_dir).name


def page_of(browser: Browser, version: str) -> str:
    answer = browser.get(f"/model/{version}", Accept=PAGE)
    assert answer.status == 200
    return answer.body.decode()


def said_of_missing(browser: Browser, version: str) -> str:
    answer = browser.get(f"/api/model/{version}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    page = browser.get(f"/model/{version}", Accept=PAGE)
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    return str(answer.error["message"])


def test_a_client_app_gets_the_sections_of_the_operators_page(
    running: RunningServer, signed_in: Browser, active: str, other: str
) -> None:
    client_app, with_token = Browser(running.url), {"Authorization": f"Bearer {running.token()}"}
    for path, version in (("", active), (f"/{other}", other)):
        card = RenderedCard.model_validate_json(client_app.get(f"/api/model{path}/page", **with_token).body)
        assert (card.version, card.active) == (version, active)
        sections = card.html[card.html.index('id="use"') : card.html.index("<h3>References")]
        assert sections in page_of(signed_in, version)
        assert "This card as JSON" not in card.html
        assert 'id="versions"' not in card.html
    assert client_app.get(f"/api/model/{UNKNOWN}/page", **with_token).status == 404


def test_each_version_has_its_card_and_an_activation_changes_which_is_the_active_one(
    signed_in: Browser, running: RunningServer, model_folder: Path, active: str, other: str
) -> None:
    for path, version in (("", active), (f"/{active}", active), (f"/{other}", other)):
        written = json.loads((model_folder / VERSIONS_FOLDER / version / CARD_FILE).read_bytes())
        assert signed_in.get(f"/api/model{path}").json == written
        page = signed_in.get(f"/model{path}", Accept=PAGE).body.decode()
        assert ("not the active version" in page) == (version == other)
        assert active in page
        assert other in page
    versions.activate(model_folder, other)
    assert running.server.service.model.look()
    assert signed_in.get("/api/model").json["model_details"]["version"] == other
    assert "not the active version" in page_of(signed_in, active)


def test_the_active_versions_card_is_there_though_its_stored_files_are_gone(
    signed_in: Browser, model_folder: Path, active: str
) -> None:
    shutil.rmtree(model_folder / VERSIONS_FOLDER)
    named = re.findall(r'(?:src|href)="(/(?:ui|api)/[^"]+)"', page_of(signed_in, active))
    assert named
    assert {name: signed_in.get(name).status for name in named} == dict.fromkeys(named, 200)


def test_a_version_whose_manifest_is_damaged_or_anothers_is_not_shown(
    signed_in: Browser, model_folder: Path, active: str, other: str
) -> None:
    stored = model_folder / VERSIONS_FOLDER
    flip_a_byte(stored / other / MANIFEST_FILE)
    shutil.copytree(stored / active, stored / UNKNOWN)
    for version in (other, UNKNOWN):
        said = said_of_missing(signed_in, version)
        assert f"{version} is stored here but cannot be used" in said
        assert str(model_folder) not in said


def test_where_there_is_a_key_an_unsigned_version_is_not_shown(
    start_server: StartServer, model_folder: Path, other: str
) -> None:
    key = SecretStr("k" * 32)
    sign(model_folder, key)
    server = start_server(model_dir=model_folder, model_signing_key=key)
    browser = server.signed_in()
    assert browser.get("/api/model").json["model_details"]["signature"] == "verified"
    assert "cannot be used" in said_of_missing(browser, other)
