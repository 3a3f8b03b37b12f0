"""What clinicians do to a page while a patient is under way, and what becomes of erased patients on open pages."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PATIENCE_MS, OpenPage
from tests.browser.test_pages import Link, analyze_sample, load_sample
from tests.support.system_parts import Visitor
from tests.system.conftest import Installation

expect.set_options(timeout=PATIENCE_MS)

LONG = 3 * PATIENCE_MS


@pytest.fixture
def clinic(links: Sequence[str], open_page: OpenPage) -> Page:
    page = open_page(links[1])
    expect(page.locator("#link-state")).to_contain_text("Connected")
    return page


@pytest.fixture
def dashboard(links: Sequence[str], open_page: OpenPage) -> Page:
    page = open_page(links[0])
    expect(page.locator("#live-state")).to_contain_text("Live")
    return page


def expect_answered_once(page: Page, reference: str) -> None:
    entry = page.locator("#history-list li", has_text=reference)
    expect(entry).to_have_count(1, timeout=LONG)
    expect(entry).not_to_contain_text("Queued", timeout=LONG)


def stop_the_server(installation: Installation, page: Page) -> None:
    os.kill(installation.pid("server"), signal.SIGKILL)
    expect(page.locator("#link-state")).not_to_contain_text("Connected")


def at_the_record(installation: Installation, *arguments: str, typed: str = "") -> None:
    """Do something to the record as somebody at the server's machine does."""
    python = str(installation.folder / ".venv" / "bin" / "python")
    command = [python, "-m", "server.store", *arguments]
    subprocess.run(command, cwd=installation.folder, input=typed, check=True, capture_output=True, text=True)


def erase(installation: Installation, reference: str) -> None:
    at_the_record(installation, "erase", "--patient-reference", typed=f"{reference}\n")


def test_a_page_reloaded_while_a_patient_is_under_way_shows_it_once(installation: Installation, clinic: Page) -> None:
    stop_the_server(installation, clinic)
    analyze_sample(clinic, "reloaded")
    expect(clinic.locator("#result-waiting")).to_contain_text("Queued")
    clinic.reload()
    expect(clinic.locator("#history-list li", has_text="reloaded")).to_contain_text("Queued")
    installation.start()
    expect_answered_once(clinic, "reloaded")


def test_a_browser_closed_while_a_patient_is_under_way_finds_the_answer_later(
    installation: Installation, links: Sequence[str], clinic: Page, open_page: OpenPage
) -> None:
    stop_the_server(installation, clinic)
    analyze_sample(clinic, "closed")
    expect(clinic.locator("#result-waiting")).to_contain_text("Queued")
    clinic.context.close()
    installation.start()
    later = open_page(links[1])
    expect_answered_once(later, "closed")
    assert [entry["state"] for entry in history(links[1]) if entry["patient_reference"] == "closed"] == ["answered"]


def history(link: str) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = Visitor(link).api("history?limit=200")["entries"]
    return entries


def test_back_and_forward_send_nothing_again(clinic: Page, links: Sequence[str]) -> None:
    analyze_sample(clinic, "back and forth")
    expect_answered_once(clinic, "back and forth")
    clinic.goto(clinic.url + "model")
    clinic.go_back()
    expect_answered_once(clinic, "back and forth")
    clinic.go_forward()
    clinic.go_back()
    expect_answered_once(clinic, "back and forth")
    assert len([entry for entry in history(links[1]) if entry["patient_reference"] == "back and forth"]) == 1


def test_a_connection_cut_between_sending_and_its_acknowledgement_queues_once(
    links: Sequence[str], clinic: Page
) -> None:
    link = Link(clinic)
    clinic.reload()
    expect(clinic.locator("#link-state")).to_contain_text("Connected")
    load_sample(clinic)
    clinic.locator("#field-patient_reference").fill("cut off")
    clinic.get_by_role("button", name="Analyze Patient Data").click(no_wait_after=True)
    link.cut()
    expect_answered_once(clinic, "cut off")
    assert len([entry for entry in history(links[1]) if entry["patient_reference"] == "cut off"]) == 1


