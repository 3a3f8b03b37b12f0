"""Signing in with a name and password, and the administrators' page of sessions, in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from common.access.accounts import People
from common.access.file import AccessFile, access_file
from common.access.passwords import password_hash
from common.access.roles import Role
from tests.browser.conftest import OpenPage
from tests.support.processes import TOKENS, Process, end_all, environment_of, run

MARKUP = "Ada <img src=x onerror=alert(1)>"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def process(tmp_path: Path, detector_dir: Path) -> Iterator[Process]:
    """A server with an operator who has a password and whose name is markup."""
    environment = environment_of(tmp_path, detector_dir, "threading")
    people = People(AccessFile(access_file(Path(environment["DATA_DIR"]), "server")))
    people.set_password(people.add(MARKUP, Role.OPERATOR, "her token", 0), password_hash(PASSWORD, "Ada"))
    processes: list[Process] = []
    process = run(processes, environment)
    process.wait_until_started()
    yield process
    end_all(processes)


def test_a_wrong_password_is_told_and_the_right_one_opens_the_dashboard(process: Process, open_page: OpenPage) -> None:
    page = open_page(f"{process.url}/sign-in")
    page.get_by_label("Name").fill(MARKUP)
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#live-state")).to_contain_text("Live")
    expect(page.get_by_role("link", name="Sessions")).to_have_count(0)


def test_what_is_missing_is_asked_for(process: Process, open_page: OpenPage) -> None:
    page = open_page(f"{process.url}/sign-in")
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("enter your name")
    page.get_by_role("button", name="Sign in with the link").click()
    expect(page.get_by_role("alert").last).to_contain_text("paste the link")


def test_an_administrator_sees_who_is_signed_in_and_ends_it(process: Process, open_page: OpenPage) -> None:
    operator = open_page(f"{process.url}/sign-in")
    operator.get_by_label("Name").fill(MARKUP)
    operator.get_by_label("Password").fill(PASSWORD)
    operator.keyboard.press("Enter")
    expect(operator.locator("#live-state")).to_contain_text("Live")
    administrator = open_page(f"{process.url}/sign-in#token={TOKENS['ADMINISTRATOR_TOKEN']}")
    administrator.get_by_role("link", name="Sessions").click()
    row = administrator.get_by_role("row").filter(has_text=MARKUP)
    expect(row).to_contain_text("operator")
    assert administrator.locator("img[src=x]").count() == 0
    row.get_by_role("button", name=f"End the session of {MARKUP}").click()
    expect(row).to_have_count(0)
    expect(operator.get_by_role("heading", name="Sign in")).to_be_visible()
    own = administrator.get_by_role("row").filter(has_text="this one")
    own.get_by_role("button").click()
    expect(administrator.get_by_role("heading", name="Sign in")).to_be_visible()
