"""The model cards over HTTP: for operators and client apps alone, of each version that can be believed."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.rendered_card import RenderedCard
from server.registry import activation
from server.registry.artifact import CALIBRATION_FILE, CARD_FILE, FOREST_FILE, MANIFEST_FILE, PREPROCESSOR_FILE
from server.registry.model_card import ModelCard
from server.registry.versions import VERSIONS_FOLDER
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.model_versions import flip_a_byte, save_version
from tests.support.patients import real_patients, small_training
from tests.support.speaking import Browser

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"
UNKNOWN = "20260101T000000Z-0123456789ab"


@pytest.fixture
def folder(model_folder: Path) -> Path:
    """A folder with two versions; the first is active."""
    return model_folder


@pytest.fixture
def running(start_server: StartServer, folder: Path) -> RunningServer:
    return start_server(model_dir=folder)


def card_in(folder: Path) -> ModelCard:
    return ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())


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


def test_the_card_is_for_those_who_signed_in_or_show_a_client_apps_token(running: RunningServer) -> None:
    stranger = Browser(running.url)
    for path in ("/model", f"/model/{UNKNOWN}"):
        page = stranger.get(path, Accept=PAGE)
        assert (page.status, page.headers["Location"]) == (302, "/sign-in")
    for path in ("/api/model", f"/api/model/{UNKNOWN}", "/api/model/page", f"/api/model/{UNKNOWN}/page"):
        assert stranger.get(path).status == 401
        assert stranger.get(path, Authorization="Bearer wrong").status == 401
    assert stranger.get("/api/model", Authorization=f"Bearer {running.token()}").status == 200
    assert stranger.get("/model", Authorization=f"Bearer {running.token()}").status == 401


def test_the_json_is_the_card_that_the_training_wrote(signed_in: Browser, folder: Path) -> None:
    written = card_in(folder)
    answer = signed_in.get("/api/model")
    assert ModelCard.model_validate_json(answer.body) == written
    assert signed_in.get(f"/api/model/{written.version}").json == answer.json


def test_a_client_app_gets_the_sections_of_the_operators_page(
    running: RunningServer, signed_in: Browser, folder: Path, other_detector_dir: Path
) -> None:
    active, other = card_in(folder), card_in(other_detector_dir)
    client_app, with_token = Browser(running.url), {"Authorization": f"Bearer {running.token()}"}
    for path, version in (("", active.version), (f"/{other.version}", other.version)):
        body = client_app.get(f"/api/model{path}/page", **with_token).body
        card = RenderedCard.model_validate_json(body)
        assert (card.version, card.active) == (version, active.version)
        sections = card.html[card.html.index('id="use"') : card.html.index("<h3>References")]
        assert sections in page_of(signed_in, version)
        assert "This card as JSON" not in card.html
        assert 'id="versions"' not in card.html
    assert client_app.get(f"/api/model/{UNKNOWN}/page", **with_token).status == 404


def test_a_stored_version_has_its_card_and_is_said_not_to_be_active(
    signed_in: Browser, folder: Path, other_detector_dir: Path
) -> None:
    active, other = card_in(folder), card_in(other_detector_dir)
    assert ModelCard.model_validate_json(signed_in.get(f"/api/model/{other.version}").body) == other
    page = page_of(signed_in, other.version)
    assert "not the active version" in page
    assert f'href="/model/{active.version}"' in page
    for path in ("", f"/{active.version}"):
        page = signed_in.get(f"/model{path}", Accept=PAGE).body.decode()
        assert "not the active version" not in page
        assert f'href="/model/{other.version}"' in page


def test_an_activation_changes_which_card_is_the_active_one(
    signed_in: Browser, running: RunningServer, folder: Path, other_detector_dir: Path
) -> None:
    before, after = card_in(folder).version, card_in(other_detector_dir).version
    activation.activate(folder, after)
    assert running.server.service.model.look()
    assert signed_in.get("/api/model").json["model_details"]["version"] == after
    assert "not the active version" in page_of(signed_in, before)


def test_the_active_versions_card_is_there_though_its_stored_files_are_gone(signed_in: Browser, folder: Path) -> None:
    active = card_in(folder).version
    shutil.rmtree(folder / VERSIONS_FOLDER)
    assert "Model card" in page_of(signed_in, active)


@pytest.mark.parametrize(
    "name",
    [
        UNKNOWN,
        "nothing",
        "..",
        "%2e%2e",
        f"..%2f{VERSIONS_FOLDER}%2f{UNKNOWN}",
        "..%5c..",
        "%00",
        "%0a",
        f"{UNKNOWN}%0a",
        "x" * 2000,
        "<script>alert(1)</script>",
    ],
)
def test_a_name_that_is_no_versions_leads_nowhere(signed_in: Browser, name: str) -> None:
    for path in (f"/api/model/{name}", f"/model/{name}"):
        answer = signed_in.get(path)
        assert (answer.status, answer.error["code"]) == (404, "not_found")
        assert b"script" not in answer.body


def test_a_card_needs_no_other_file_than_the_manifest(
    signed_in: Browser, folder: Path, other_detector_dir: Path
) -> None:
    other = card_in(other_detector_dir)
    for name in (FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE, CARD_FILE):
        (folder / VERSIONS_FOLDER / other.version / name).unlink()
    assert ModelCard.model_validate_json(signed_in.get(f"/api/model/{other.version}").body) == other


def test_a_version_with_a_damaged_manifest_is_not_shown(
    signed_in: Browser, folder: Path, other_detector_dir: Path
) -> None:
    other = card_in(other_detector_dir).version
    flip_a_byte(folder / VERSIONS_FOLDER / other / MANIFEST_FILE)
    said = said_of_missing(signed_in, other)
    assert other in said
    assert "damaged" in said
    assert str(folder) not in said


def test_a_version_in_anothers_folder_is_not_shown(signed_in: Browser, folder: Path, detector_dir: Path) -> None:
    stored = folder / VERSIONS_FOLDER
    shutil.copytree(stored / card_in(detector_dir).version, stored / UNKNOWN)
    assert "nothing of it is shown" in said_of_missing(signed_in, UNKNOWN)


def test_where_there_is_a_key_an_unsigned_version_is_not_shown(
    start_server: StartServer, tmp_path: Path, other_detector_dir: Path
) -> None:
    key = SecretStr("k" * 32)
    signing = small_training().model_copy(update={"signing_key": key})
    signed = save_version(real_patients(), signing, tmp_path / "signed", made_at=datetime(2026, 3, 4, tzinfo=UTC))
    shutil.copytree(other_detector_dir / VERSIONS_FOLDER, signed / VERSIONS_FOLDER, dirs_exist_ok=True)
    server = start_server(model_dir=signed, model_signing_key=key)
    browser = Browser(server.url)
    browser.sign_in(server.operator_token)
    assert browser.get("/api/model").json["model_details"]["signature"] == "verified"
    assert "not signed" in said_of_missing(browser, card_in(other_detector_dir).version)


def test_every_file_that_the_page_names_is_there(signed_in: Browser) -> None:
    named = re.findall(rb'(?:src|href)="(/(?:ui|api)/[^"]+)"', signed_in.get("/model", Accept=PAGE).body)
    assert named
    for name in named:
        assert signed_in.get(name.decode()).status == 200, name
