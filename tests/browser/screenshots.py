"""The pictures in the README: ``python -m tests.browser.screenshots LINK_OF_THE_SERVER LINK_OF_A_CLIENT_APP ...``."""

import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_OPTIONS, find_chromium

FOLDER = Path(__file__).parent / "screenshots"
SIZE = {"width": 1400, "height": 1000}
PATIENTS = 24


def main(links: Sequence[str]) -> int:
    """Enter sample patients at the client apps, and picture one of them and the dashboard."""
    server, *clients = links
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_OPTIONS))
        pages = [_open(browser, link) for link in clients]
        for number, page in enumerate(islice(cycle(pages), PATIENTS), start=1):
            _analyze_sample(page, f"Patient {number}")
        pages[0].locator("#history-list button", has_text="High").first.click()
        _load_sample(pages[0])
        pages[0].evaluate("scrollTo(0, 0)")
        pages[0].screenshot(path=FOLDER / "client.png")
        dashboard = _open(browser, server)
        expect(dashboard.locator("#prediction-rows tr").first).to_be_visible()
        expect(dashboard.locator("#distribution-chart")).to_be_visible()
        dashboard.wait_for_load_state("networkidle")
        dashboard.screenshot(path=FOLDER / "server.png", animations="disabled")
        browser.close()
    return 0


def _open(browser: Browser, link: str) -> Page:
    page = browser.new_context(viewport=SIZE, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
    page.goto(link)
    return page


def _load_sample(page: Page) -> None:
    page.get_by_role("button", name="Load Sample Patient Data").click()
    expect(page.locator("#field-age")).not_to_have_value("")


def _analyze_sample(page: Page, reference: str) -> None:
    _load_sample(page)
    page.locator("#field-patient_reference").fill(reference)
    page.get_by_role("button", name="Analyze Patient Data").click()
    item = page.locator("#history-list li", has_text=reference).first
    expect(item).to_be_visible()
    expect(item).not_to_contain_text("Queued")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
