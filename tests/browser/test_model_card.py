"""The model card as people come to it: from a result, at the server and at a client app, on any screen and on paper."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, analyze_sample, row, scrolls_sideways
from tests.support.system_parts import Visitor


def at_card(open_page: OpenPage, link: str) -> Page:
    page = open_page(link)
    page.goto(f"{link.partition('/sign-in')[0]}/model")
    return page


def test_from_a_result_and_the_dashboard_the_card_is_one_click_away(links: Sequence[str], open_page: OpenPage) -> None:
    clinic, dashboard = open_page(links[1]), open_page(links[0])
    analyze_sample(clinic, "about its model")
    expect(clinic.locator("#prediction")).to_contain_text("disease-free")
    row(dashboard, "about its model").get_by_role("button").click()
    version = Visitor(links[0]).api("status")["model"]["version"]
    for page in (clinic, dashboard):
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Model card").click()
        card = opened.value
        expect(card.get_by_role("heading", name="What it is not for")).to_be_visible()
        expect(card.locator("#main")).to_contain_text(version)
        assert card.url.endswith(f"/model/{version}")


@pytest.mark.full
def test_the_card_fits_screens_and_draws_what_it_says(links: Sequence[str], open_page: OpenPage) -> None:
    page = at_card(open_page, links[0])
    too_wide = "(all) => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length"
    for width in (320, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert not scrolls_sideways(page)
        assert page.locator("main td, main th, main p, main dd, main li, main svg").evaluate_all(too_wide) == 0
    cells = page.locator(".table-groups tbody td:has(svg)")
    assert cells.count() == 24
    places = "[['.bar-value', 'cx'], ['.bar-interval', 'x1'], ['.bar-interval', 'x2']]"
    drawing = f"(svg) => {places}.map(([part, at]) => svg.querySelector(part)?.[at].baseVal.valueInSpecifiedUnits)"
    for cell in cells.all():
        numbers = [float(one) for one in cell.locator("data").evaluate_all("(all) => all.map((one) => one.value)")]
        drawn = [place for place in cell.locator("svg").evaluate(drawing) if place is not None]
        assert drawn == pytest.approx([2 + 96 * share for share in numbers], abs=0.006)


def test_the_reader_sets_the_prevalence_for_the_predictive_value_of_high(
    links: Sequence[str], open_page: OpenPage
) -> None:
    page = at_card(open_page, links[1])
    answer, prevalence = page.locator("#at-high-answer"), page.get_by_label("Share of all examined patients")
    figures = Visitor(links[0]).api("model")["quantitative_analyses"]["figures"]
    found, alarms = (figures[name]["ours"]["value"] for name in ("sensitivity_high", "false_alarm_rate_high"))
    prevalence.fill("12,5")
    share = round(100 * found * 0.125 / (found * 0.125 + alarms * 0.875))
    expect(answer).to_contain_text(f"Of 100 patients marked High, {share} have coronary disease")
    prevalence.fill("half")
    expect(page.get_by_role("alert")).to_contain_text("from 1 to 99")
    expect(answer).to_have_text("–")