def test_two_tabs_enter_at_once_and_both_see_both_once(clinic: Page) -> None:
    context: BrowserContext = clinic.context
    other = context.new_page()
    other.goto(clinic.url)
    for page, reference in ((clinic, "from the one tab"), (other, "from the other tab")):
        load_sample(page)
        page.locator("#field-patient_reference").fill(reference)
    for page in (clinic, other):
        page.get_by_role("button", name="Analyze Patient Data").click(no_wait_after=True)
    for page in (clinic, other):
        expect_answered_once(page, "from the one tab")
        expect_answered_once(page, "from the other tab")


def test_an_erased_patient_vanishes_from_every_open_page(
    installation: Installation, links: Sequence[str], clinic: Page, dashboard: Page
) -> None:
    for reference in ("stays here", "erased here"):
        analyze_sample(clinic, reference)
        expect_answered_once(clinic, reference)
    row = dashboard.locator("#prediction-rows tr", has_text="erased here")
    expect(row).to_have_count(1)
    total = Visitor(links[0]).api("status")["totals"]["predictions"]
    row.get_by_role("button").click()
    expect(dashboard.locator("#detail")).to_be_visible()
    expect(clinic.locator("#result")).to_contain_text("erased here")
    erase(installation, "erased here")
    expect(row).to_have_count(0)
    expect(dashboard.locator("#detail")).not_to_be_visible()
    expect(dashboard.locator("#total-predictions")).to_have_text(str(total - 1))
    expect(clinic.locator("#history-list li", has_text="erased here")).to_have_count(0)
    expect(clinic.locator("#result")).to_contain_text("was erased from the record")
    for page in (clinic, dashboard):
        assert "erased here" not in page.content()
        expect(page.locator("#history-list li, #prediction-rows tr", has_text="stays here")).to_have_count(1)


def test_a_page_that_was_cut_off_from_its_app_drops_what_was_erased_meanwhile(
    installation: Installation, clinic: Page
) -> None:
    analyze_sample(clinic, "erased unseen")
    expect_answered_once(clinic, "erased unseen")
    clinic.context.set_offline(True)
    os.kill(installation.pid("client-1"), signal.SIGKILL)
    expect(clinic.locator("#link-banner")).to_be_visible()
    erase(installation, "erased unseen")
    clinic.context.set_offline(False)
    installation.start()
    expect(clinic.locator("#link-state")).to_contain_text("Connected", timeout=LONG)
    expect(clinic.locator("#history-list li", has_text="erased unseen")).to_have_count(0, timeout=LONG)


def test_an_open_dashboard_starts_over_when_an_older_record_was_put_back(
    installation: Installation, tmp_path: Path, clinic: Page, dashboard: Page
) -> None:
    rows = dashboard.locator("#prediction-rows tr")
    analyze_sample(clinic, "in the backup")
    expect(rows.filter(has_text="in the backup")).to_have_count(1)
    at_the_record(installation, "backup", str(tmp_path / "backup.sqlite"))
    analyze_sample(clinic, "after the backup")
    expect(rows.filter(has_text="after the backup")).to_have_count(1)
    stop_the_server(installation, clinic)
    at_the_record(installation, "restore", str(tmp_path / "backup.sqlite"))
    installation.start()
    expect(dashboard.locator("#live-state")).to_contain_text("Live", timeout=LONG)
    expect(rows.filter(has_text="after the backup")).to_have_count(0)
    expect(rows.filter(has_text="in the backup")).to_have_count(1)


def test_a_client_app_of_another_version_says_so_on_its_page(installation: Installation, clinic: Page) -> None:
    """The server is updated, the client apps are not yet: patients are queued, and answered after the update."""
    files = [installation.folder / "common" / name for name in ("messages.py", "ui/socket.js")]
    ours = {file: file.read_text() for file in files}
    for file, text in ours.items():
        file.write_text(re.sub(r"\b(PROTOCOL(?:_VERSION)? =) 4\b", r"\1 5", text))
    try:
        os.kill(installation.pid("server"), signal.SIGKILL)
        installation.start()
        banner = clinic.locator("#link-banner")
        expect(banner).to_contain_text("speaks protocol version 4, the server 5. Update the older one.", timeout=LONG)
        analyze_sample(clinic, "before the update")
        expect(clinic.locator("#history-list li", has_text="before the update")).to_contain_text("Queued")
        os.kill(installation.pid("client-1"), signal.SIGKILL)
        installation.start()
        expect_answered_once(clinic, "before the update")  # on the page of the new version, which loaded itself
    finally:
        for file, text in ours.items():
            file.write_text(text)
