"""What the pages say of a result: its interval, that too little was measured, and how it is printed and copied."""

import re
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, Route, expect

from common.messages import Prediction
from tests.browser.conftest import OpenPage, entry, row
from tests.support.results import CLOSE, HIGH, LONGEST, OLD, RESULTS, history_entry

PAPER = "addEventListener('beforeprint', () => { window.paper = [document.title, document.body.innerText]; })"
TITLE = re.compile(r"Heart anomaly result [\d-]+T[\d-]+")
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
OTHERS = [made.patient_reference for made in RESULTS if made is not HIGH]


def tell_history(route: Route) -> None:
    """Answer as the app does, which names the place in its log, but with results made by hand."""
    answer = route.fetch()
    entries = [history_entry(made).to_wire() for made in RESULTS]
    route.fulfill(response=answer, json=answer.json() | {"entries": entries, "next_before": None})


def tell_predictions(route: Route) -> None:
    answer = route.fetch()
    items = [
        {"sequence": 100 - place, "prediction": made.to_wire(), "explanation": made.explanation.to_wire()}
        for place, made in enumerate(RESULTS)
    ]
    route.fulfill(response=answer, json=answer.json() | {"predictions": items, "next_before": None})


def route(page: Page) -> None:
    page.route("**/api/history?*", tell_history)
    page.route("**/api/draft", lambda route: route.fulfill(json={"draft": None}))  # of an earlier test
    page.route("**/api/predictions?*", tell_predictions)


@pytest.fixture
def desk(links: Sequence[str], open_page: OpenPage) -> Page:
    return open_page(links[1], route)


@pytest.fixture
def operators(links: Sequence[str], open_page: OpenPage) -> Page:
    return open_page(links[0], route)


def open_at_desk(desk: Page, made: Prediction) -> None:
    entry(desk, made.patient_reference).get_by_role("button").click()
    expect(desk.locator("#result-heading")).to_contain_text(made.patient_reference or "")


def printed(page: Page) -> tuple[str, int]:
    """Print as the browser does; return the text on the paper, and the number of pages."""
    page.emulate_media(media="print")
    page.evaluate(PAPER)
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    title, text = page.evaluate("window.paper")
    page.emulate_media(media="screen")
    assert TITLE.fullmatch(title)
    assert not TITLE.fullmatch(page.title())
    expect(page.locator(".paper")).to_have_count(0)
    return text, len(sheets)


@pytest.mark.parametrize("app", ["desk", "operators"])
def test_on_one_page_of_paper_stands_one_patient_alone(request: pytest.FixtureRequest, app: str) -> None:
    page: Page = request.getfixturevalue(app)
    (entry if app == "desk" else row)(page, HIGH.patient_reference).get_by_role("button").click()
    expect(page.locator("prediction-view")).to_contain_text("disease-free")
    text, pages = printed(page)
    assert pages == 1
    for wanted in (
        "surely high", "High risk level", "0.98", "0.96 to 0.99", "61 years", "5.8 mmol/L (224.3 mg/dL)",
        "reversible defect", "raises", "Entered", "by Dr. Ada Example", "Answered", "Printed", HIGH.model_version,
        "Not for care of patients", "Of 100 patients marked High, 91 have coronary disease",
    ):  # fmt: skip
        assert wanted in text
    person = page.locator("#person").text_content()
    assert re.search(rf"Printed\s+.* by {person}", text)
    page.locator("prediction-view").evaluate("(view) => view.parentElement.toggleAttribute('data-superseded')")
    assert "Corrected by another entry" in printed(page)[0]
    for unwanted in (*map(str, OTHERS), "Not measured", "Patient reference", "History", "Analyze", "Sign out", "Copy"):
        assert unwanted not in text


def test_the_longest_and_the_oldest_result_have_one_page_as_well(desk: Page) -> None:
    for made in (LONGEST, OLD):
        open_at_desk(desk, made)
        text, pages = printed(desk)
        assert pages == 1
        assert "undefined" not in text
        assert ("95 % interval" in text) == bool(made.score_interval)


def test_a_result_of_other_values_than_the_forms_can_be_neither_printed_nor_copied(desk: Page) -> None:
    open_at_desk(desk, HIGH)
    desk.get_by_role("button", name="Copy into the form").click()
    name = re.compile("^(Print or save as PDF|Copy for the chart)$")
    enabled, disabled = (desk.get_by_role("button", name=name, disabled=value) for value in (False, True))
    expect(enabled).to_have_count(2)
    desk.locator("#field-age").fill("62")
    expect(desk.locator("#result-stale")).to_contain_text("for the values entered at")
    expect(enabled).to_have_count(0)
    expect(disabled).to_have_count(2)
    text, pages = printed(desk)
    assert pages == 1
    assert text.startswith("Nothing was printed")
    assert "High" not in text
    desk.locator("#field-age").fill("61")
    expect(enabled).to_have_count(2)


def test_the_text_for_the_chart_is_copied_or_where_the_browser_forbids_that_selected(desk: Page) -> None:
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_at_desk(desk, HIGH)
    copy = desk.get_by_role("button", name="Copy for the chart")
    copy.click()
    expect(desk.locator("#prediction")).to_contain_text("Copied.")
    text = desk.evaluate("navigator.clipboard.readText()")
    assert text.startswith("surely high: High risk level")
    assert HIGH.model_version in text
    desk.evaluate(NO_CLIPBOARD)
    copy.click()
    assert desk.evaluate("getSelection().toString()").startswith("surely high: High risk level")


def test_the_interval_stands_on_the_scale_in_the_list_and_in_words(desk: Page) -> None:
    open_at_desk(desk, CLOSE)
    scale, interval = desk.locator(".scale").bounding_box(), desk.locator(".scale-interval").bounding_box()
    assert scale
    assert interval
    low, width = interval["x"] - scale["x"], interval["width"]
    assert [low / scale["width"], (low + width) / scale["width"]] == pytest.approx([0.7014, 0.8255], abs=0.005)
    view = desk.locator("#prediction")
    expect(view).to_contain_text("95 % interval 0.70 to 0.82 (approximate). It reflects the limited number")
    expect(view).to_contain_text("from 0.31 (Low) to 0.99 (High). Measuring thallium scan would narrow the range most.")
    expect(entry(desk, "close to Medium")).to_contain_text("0.76 (0.70–0.82)")


def test_not_enough_measured_is_gray_no_level_and_no_alarm_but_listed(operators: Page) -> None:
    unclear = row(operators, "too little")
    expect(unclear).to_contain_text("Not enough measured")
    gray = operators.evaluate("getComputedStyle(document.querySelector('.soft')).color")
    expect(unclear.locator(".level")).to_have_css("color", gray)
    expect(unclear).to_contain_text("Extreme: ST depression")
    expect(operators.locator("#trend-note")).to_have_text("last 4 with a level, all clients")
    unclear.get_by_role("button").click()
    detail = operators.get_by_role("dialog")
    for said in ("there is no risk level", "ST depression (6.2 mm). This value alone would make", "Any one"):
        expect(detail).to_contain_text(said)
    expect(detail.locator(".scale")).to_be_hidden()
