"""The same patient twice, a correction, and a withdrawal, as clinicians and operators see them."""

import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LEVEL, LONG_MS, analyze_sample, entry, row
from tests.system.conftest import Installation

STRUCK = re.compile("line-through")


@pytest.fixture
def asked(clinic: Page) -> Page:
    """A page at which nobody answers the question for the test."""
    clinic.remove_locator_handler(clinic.locator("#duplicate"))
    return clinic


def test_the_same_patient_is_asked_about_and_corrected_and_everybody_sees_it(asked: Page, dashboard: Page) -> None:
    analyze, question = asked.locator("#analyze"), asked.locator("#duplicate")
    analyze_sample(asked, "twice")
    expect(entry(asked, "twice")).to_contain_text(LEVEL)
    expect(row(dashboard, "twice")).to_have_count(1)
    expect(dashboard.locator("#total-predictions")).not_to_have_text("0")  # drawn after the rows
    total = dashboard.locator("#total-predictions").inner_text()
    asked.locator("#field-age").fill("88")  # an age that no sample patient has

    # Esc leads back, and nothing is lost; Enter opens the earlier entry.
    analyze.press("Enter")
    expect(question).to_contain_text("“twice” was entered with other values at")
    expect(question.get_by_role("button").first).to_be_focused()
    asked.keyboard.press("Escape")
    expect(analyze).to_be_focused()
    expect(asked.locator("#field-age")).to_have_value("88")
    analyze.press("Enter")
    expect(question).to_be_visible()
    asked.keyboard.press("Enter")
    expect(question).to_be_hidden()
    expect(asked.locator("#result-stale")).to_contain_text("The form has changed since")
    expect(entry(asked, "twice")).to_have_count(1)

    # Corrected from the question: the old one is struck through everywhere and not counted.
    analyze.press("Enter")
    question.get_by_role("button", name="Correct the earlier entry").click()
    expect(asked.locator("#history-list li.is-superseded", has_text="twice")).to_contain_text("corrected")
    asked.locator("#result-corrected").get_by_role("button", name="Open it").click()
    expect(asked.locator("#result-corrected")).to_contain_text("Corrected at")
    expect(asked.locator("#correct")).to_be_hidden()
    expect(asked.locator("#prediction .verdict-level")).to_have_css("text-decoration-line", STRUCK)
    old = dashboard.locator("#prediction-rows tr.is-superseded", has_text="twice")
    expect(old.locator(".level")).to_have_css("text-decoration-line", STRUCK)
    expect(dashboard.locator("#total-predictions")).to_have_text(total)
    old.get_by_role("button").click()
    expect(dashboard.locator("#detail-corrected")).to_contain_text("Not counted")
    dashboard.get_by_role("button", name="Open the correction").click()
    expect(dashboard.locator("#detail-corrected")).to_be_hidden()

    # Corrected from the result: the form says so until it is cleared, canceled or sent.
    asked.locator("#history-list li:not(.is-superseded)", has_text="twice").get_by_role("button").click()
    for leave in ("Clear", "Cancel the correction"):
        asked.get_by_role("button", name="Correct", exact=True).click()
        expect(asked.locator("#correcting")).to_contain_text("Correcting the entry of")
        asked.get_by_role("button", name=leave).click()
        expect(asked.locator("#correcting")).to_be_hidden()

    # Once it was sent, no draft is left, though it was canceled while it was under way.
    for number, clicked in enumerate((["analyze"], ["analyze", "correcting-cancel"]), start=2):
        asked.get_by_role("button", name="Correct", exact=True).click()
        asked.locator("#field-age").fill(str(80 + number))
        with asked.expect_request(lambda sent: sent.method == "DELETE" and sent.url.endswith("/api/draft")):
            asked.evaluate("(ids) => ids.forEach((id) => document.getElementById(id).click())", clicked)
        expect(asked.locator("#history-list li.is-superseded", has_text="twice")).to_have_count(number)
        expect(asked.locator("#correcting")).to_be_hidden()


@pytest.mark.full
def test_a_patient_who_waits_for_a_killed_server_is_withdrawn_for_good(installation: Installation, asked: Page) -> None:
    os.kill(installation.pid("server"), signal.SIGKILL)
    expect(asked.locator("#link-state")).not_to_contain_text("Connected")
    analyze_sample(asked, "to be withdrawn")
    asked.get_by_role("button", name="Withdraw", exact=True).press("Enter")
    expect(entry(asked, "to be withdrawn")).to_contain_text("Being withdrawn")
    asked.get_by_role("button", name="Put them back").click()
    expect(asked.locator("#field-patient_reference")).to_have_value("to be withdrawn")
    installation.start()
    expect(entry(asked, "to be withdrawn")).to_have_count(0, timeout=LONG_MS)
    expect(asked.locator("#result-waiting")).to_contain_text("was not analyzed, and the values were removed")
