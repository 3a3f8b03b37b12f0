"""The model card at a client app: from the server while it is there, as it was kept while it is away."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from client.card_cache import ModelCards
from client.outbox import Outbox
from common.errors import InvalidModelCardError
from common.rendered_card import RenderedCard
from tests.integration.client.conftest import MakeSettings
from tests.support.desk import Desk
from tests.support.programmable_server import ProgrammableServer
from tests.support.waiting import WAIT_SECONDS

OK, MISSING, FAILED = "200 OK", "404 NOT FOUND", "500 INTERNAL SERVER ERROR"
ACTIVE = "20260304T050607Z-0123456789ab"
UNKNOWN = "20260101T000000Z-0123456789ab"


def rendered(version: str, text: str) -> RenderedCard:
    """A card that the server renders while another version, or this one, is active."""
    card = RenderedCard(version=ACTIVE, active=ACTIVE, name="Detector", tags={"not signed": ""}, html=f"<p>{text}</p>")
    return card.model_copy(update={"version": version})


@pytest.fixture
def card() -> RenderedCard:
    return rendered(ACTIVE, "An anomaly detector")


@pytest.fixture
def other() -> RenderedCard:
    return rendered("20260102T030405Z-ba9876543210", "An earlier detector")


@pytest.fixture
def desk(make_settings: MakeSettings, outbox: Outbox) -> Desk:
    return Desk(make_settings(), outbox)


@pytest.fixture
def serving(server: ProgrammableServer, card: RenderedCard) -> ProgrammableServer:
    """A server whose active version is that of the first card."""
    answer(server, card.version, OK, wire(card))
    server.start()
    return server


def answer(server: ProgrammableServer, version: str, status: str, body: bytes) -> None:
    """Answer so whoever asks for this version, and for the active one."""
    server.pages["/api/model/page"] = server.pages[f"/api/model/{version}/page"] = (status, body)


def wire(card: RenderedCard) -> bytes:
    return card.model_dump_json().encode()


def text_at(browser: FlaskClient, path: str, status: int = 200) -> str:
    page = browser.get(path, headers={"Accept": "text/html"})
    assert page.status_code == status
    return page.get_data(as_text=True)


def error_at(browser: FlaskClient, path: str) -> tuple[int, str]:
    said = browser.get(path)
    return said.status_code, said.get_json()["error"]["code"]


def test_the_card_comes_from_the_server_with_one_question(
    desk: Desk, serving: ProgrammableServer, card: RenderedCard, other: RenderedCard
) -> None:
    page = text_at(desk.clinician(), f"/model/{card.version}")
    assert card.html in page
    assert "active: it scores patients now" in page
    token = f"Bearer {desk.settings.secrets.token}"
    assert serving.asked == [{"path": f"/api/model/{card.version}/page", "authorization": token}]
    assert "active: it scores patients now" in text_at(desk.clinician(), "/model")
    serving.pages[f"/api/model/{other.version}/page"] = (OK, wire(other))
    page = text_at(desk.clinician(), f"/model/{other.version}")
    assert "not the active version" in page
    assert f'href="/model/{card.version}"' in page


def test_a_card_that_was_open_once_is_there_while_the_server_is_away(
    desk: Desk, serving: ProgrammableServer, card: RenderedCard
) -> None:
    for text in ("as first written", "as corrected"):
        answer(serving, card.version, OK, wire(card.model_copy(update={"html": text})))
        text_at(desk.clinician(), f"/model/{card.version}")
    answer(serving, card.version, FAILED, b"{}")
    assert "with status 500" in text_at(desk.clinician(), f"/model/{card.version}")
    serving.stop()
    page = text_at(desk.clinician(), f"/model/{card.version}")
    for said in ("as corrected", "The server cannot be reached", "This is the copy kept here"):
        assert said in page
    assert "active: it scores" not in page


def test_a_version_that_the_server_no_longer_vouches_for_is_not_shown_from_the_copy(
    desk: Desk, serving: ProgrammableServer, other: RenderedCard
) -> None:
    serving.pages[f"/api/model/{other.version}/page"] = (OK, wire(other))
    text_at(desk.clinician(), f"/model/{other.version}")
    serving.pages[f"/api/model/{other.version}/page"] = (MISSING, b"{}")
    assert error_at(desk.clinician(), f"/model/{other.version}") == (404, "not_found")


def test_without_a_copy_and_without_the_server_the_page_says_what_to_do(desk: Desk, card: RenderedCard) -> None:
    browser = desk.clinician()
    for path in ("/model", f"/model/{card.version}"):
        assert error_at(browser, path) == (503, "server_unreachable")
    page = text_at(browser, f"/model/{card.version}", 503)
    assert "no copy of the model card. Open it again later." in page


def test_a_name_that_is_no_versions_is_asked_of_nobody(desk: Desk, serving: ProgrammableServer) -> None:
    for name in ("nothing", "..", "..%2f..", "%00", f"{UNKNOWN}%0a", "x" * 500):
        assert error_at(desk.clinician(), f"/model/{name}") == (404, "not_found")
    assert serving.asked == []


@pytest.mark.parametrize("body", [b"[]", wire(rendered("../escaped", "A detector"))])
def test_what_is_not_the_wanted_card_is_named_so_and_not_kept(
    desk: Desk, serving: ProgrammableServer, card: RenderedCard, body: bytes
) -> None:
    answer(serving, card.version, OK, body)
    browser = desk.clinician()
    assert error_at(browser, f"/model/{card.version}") == (502, "invalid_model_card")
    assert "Update the older one" in text_at(browser, f"/model/{card.version}", 502)


def test_the_connection_of_an_answer_that_was_cut_off_is_closed_at_once() -> None:
    """Even while somebody keeps the error, whose traceback holds the answer."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as clinician:
        cards = ModelCards(f"http://127.0.0.1:{server.getsockname()[1]}", "a-token")
        asked = clinician.submit(cards.of, None)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(WAIT_SECONDS)
            assert connection.recv(65536)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert isinstance(asked.exception(WAIT_SECONDS), InvalidModelCardError)
            assert connection.recv(1) == b""
