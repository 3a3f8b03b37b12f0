"""The pages as people use them."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LEVEL, LONG_MS, OpenPage, analyze_sample, entry, ids, row, rows, scrolls_sideways
from tests.support.system_parts import Clinician, Visitor
from tests.system.conftest import Installation

KEPT = """async () => [
  JSON.stringify([{...localStorage}, {...sessionStorage}, history.state]),
  await indexedDB.databases(), await caches.keys(),
]"""
ODD = "137.48"
BLOCKED = """
globalThis.WebSocket = class extends EventTarget {
  constructor() { super(); setTimeout(() => this.onerror(new Event("error"))); }
  close() {}
};
"""


def expect_nothing_kept(page: Page, link: str, *values: str) -> None:
    """Neither the token of the link nor these values are in the address or where a page can store anything."""
    assert page.url == link.partition("sign-in#")[0]
    kept, *stores = page.evaluate(KEPT)
    assert stores == [[], []]
    assert [one for one in (link.partition("#token=")[2], *values) if one in kept] == []


def test_a_patient_goes_from_each_desk_to_the_open_dashboard_as_text_and_opens_there(
    links: Sequence[str], open_page: OpenPage, signed_in: dict[str, Any]
) -> None:
    signed_in.clear()
    dashboard = open_page(links[0])
    expect(dashboard.locator("#live-state")).to_contain_text("Live")
    for number, link in enumerate(links[1:], start=1):
        clinic, reference = open_page(link), f"desk {number} <img src=x onerror=alert(1)>"
        analyze_sample(clinic, reference, resting_bp=ODD)
        expect(clinic.locator("#prediction")).to_contain_text("disease-free")
        expect(entry(clinic, reference)).to_have_count(1)
        expect(row(dashboard, reference)).to_contain_text(f"Client-{number}")
        for page in (clinic, dashboard):
            assert page.locator("img[src=x]").count() == 0
        expect_nothing_kept(clinic, link, reference, ODD)
    row(dashboard, reference).get_by_role("button").click()
    expect(dashboard.get_by_role("dialog")).to_contain_text(reference)
    expect(dashboard.get_by_role("dialog")).to_contain_text(ODD)
    expect_nothing_kept(dashboard, links[0], reference, ODD)


def test_signing_out_in_one_tab_ends_the_other(dashboard: Page) -> None:
    other = dashboard.context.new_page()
    other.goto(dashboard.url)
    expect(other.locator("#live-state")).to_contain_text("Live")
    dashboard.get_by_role("button", name="Sign out").click()
    for page in (dashboard, other):
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


def test_a_page_of_which_a_part_was_not_loaded_says_so(links: Sequence[str], clinic: Page, dashboard: Page) -> None:
    for page, link in ((clinic, links[1]), (dashboard, links[0])):
        page.route("**/ui/format.js", lambda route: route.abort("internetdisconnected"))
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
        page.unroute_all()
        page.get_by_role("link", name="Load the page again").click()
        expect(page.get_by_text("could not be loaded")).to_be_hidden()
        expect(page.locator(".state[data-tone=good]").first).to_be_visible()
        expect_nothing_kept(page, link)


def newest_ids(links: Sequence[str], most: int) -> list[str]:
    items = Visitor(links[0]).api(f"predictions?limit={most}")["predictions"]
    return [item["prediction"]["prediction_id"] for item in items]


@pytest.mark.full
def test_the_newest_are_shown_until_older_ones_are_asked_for(links: Sequence[str], dashboard: Page) -> None:
    with Clinician(links[3]) as clinician:
        clinician.answers([clinician.submit() for _ in range(65)])
    expect(rows(dashboard)).to_have_count(60)
    stored = newest_ids(links, 120)
    assert len(stored) > 60
    dashboard.get_by_role("button", name="Load older").click()
    expect(rows(dashboard)).to_have_count(len(stored))
    assert ids(dashboard) == stored


def test_a_page_that_websockets_do_not_reach_follows_by_polling(clinic: Page) -> None:
    clinic.add_init_script(BLOCKED)
    with clinic.expect_response(lambda response: "transport=polling" in response.url):
        clinic.reload()
    analyze_sample(clinic, "by polling")
    expect(entry(clinic, "by polling")).to_contain_text(LEVEL)


def test_a_patient_waits_for_a_killed_server_through_reload_and_close_and_nothing_is_lost_or_doubled(
    installation: Installation, links: Sequence[str], clinic: Page, dashboard: Page, open_page: OpenPage
) -> None:
    os.kill(installation.pid("server"), signal.SIGKILL)
    expect(clinic.locator("#link-state")).not_to_contain_text("Connected")
    analyze_sample(clinic, "waits")
    expect(entry(clinic, "waits")).to_contain_text("Queued")  # or the reload could come before it was sent
    clinic.reload()
    expect(entry(clinic, "waits")).to_contain_text("Queued")
    expect(dashboard.locator("#live-banner")).to_contain_text("Reconnecting; missed entries will load automatically.")
    clinic.context.close()
    installation.start()
    waiting = entry(open_page(links[1]), "waits")
    expect(waiting).to_contain_text(LEVEL, timeout=LONG_MS)
    expect(waiting).to_have_count(1)
    expect(row(dashboard, "waits")).to_have_count(1, timeout=LONG_MS)
    stored = Visitor(links[0]).api("status")["totals"]["predictions"]
    expect(dashboard.locator("#total-predictions")).to_have_text(str(stored))
    assert ids(dashboard) == newest_ids(links, 60)


@pytest.mark.parametrize("width", [320, pytest.param(1400, marks=pytest.mark.full)])
def test_no_page_scrolls_sideways(links: Sequence[str], open_page: OpenPage, width: int) -> None:
    dashboard, clinic = (open_page(link, viewport={"width": width, "height": 900}) for link in links[:2])
    expect(dashboard.locator("#live-state")).to_contain_text("Live")
    analyze_sample(clinic, "as long as a reference may be, " + "x" * 32)
    expect(clinic.locator("#prediction")).to_contain_text("disease-free")
    expect(rows(dashboard).first).to_contain_text("as long as")
    assert not scrolls_sideways(clinic)
    assert not scrolls_sideways(dashboard)
