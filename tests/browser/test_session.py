"""Sessions in a browser: how one begins, warns before it ends, and continues after a sign-in on the open page."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import ADA, ADMINISTRATOR, LEVEL, LINK_OF_ADA, PASSWORD, App, OpenPage, entry

CLOSED = "void (window.whenClosed = new Promise((end) => document.querySelector('#sign-in-again').onclose = end))"


def dialog_of(page: Page) -> Page:
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()
    return page


def sign_in_as_ada(page: Page) -> None:
    expect(page.get_by_label("Name")).to_be_focused()  # by the page's script, which hears nothing before
    page.get_by_label("Name").fill(ADA)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_clinician_signs_in_again_on_the_page_and_keeps_the_form(client: App, open_page: OpenPage) -> None:
    page = open_page(f"{client.url}/sign-in")
    sign_in_as_ada(page)
    reference = page.get_by_label("Patient reference")
    expect(reference).to_be_focused()
    page.get_by_role("button", name="Clear").click()  # of an earlier draft
    page.get_by_role("button", name="Load Sample Patient Data").click()
    reference.click()
    page.keyboard.type("half typed")
    client.end_sessions()
    dialog_of(page)
    expect(page.get_by_label("Name")).to_have_value(ADA)
    expect(page.get_by_label("Password")).to_be_focused()
    page.evaluate(CLOSED)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.evaluate("window.whenClosed")  # and opened again: keys that come first are the form's
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Wrong name or password.")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(reference).to_be_focused()
    page.keyboard.type(" and finished")
    page.keyboard.press("Enter")
    expect(entry(page, "half typed and finished")).to_contain_text(LEVEL)
    reference.fill("sent at the end")
    page.locator("#field-age").fill("88")  # other values, so that the earlier entry is not asked about
    reference.focus()
    client.end_sessions()
    page.keyboard.press("Enter")  # before the page has heard of it, or the app has
    dialog_of(page).keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(entry(page, "sent at the end")).to_contain_text(LEVEL)
    page.get_by_role("button", name="Sign out").click()  # with the token of the session that is now
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.full
def test_a_link_in_another_tab_brings_the_dashboard_back_and_somebody_else_gets_their_own(
    server: App, open_page: OpenPage
) -> None:
    page = open_page(server.link)
    expect(page.locator("#live-state")).to_contain_text("Live")
    page.evaluate("window.isTheSamePage = true")
    server.end_sessions()
    dialog_of(page)
    expect(page.get_by_label("Password")).to_have_count(0)  # the built-in account has none
    expect(page.get_by_label("Sign-in link or token")).to_be_focused()
    with page.expect_response("**/api/status"):  # as every minute; a stranger is told less
        page.evaluate("import('/static/server_facts.js').then(({ loadFacts }) => loadFacts())")
    page.context.new_page().goto(server.link)
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#live-state")).to_contain_text("Live")
    assert page.evaluate("window.isTheSamePage") is True
    server.end_sessions()
    dialog_of(page).keyboard.type(LINK_OF_ADA)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_have_attribute("title", re.compile("Ada"))
    expect(page.locator("#live-state")).to_contain_text("Live")
    assert page.evaluate("window.isTheSamePage") is None


def ends_soon(route: Route) -> None:
    """Answer as the app does two minutes before the end."""
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"seconds_left": 120, "is_idle": False})


@pytest.mark.full
def test_the_end_of_a_session_is_told_ahead(server: App, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/sign-in")
    sign_in_as_ada(page)
    expect(page.locator("#live-state")).to_contain_text("Live")
    page.route("**/api/session", ends_soon)
    page.evaluate("import('/ui/session.js').then(({ checkSession }) => checkSession())")
    banner = page.locator("#session-banner")
    expect(banner).to_contain_text("reaches its time limit in 2 minutes")
    banner.get_by_role("button", name="Sign in again").press("Enter")
    dialog_of(page).keyboard.type(PASSWORD)
    page.unroute("**/api/session")
    page.keyboard.press("Enter")
    expect(banner).to_be_hidden()


def test_an_administrator_sees_who_is_signed_in_and_ends_it(server: App, open_page: OpenPage) -> None:
    server.end_sessions()
    operator = open_page(f"{server.url}/sign-in")
    sign_in_as_ada(operator)
    expect(operator.locator("#live-state")).to_contain_text("Live")
    administrator = open_page(f"{server.url}/sign-in#token={ADMINISTRATOR}")
    administrator.get_by_role("link", name="Sessions").click()
    row = administrator.get_by_role("row").filter(has_text=ADA)
    expect(row).to_contain_text("operator")
    assert administrator.locator("img[src=x]").count() == 0
    row.get_by_role("button", name=f"End the session of {ADA}").click()
    expect(row).to_have_count(0)
    expect(dialog_of(operator).get_by_role("dialog")).to_contain_text("This session was ended.")
    administrator.get_by_role("row").filter(has_text="this one").get_by_role("button").click()
    expect(administrator.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
