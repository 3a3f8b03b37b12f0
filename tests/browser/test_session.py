"""Sessions in a browser: how one begins, warns before it ends, and continues after a sign-in on the open page."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from common.access.accounts import People
from common.access.file import AccessFile, access_file
from common.access.passwords import password_hash
from common.access.roles import Role
from tests.browser.conftest import OpenPage
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.waiting import wait_until

ADA = "Ada <img src=x onerror=alert(1)>"
PASSWORD = "correct horse battery staple"
LINK_OF_ADA = "a-link-of-ada-with-more-than-thirty-two-characters"
SECONDS_LEFT = "fetch('/api/session').then((answer) => answer.json()).then((session) => session.seconds_left)"
OPERATOR = f"/sign-in#token={TOKENS['OPERATOR_TOKEN']}"


class App:
    """A running app, its people and its sessions."""

    def __init__(self, process: Process, path: Path) -> None:
        self.url = process.url
        self._path = path

    def change_sessions(self, statement: str) -> int:
        with closing(sqlite3.connect(self._path, timeout=20)) as connection, connection:
            return connection.execute(statement).rowcount

    def end_sessions(self) -> None:
        assert self.change_sessions("DELETE FROM sessions")


@contextmanager
def started(folder: str, own: Path, model_dir: Path) -> Iterator[App]:
    """Start the server or a client app, where Ada has a password and a link."""
    processes: list[Process] = []
    environment = environment_of(own, model_dir, "eventlet") | {"CLIENT_ID": "Client-1"}
    name, role = ("server", Role.OPERATOR) if folder == "server" else ("client-1", Role.CLINICIAN)
    path = access_file(Path(environment["DATA_DIR"]), name)
    people = People(AccessFile(path))
    people.set_password(people.add(ADA, role, LINK_OF_ADA, 0), password_hash(PASSWORD, ADA))
    run(processes, environment, folder).wait_until_started()
    yield App(processes[-1], path)
    end_all(processes)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[App]:
    with started("server", tmp_path_factory.mktemp("server"), detector_dir) as app:
        yield app


@pytest.fixture
def server(running: App) -> App:
    """A server where nobody is signed in."""
    running.change_sessions("DELETE FROM sessions")
    return running


@pytest.fixture
def client(tmp_path: Path, detector_dir: Path) -> Iterator[App]:
    with started("client", tmp_path, detector_dir) as app:
        yield app


def dialog_of(page: Page) -> Page:
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()
    return page


def sign_in_as_ada(page: Page) -> None:
    page.get_by_label("Name").fill(ADA)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_clinician_signs_in_again_on_the_page_and_keeps_the_form(client: App, open_page: OpenPage) -> None:
    page = open_page(f"{client.url}/sign-in")
    sign_in_as_ada(page)
    reference = page.get_by_label("Patient reference")
    expect(reference).to_be_focused()
    page.get_by_role("button", name="Load Sample Patient Data").click()
    reference.click()
    page.keyboard.type("half typed")
    client.end_sessions()
    dialog_of(page)
    expect(page.get_by_label("Name")).to_have_value(ADA)
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_label("Password").press_sequentially("wrong")  # it opens again: keys that come first are the form's
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Wrong name or password.")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(reference).to_be_focused()
    page.keyboard.type(" and finished")
    page.keyboard.press("Enter")
    expect(page.locator("#history-list li", has_text="half typed and finished")).to_contain_text("Queued")
    reference.fill("sent at the end")
    client.end_sessions()
    page.keyboard.press("Enter")  # before the page has heard of it, or the app has
    dialog_of(page).keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#history-list li", has_text="sent at the end")).to_contain_text("Queued")
    page.get_by_role("button", name="Sign out").click()  # with the token of the session that is now
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.full
def test_a_link_in_another_tab_brings_the_dashboard_back_and_somebody_else_gets_their_own(
    server: App, open_page: OpenPage
) -> None:
    page = open_page(f"{server.url}{OPERATOR}")
    expect(page.locator("#live-state")).to_contain_text("Live")
    expect(page.locator("#main")).to_be_focused()
    page.evaluate("window.isTheSamePage = true")
    server.end_sessions()
    dialog_of(page)
    expect(page.get_by_label("Password")).to_have_count(0)  # the built-in account has none
    expect(page.get_by_label("Sign-in link or token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("not valid")
    page.get_by_role("button", name="I have signed in in another tab").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Nobody has signed in in another tab yet.")
    page.context.new_page().goto(f"{server.url}{OPERATOR}")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#live-state")).to_contain_text("Live")
    assert page.evaluate("window.isTheSamePage") is True
    server.end_sessions()
    dialog_of(page).keyboard.type(LINK_OF_ADA)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_have_attribute("title", re.compile("Ada"))
    expect(page.locator("#live-state")).to_contain_text("Live")
    assert page.evaluate("window.isTheSamePage") is None


@pytest.mark.full
def test_the_end_of_a_session_is_told_ahead(server: App, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/sign-in")
    sign_in_as_ada(page)
    for change, why in (
        ("UPDATE sessions SET ends_at = unixepoch() + 120", "reaches its time limit in 2 minutes"),
        ("UPDATE sessions SET last_active_at = unixepoch() + 120 - 3600", "Nobody has used this page for a while"),
    ):
        expect(page.locator("#live-state")).to_contain_text("Live")
        assert server.change_sessions(change)
        wait_until(lambda: page.evaluate(SECONDS_LEFT) <= 120)  # the app has read it
        page.evaluate("import('/ui/session.js').then(({ checkSession }) => checkSession())")
        banner = page.locator("#session-banner")
        expect(banner).to_contain_text(why)
        early = banner.get_by_role("button", name="Sign in again")
        early.press("Enter")
        dialog_of(page).keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(early).to_be_focused()
        page.keyboard.press("Enter")
        dialog_of(page).keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(banner).to_be_hidden()


def test_an_administrator_sees_who_is_signed_in_and_ends_it(server: App, open_page: OpenPage) -> None:
    operator = open_page(f"{server.url}/sign-in")
    sign_in_as_ada(operator)
    expect(operator.locator("#live-state")).to_contain_text("Live")
    administrator = open_page(f"{server.url}/sign-in#token={TOKENS['ADMINISTRATOR_TOKEN']}")
    administrator.get_by_role("link", name="Sessions").click()
    row = administrator.get_by_role("row").filter(has_text=ADA)
    expect(row).to_contain_text("operator")
    assert administrator.locator("img[src=x]").count() == 0
    row.get_by_role("button", name=f"End the session of {ADA}").click()
    expect(row).to_have_count(0)
    expect(dialog_of(operator).get_by_role("dialog")).to_contain_text("This session was ended.")
    administrator.get_by_role("row").filter(has_text="this one").get_by_role("button").click()
    expect(administrator.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
