"""The drift panel as operators use it, with patients that went through a real desk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from config.secrets import CLIENT_IDS
from tests.browser.conftest import OpenPage, scrolls_sideways
from tests.support.system_parts import Clinician
from tests.system.conftest import installed

pytestmark = pytest.mark.full  # a system of its own, and 200 patients

ENOUGH = 100
NOT_MEASURED = 81


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Sequence[str]]:
    with installed(tmp_path_factory.mktemp("own") / "project", detector_dir) as installation:
        yield installation.start()


@pytest.fixture
def dashboard(links: Sequence[str], open_page: OpenPage) -> Page:
    page = open_page(links[0])
    expect(page.locator("#drift")).to_have_attribute("aria-busy", "false")
    return page


def tile(page: Page, name: str) -> Locator:
    return page.locator("#drift-groups > li").filter(has=page.locator("h3", has_text=name))


def submit(link: str, number: int, **changes: object) -> None:
    with Clinician(link) as clinician:
        clinician.answers([clinician.submit(**changes) for _ in range(number)])


def test_an_open_dashboard_says_for_whom_what_is_no_longer_measured_and_stays_open_when_news_come(
    links: Sequence[str], dashboard: Page
) -> None:
    expect(dashboard.locator("#drift-state")).to_have_text("Too few patients")
    for name in ("All clients", *CLIENT_IDS):
        expect(tile(dashboard, name)).to_contain_text("0 of 100 patients needed")
    submit(links[2], NOT_MEASURED, cholesterol=None)
    group = tile(dashboard, "Client-2")
    expect(group).to_contain_text("81 of 100 patients needed")
    submit(links[2], ENOUGH - NOT_MEASURED)
    for place in ("#drift-state", "#drift-banner"):
        expect(dashboard.locator(place)).to_contain_text("Client-2: large drift")
    sentence = "Serum cholesterol is not measured for 81\u202f% of Client-2's patients; in training 0\u202f%."
    expect(group).to_contain_text(sentence)
    expect(tile(dashboard, "Client-1")).to_contain_text("0 of 100 patients needed")

    group.locator("summary").press("Enter")
    row = group.locator("tbody tr", has_text="Serum cholesterol")
    expect(row.locator("td").first).to_have_text("81\u202f%")
    with dashboard.expect_response("**/api/drift"):
        submit(links[2], 1)
    expect(group).to_contain_text("101 patients")
    expect(row).to_be_visible()
    expect(group.locator("summary")).to_be_focused()
    dashboard.set_viewport_size({"width": 320, "height": 900})
    assert not scrolls_sideways(dashboard)
