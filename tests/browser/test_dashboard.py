"""The operators' page while predictions come in: what stays where it is, what is said, and what survives a reload."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, ids, rows
from tests.support.system_parts import Clinician, Visitor

WIDE = {"width": 1400, "height": 900}
ROWS = 30
AT_POINT = "([x, y]) => document.elementFromPoint(x, y).closest('tr').dataset.id"
OPENED = "document.querySelector('#detail-view').predictionId"


@pytest.fixture(scope="module")
def desk(links: Sequence[str]) -> Iterator[Clinician]:
    """A desk that has sent more patients than a screen shows."""
    with Clinician(links[1]) as clinician:
        clinician.answers([clinician.submit() for _ in range(ROWS)])
        yield clinician


@pytest.fixture
def dashboard(links: Sequence[str], desk: Clinician, open_page: OpenPage) -> Page:
    page = open_page(links[0], viewport=WIDE)
    expect(page.locator("#live-state")).to_contain_text("Live")
    expect(rows(page).nth(ROWS - 1)).to_be_visible()
    return page


def answered(desk: Clinician, sent: list[str]) -> tuple[str, int]:
    """Wait for the answers; return the newest prediction's id, and how many of them are High."""
    made = desk.answers(sent).values()
    newest = max(made, key=lambda prediction: prediction["made_at"])
    return newest["prediction_id"], sum(prediction["risk_level"] == "High" for prediction in made)


def test_rows_hold_still_for_somebody_who_aims_until_the_news_are_let_in(desk: Clinician, dashboard: Page) -> None:
    x, y = 500, 700
    dashboard.mouse.move(300, 200)  # from now on somebody is on the way
    before, aimed_at = ids(dashboard), dashboard.evaluate(AT_POINT, [x, y])
    sent = []
    for step in range(1, 19):
        sent.append(desk.submit())
        dashboard.mouse.move(300 + (x - 300) * step / 18, 200 + (y - 200) * step / 18)
    newest, high = answered(desk, sent)
    news = dashboard.get_by_role("button", name=re.compile("^Show 18 new"))
    expect(news).to_have_text(f"Show 18 new, {high} High" if high else "Show 18 new")
    assert ids(dashboard) == before
    expect(news).to_be_in_viewport()
    dashboard.mouse.click(x, y)
    expect(dashboard.get_by_role("dialog")).to_be_visible()
    assert dashboard.evaluate(OPENED) == aimed_at
    dashboard.keyboard.press("Escape")
    news.click()
    expect(rows(dashboard).first).to_have_attribute("data-id", newest)
    expect(rows(dashboard).first).to_be_in_viewport()
    expect(dashboard.locator("#predictions-heading")).to_be_focused()


def test_the_sheet_goes_on_to_patients_that_wait_and_rows_hold_still_under_the_focus_or_out_of_sight(
    desk: Clinician, dashboard: Page
) -> None:
    first = rows(dashboard).first
    first.get_by_role("button").press("Enter")
    newer = dashboard.get_by_role("button", name="Newer")
    expect(newer).to_be_disabled()
    newest, _ = answered(desk, [desk.submit()])
    newer.press("Enter")
    dashboard.keyboard.press("Escape")
    expect(first).to_have_attribute("data-id", newest)
    expect(first.get_by_role("button")).to_be_focused()
    for hold in ("ArrowDown", "End"):
        dashboard.keyboard.press(hold)
        before = ids(dashboard)
        newest, _ = answered(desk, [desk.submit()])
        expect(dashboard.get_by_role("button", name=re.compile("^Show 1 new"))).to_be_visible()
        assert ids(dashboard) == before
        dashboard.locator("#main").focus()
        dashboard.keyboard.press("Home")
        expect(first).to_have_attribute("data-id", newest)


def test_high_predictions_are_counted_in_the_live_region_and_the_title_until_somebody_is_back(
    desk: Clinician, dashboard: Page
) -> None:
    title = dashboard.title()
    newest, high = answered(desk, [desk.submit()])
    expect(dashboard.locator("#announcer")).to_have_text(f"1 new prediction, {high} High.")
    expect(rows(dashboard).first).to_have_attribute("data-id", newest)  # nobody is at the rows: they go on
    # Playwright pretends that every page has the focus.
    dashboard.context.new_cdp_session(dashboard).send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    dashboard.context.new_page().bring_to_front()
    high = 0
    while not high:
        high = answered(desk, [desk.submit() for _ in range(5)])[1]
    expect(dashboard).to_have_title(f"({high} High) {title}")
    dashboard.bring_to_front()
    expect(dashboard).to_have_title(title)


def test_filters_survive_a_reload_and_only_they_are_in_the_address(links: Sequence[str], dashboard: Page) -> None:
    address = dashboard.url
    dashboard.locator("#filter-client").select_option("Client-1")
    dashboard.locator("#filter-level").select_option("High")
    assert dashboard.url == f"{address}?client=Client-1&level=High"
    dashboard.reload()
    expect(dashboard.locator("#filter-client")).to_have_value("Client-1")
    high = Visitor(links[0]).api("predictions?limit=60&client=Client-1&level=High")["predictions"]
    expect(rows(dashboard)).to_have_count(len(high))


def test_the_trend_stands_at_true_times_and_has_a_table_behind_it(links: Sequence[str], dashboard: Page) -> None:
    items = Visitor(links[0]).api("predictions?limit=60")["predictions"]
    newest = [item["prediction"] for item in items if not item["superseded_by"]]
    times = [datetime.fromisoformat(prediction["made_at"]).timestamp() for prediction in newest]
    dashboard.locator("#trend-note", has_text=f"last {len(newest)} predictions").wait_for()
    points = "(spans) => spans.map((span) => span.getBoundingClientRect().x)"
    pixels = dashboard.locator("#trend-points > span").evaluate_all(points)
    share = [(x - pixels[-1]) / (pixels[0] - pixels[-1]) for x in pixels]
    assert share == pytest.approx([(at - times[-1]) / (times[0] - times[-1]) for at in times], abs=0.01)
    dashboard.get_by_role("button", name="Show table").click()
    table = dashboard.get_by_role("group", name="Anomaly score trend").locator("tbody tr")
    expect(table).to_have_count(len(newest))
    expect(table.first).to_contain_text(f"{newest[0]['client_id']}{newest[0]['risk_level']}")


@pytest.mark.usefixtures("desk")
def test_in_forced_colors_every_level_keeps_its_shape(links: Sequence[str], open_page: OpenPage) -> None:
    page = open_page(links[0], forced_colors="active", color_scheme="dark")
    expect(page.locator("#distribution-chart")).to_have_attribute("aria-label", re.compile("High [1-9]"))
    for part, drawn, color in (
        (".level .icon, #trend-points .icon", "fill", "rgb(255, 255, 255)"),
        (".ring [data-level] circle", "stroke", "rgb(255, 255, 255)"),
        (".ring use", "fill", "rgb(0, 0, 0)"),  # a level's sign
    ):
        colors = page.locator(part).evaluate_all(f"(all) => all.map((one) => getComputedStyle(one).{drawn})")
        assert set(colors) == {color}, part
    signs = page.locator(".ring use")
    assert len(set(signs.evaluate_all("(all) => all.map((one) => one.getAttribute('href'))"))) == signs.count()
    # A small part has no room for its sign.
    large = page.locator(".ring [data-level]:not([hidden], [data-small]) use")
    shown = large.evaluate_all("(all) => all.map((one) => one.checkVisibility())")
    assert shown
    assert all(shown)
