"""Numbers as they are typed, pasted and left alone in the clinicians' form, with real keys and a real wheel."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, load_sample

COLUMN = "63\n1\n145\n233\n1"


@pytest.fixture
def form(clinic: Page) -> Page:
    load_sample(clinic)
    return clinic


def number(page: Page, name: str = "st_depression") -> Locator:
    field = page.locator(f"#field-{name}")
    if field.is_disabled():
        page.locator(f"#field-{name}-none").uncheck()
    field.fill("")
    return field


def test_what_is_no_number_is_refused_kept_as_typed_and_comes_back_with_undo(form: Page) -> None:
    field, refusal = number(form), form.locator("#field-st_depression-error")
    field.press_sequentially("12/8")
    field.press("Tab")
    expect(refusal).to_contain_text("must be one number")
    form.locator("#analyze").click()
    expect(form.locator("#form-error")).to_contain_text("Please check 1 field.")
    expect(field).to_be_focused()
    expect(form.locator("#result-empty")).to_be_visible()
    form.get_by_role("button", name="Clear").click()
    expect(field).to_have_value("")
    form.get_by_role("button", name="Undo").click()
    expect(field).to_have_value("12/8")
    form.locator("#field-st_depression-none").check()
    expect(refusal).to_be_hidden()
    form.locator("#analyze").click()
    form.get_by_text("Values entered").click()
    expect(form.locator("#prediction dl").first).to_contain_text("ST depressionnot measured")


def test_neither_a_pasted_column_nor_the_wheel_nor_an_arrow_key_changes_a_number(form: Page) -> None:
    form.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for pasted, is_one_number in ((" 2,3\n", True), (COLUMN, False)):
        field = number(form)
        form.evaluate("(text) => navigator.clipboard.writeText(text)", pasted)
        field.press("Control+V")
        field.press("Tab")
        expect(form.locator("#field-st_depression-error")).to_be_visible(visible=not is_one_number)
    field = number(form, "resting_bp")
    field.press_sequentially("145")
    field.hover()
    before = form.evaluate("scrollY")
    form.mouse.wheel(0, 120)
    form.wait_for_function("(before) => scrollY > before", arg=before)  # the wheel has done what it does
    for key in ("ArrowUp", "ArrowDown", "ArrowDown", "PageDown"):
        field.press(key)
    expect(field).to_have_value("145")


def test_a_patient_takes_at_most_50_keys(links: Sequence[str], open_page: OpenPage) -> None:
    page = open_page(links[2])
    expect(page.locator("#analyze")).to_be_enabled()
    expect(page.locator("#field-patient_reference")).to_be_focused()
    codes = {at: [code, "Tab"] for at, code in enumerate("4102n06")}
    bp, cholesterol, heart_rate, st = ([*number, "Tab", "Tab"] for number in ("145", "233", "150", "2,3"))
    keys = ["Tab", *"63", "Tab", "m", "Tab", *codes[0], *codes[1], *bp, *cholesterol, "Tab", *codes[2], *codes[3]]
    keys += [*heart_rate, *st, *codes[4], *codes[5], "6", "Enter"]
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#prediction")).to_contain_text("disease-free")
    assert len(keys) <= 50
    page.get_by_text("Values entered").click()
    values = page.locator("#prediction dl").first
    for text in ("Age63 years", "Sexmale", "asymptomatic", "145 mm Hg", "depression2.3 mm", "segmentnot measured"):
        expect(values).to_contain_text(text)
